#ifndef AGENTDESK_TOOLS_AGENTDESK_COMMAND_LINE_H_
#define AGENTDESK_TOOLS_AGENTDESK_COMMAND_LINE_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentdesk::cli {

// A flag of a command, or of the program.
struct FlagSpec {
  std::string name = {};
  std::string value = {};  // what it takes, such as `N`; empty: a switch
  std::string help = {};
  bool repeated = false;
};

struct CommandSpec {
  std::string words = {};      // such as `ticket create`
  std::string arguments = {};  // such as `NAME`
  size_t min_arguments = 0;
  size_t max_arguments = 0;
  std::string summary = {};
  std::string details = {};
  std::vector<FlagSpec> flags = {};
};

// What was asked for on the command line.
struct Invocation {
  const CommandSpec* command = nullptr;  // null: help on everything
  bool help = false;
  std::vector<std::string> arguments;
  std::map<std::string, std::vector<std::string>> flags;  // of the command; a switch: `true`
  std::vector<std::string> program_flags;                 // `--name=value`, for ReadFlags

  bool Has(const std::string& name) const;
  std::string Get(const std::string& name, absl::string_view otherwise = "") const;
  std::vector<std::string> All(const std::string& name) const;
};

const std::vector<CommandSpec>& Commands();
const std::vector<FlagSpec>& ProgramFlags();

// The value of an environment variable, or null.
using Environment = absl::FunctionRef<const char*(const char* name)>;

// Reads the arguments after the program's name. Flags may stand anywhere, `--` ends them, a value
// follows `=` or comes next. A flag of the command that is not given comes from the environment
// (AGENTDESK_QUEUE for --queue), else from the file that --flagfile or AGENTDESK_FLAGFILE names;
// both may hold flags of other commands too. A file that cannot be read is left to ReadFlags, which
// says so. InvalidArgument says what is wrong and which --help to read.
absl::StatusOr<Invocation> ReadCommandLine(const std::vector<std::string>& arguments,
                                           Environment environment);

// What --help prints: on one command, or on all.
std::string Help(const CommandSpec& command);
std::string Help();

}  // namespace agentdesk::cli

#endif  // AGENTDESK_TOOLS_AGENTDESK_COMMAND_LINE_H_
