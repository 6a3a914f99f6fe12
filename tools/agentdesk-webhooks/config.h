#ifndef AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_CONFIG_H_
#define AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agentdesk/v1/event.pb.h"

namespace agentdesk::webhooks {

// Where some events are sent.
struct EndpointConfig {
  std::string name;  // 1 to 40 of `a-z 0-9 _ -`; names its cursor file and its lines in the log
  std::string url;
  std::vector<std::string> keys;  // that sign, newest first
  v1::EventFilter filter;         // the types
  bool from_beginning = false;    // without a cursor it begins with the first event of the log
};

// Reads the file of --endpoints:
//
//   {"endpoints":[{"name":"chat","url":"https://example.org/hook","secret_file":"/etc/…",
//                  "types":["agent_question","agent_error"],"from_beginning":false}]}
//
// and the secret files that it names. InvalidArgument names the endpoint, the field and the rule;
// unknown fields are refused. What is wrong with the file itself is told without its path.
absl::StatusOr<std::vector<EndpointConfig>> ReadEndpoints(const std::string& path);
// The same of the file's text. `read_file` answers the text of a secret file.
absl::StatusOr<std::vector<EndpointConfig>> ParseEndpoints(
    absl::string_view text, absl::StatusOr<std::string> (*read_file)(const std::string& path));

}  // namespace agentdesk::webhooks

#endif  // AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_CONFIG_H_
