#ifndef AGENTDESK_CORE_SERVICE_BASE_IDENTITY_H_
#define AGENTDESK_CORE_SERVICE_BASE_IDENTITY_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace agentdesk {

// Who somebody has proved to be, and what whoever vouches for them says that they may do.
struct Identity {
  std::string issuer;   // who vouches
  std::string subject;  // who it is, unique among all issuers
  std::string tenant;   // empty: the default one
  std::vector<std::string> scopes;
  std::vector<std::string> groups;
  std::vector<std::string> roles;
  absl::Time expires_at = absl::InfiniteFuture();  // from then on it proves nothing
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_IDENTITY_H_
