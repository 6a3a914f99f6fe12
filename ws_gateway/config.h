#ifndef AGENTDESK_WS_GATEWAY_CONFIG_H_
#define AGENTDESK_WS_GATEWAY_CONFIG_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core_service/base/authenticator.h"
#include "core_service/base/certificate_files.h"
#include "core_service/client/core_tls.h"
#include "ws_gateway/load_limits.h"
#include "ws_gateway/origin.h"
#include "ws_gateway/web_files.h"

namespace agentdesk::gateway {

// What the flags say, checked.
struct Config {
  std::string listen;
  std::string core;
  client::CoreTls core_tls;
  std::optional<AuthConfig> auth;   // none: authentication is off
  std::optional<Certificates> tls;  // none: not encrypted
  std::string core_token_file;
  bool share_port = false;  // with other gateways
  int threads = 1;
  OriginList origins;
  WebFiles web;
  size_t max_connections = 0;  // in all
  absl::Duration http_request_timeout;
  size_t max_http_header_bytes = 0;
  LoadLimitOptions limits;
  std::string notion_secret;  // empty: signatures are not looked at
  absl::Duration notion_max_age;
  absl::Duration drain_timeout;
  std::string otlp_endpoint;  // empty: no spans are exported
  std::string log_level;
  bool check_only = false;
};

// After ReadFlags. The error names the flag and its rule.
absl::StatusOr<Config> ReadConfig();

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_CONFIG_H_
