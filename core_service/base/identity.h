#ifndef AGENTDESK_CORE_SERVICE_BASE_IDENTITY_H_
#define AGENTDESK_CORE_SERVICE_BASE_IDENTITY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace agentdesk {

// Who somebody has proved to be, and what whoever vouches for them says that they may do.
struct Identity {
  std::string issuer;   // who vouches
  std::string subject;  // who it is, unique among all issuers (TrustedIssuer::subject_prefix)
  std::string tenant;   // empty: the default one
  std::vector<std::string> scopes;
  std::vector<std::string> groups;
  std::vector<std::string> roles;
  absl::Time expires_at = absl::InfiniteFuture();  // from then on it proves nothing
};

// One text for each subject in each tenant; two tenants may have subjects of one name.
std::string IdentityKey(const Identity& identity);

// InvalidArgument that names `field`, unless `name` may stand for somebody in events and logs: 1 to
// 200 characters, none of them a control character.
absl::Status CheckIdentityName(absl::string_view field, absl::string_view name);

// An identity as one program that has verified it tells another that believes it: base64url of
// JSON. Decode answers InvalidArgument for anything that Encode does not write.
std::string EncodeIdentity(const Identity& identity);
absl::StatusOr<Identity> DecodeIdentity(absl::string_view text);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_IDENTITY_H_
