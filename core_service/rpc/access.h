#ifndef AGENTDESK_CORE_SERVICE_RPC_ACCESS_H_
#define AGENTDESK_CORE_SERVICE_RPC_ACCESS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/authenticator.h"
#include "core_service/base/clock.h"
#include "core_service/desk/desk.h"
#include "core_service/rpc/call_limits.h"
#include "core_service/rpc/caller.h"
#include "core_service/rpc/live_calls.h"
#include "core_service/rpc/tls.h"
#include "grpcpp/support/server_callback.h"

namespace agentdesk::rpc {

// Why nobody is admitted any more by a certificate (Access).
inline constexpr absl::string_view kCertificateExpired = "certificate_expired";

// The scope that a call needs, by the full name of its request, of which every call has one of its
// own. Nothing: there is no such call, and it is refused. grpc.health.v1 and reflection are not
// among them: they say nothing of the desk and are open to everyone.
std::optional<absl::string_view> ScopeOf(absl::string_view request);

// Who may make which call. Thread-safe.
class Access {
 public:
  // Null: authentication is off, everyone may do everything, and callers are who they say. Both
  // must outlive this. `wants_certificate`: while authentication is off, only those who have shown
  // a client certificate may do everything.
  Access(const Authenticator* authenticator, Clock& clock, bool wants_certificate = false)
      : authenticator_(authenticator), clock_(clock), wants_certificate_(wants_certificate) {}

  // On whose behalf a call is made, if it may be. Besides what CallerOf reads, the metadata holds
  //   authorization   `Bearer TOKEN`
  //   agentdesk-user  the user on whose behalf a gateway calls (base/identity.h)
  // and with authentication on the label agentdesk-actor counts for nothing, and agentdesk-client
  // only beside agentdesk-user. The caller is held to the tenant of its identity, but for those
  // that the configuration lets see all tenants, and a gateway that names no user.
  //
  // Unauthenticated: there is no token (`token_missing`) or it is refused (base/token_verifier.h).
  // FailedPrecondition: a user is named while authentication is off (`authentication_off`).
  // `names` are those of the certificate that the caller has proved to be its own: where there is
  // no token, they may say who it is. Unauthenticated (`certificate_unknown`) when they do not.
  // PermissionDenied: a scope is missing (`missing_scope`), who speaks for a user is no gateway
  // (`not_a_gateway`), or a tenant's token asks for what is of the whole desk (`tenant_bound`).
  // InvalidArgument: as CallerOf.
  absl::StatusOr<desk::Caller> Admit(const Metadata& metadata,
                                     const std::vector<std::string>& names,
                                     absl::string_view request) const;
  // The same for a call on a connection, which also says from where it comes. Unauthenticated:
  // nobody may call without a certificate (`certificate_missing`), or the certificate that makes
  // the caller who it is has ended (`certificate_expired`).
  absl::StatusOr<desk::Caller> Admit(const grpc::CallbackServerContext& context,
                                     absl::string_view request) const;
  // When the certificate ends that such a call counts on; InfiniteFuture: it counts on none.
  absl::Time CertificateEnd(const grpc::CallbackServerContext& context) const;

 private:
  // Whether a call with this metadata is judged by the certificate of its connection.
  bool IsByCertificate(const Metadata& metadata) const;
  absl::StatusOr<Identity> Identify(const Metadata& metadata,
                                    const std::vector<std::string>& names) const;

  const Authenticator* const authenticator_;
  Clock& clock_;
  const bool wants_certificate_;
  mutable CertificateEnds certificate_ends_;
};

// What every service answers from. What it names must outlive it.
struct Backend {
  desk::Desk& desk;
  LiveCalls& calls;
  const Access& access;
  CallLimits& limits;
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_ACCESS_H_
