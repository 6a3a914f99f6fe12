#ifndef AGENTDESK_CORE_SERVICE_BASE_FLAGS_H_
#define AGENTDESK_CORE_SERVICE_BASE_FLAGS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace agentdesk {

// Reads a program's flags: the command line goes before the environment (AGENTDESK_LISTEN for
// --listen), that before the file that --flagfile or AGENTDESK_FLAGFILE names. Returns the
// arguments that are no flags, without the program's name. Ends the program with a message and exit
// code 1 when a flag is unknown or its value cannot be read, and with code 0 after --help or
// --version. Variables AGENTDESK_… that no flag of the program has are other programs'.
//
// `usage` is what --help says first. Call once, first thing in main.
std::vector<std::string> ReadFlags(absl::string_view usage, int argc, char** argv);

// The name and value of every flag that the program itself defines, as --check_config prints them.
// The value of a flag whose name ends in _token or _secret is hidden.
std::vector<std::string> EffectiveFlags();

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_FLAGS_H_
