#ifndef AGENTDESK_CORE_SERVICE_CLIENT_CORE_TLS_H_
#define AGENTDESK_CORE_SERVICE_CLIENT_CORE_TLS_H_

#include <string>

#include "absl/status/statusor.h"

namespace agentdesk::client {

// How a program speaks TLS with the core: files in PEM, which are read again as they change.
struct CoreTls {
  std::string authorities;  // whose certificates the core may show; empty: no TLS
  std::string chain;        // the program's own certificate, for a core that wants one
  std::string key;

  bool on() const { return !authorities.empty(); }
};

// What the flags --core_ca, --core_cert and --core_key say, which this file defines for all
// programs that call the core. InvalidArgument names the flag and what is wrong with it or with its
// file.
absl::StatusOr<CoreTls> CoreTlsFlags();

}  // namespace agentdesk::client

#endif  // AGENTDESK_CORE_SERVICE_CLIENT_CORE_TLS_H_
