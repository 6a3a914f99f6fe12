#ifndef AGENTDESK_WS_GATEWAY_ORIGIN_H_
#define AGENTDESK_WS_GATEWAY_ORIGIN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentdesk::gateway {

// Which web pages may talk to the gateway (the `Origin` of RFC 6454): those on the list, and the
// gateway's own. Constant once parsed, so any thread may ask.
class OriginList {
 public:
  // Entries such as `https://desk.example`, `http://localhost:*` (any port, or none) or `*`. The
  // error names the entry.
  static absl::StatusOr<OriginList> Parse(const std::vector<std::string>& entries);

  // `host` is the request's Host header. The own origin is believed only where the host is an
  // address: a name may be one that a foreign page made point here.
  bool Allows(absl::string_view origin, absl::string_view host) const;
  // Whether what a page of this origin asks may count on the user's cookie: the gateway's own
  // pages, and those of an origin that stands on the list by its whole name. What `*` and `:*` let
  // in is anybody's; of the own origin any name is believed, since the browser keeps a cookie for
  // the name under which it was given.
  bool Owns(absl::string_view origin, absl::string_view host) const;

 private:
  bool any_ = false;
  std::vector<std::string> exact_;
  std::vector<std::string> any_port_;  // without `:*`
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_ORIGIN_H_
