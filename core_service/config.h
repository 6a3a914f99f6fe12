#ifndef AGENTDESK_CORE_SERVICE_CONFIG_H_
#define AGENTDESK_CORE_SERVICE_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core_service/base/address.h"
#include "core_service/base/authenticator.h"
#include "core_service/base/certificate_files.h"
#include "core_service/rpc/call_limits.h"

namespace agentdesk {

// What the flags of agentdesk-core say, checked.
struct CoreConfig {
  Address listen;
  std::optional<Address> admin_listen;  // none: no admin port
  int admin_connections = 0;
  std::string data_dir;
  int max_connections = 0;     // as far as the limit of open files leaves room for them
  int wanted_connections = 0;  // what --max_connections said
  rpc::CallLimitOptions limits;
  std::optional<AuthConfig> auth;   // nothing: authentication is off
  std::optional<Certificates> tls;  // nothing: not encrypted
  absl::Duration drain_timeout;
  absl::Duration expiry_hold;
  int64_t max_open_tickets = 0;
  int max_open_questions = 0;
  int64_t retain_events = 0;
  std::string otlp_endpoint;  // empty: no spans are exported
  std::string log_level;
  bool check_only = false;
};

// Reads the flags after ReadFlags; `arguments` is what that returned. InvalidArgument names the
// flag and the rule that it breaks. What the limit of open files lowers is lowered in its flag too,
// which EffectiveFlags shows.
absl::StatusOr<CoreConfig> ReadCoreConfig(const std::vector<std::string>& arguments);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_CONFIG_H_
