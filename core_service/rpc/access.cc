#include "core_service/rpc/access.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "grpcpp/server_context.h"

namespace agentdesk::rpc {
namespace {

constexpr char kTokenKey[] = "authorization";
constexpr char kUserKey[] = "agentdesk-user";
constexpr absl::string_view kScheme = "bearer ";
// The scope of the calls that hand out, or change, what every tenant has.
constexpr absl::string_view kWholeDeskScope = "admin";

struct Permission {
  absl::string_view request;
  absl::string_view scope;
};
constexpr Permission kPermissions[] = {
    {"agentdesk.v1.CreateTicketRequest", "tickets:write"},
    {"agentdesk.v1.CancelTicketRequest", "tickets:write"},
    {"agentdesk.v1.RetryTicketRequest", "tickets:write"},
    {"agentdesk.v1.GetTicketRequest", "tickets:read"},
    {"agentdesk.v1.ListTicketsRequest", "tickets:read"},
    {"agentdesk.v1.GetJobRequest", "tickets:read"},
    {"agentdesk.v1.ListJobsRequest", "tickets:read"},
    {"agentdesk.v1.GetSessionRequest", "sessions:read"},
    {"agentdesk.v1.ListSessionsRequest", "sessions:read"},
    {"agentdesk.v1.GetQuestionRequest", "sessions:read"},
    {"agentdesk.v1.ListQuestionsRequest", "sessions:read"},
    {"agentdesk.v1.SubmitResponseRequest", "answers:write"},
    {"agentdesk.v1.SendMessageRequest", "answers:write"},
    {"agentdesk.v1.ClaimJobRequest", "agents:work"},
    {"agentdesk.v1.RenewLeaseRequest", "agents:work"},
    {"agentdesk.v1.ReportActivityRequest", "agents:work"},
    {"agentdesk.v1.AskQuestionRequest", "agents:work"},
    {"agentdesk.v1.WithdrawQuestionRequest", "agents:work"},
    {"agentdesk.v1.ReceiveInputRequest", "agents:work"},
    {"agentdesk.v1.ReleaseJobRequest", "agents:work"},
    {"agentdesk.v1.CompleteJobRequest", "agents:work"},
    {"agentdesk.v1.FailJobRequest", "agents:work"},
    {"agentdesk.v1.SubscribeRequest", "events:read"},
    {"agentdesk.v1.ListEventsRequest", "events:read"},
    {"agentdesk.v1.GetDeskRequest", "events:read"},
    {"agentdesk.v1.BackupRequest", kWholeDeskScope},
    {"agentdesk.v1.CompactRequest", kWholeDeskScope},
};

absl::Status Unauthenticated(absl::string_view reason, absl::string_view message) {
  return ErrorWithReason(absl::StatusCode::kUnauthenticated, reason, message);
}
absl::Status Denied(absl::string_view reason, absl::string_view message) {
  return ErrorWithReason(absl::StatusCode::kPermissionDenied, reason, message);
}

// The one value of a key; nothing where there is none or, so that nobody chooses, several.
std::optional<absl::string_view> FindOne(const Metadata& metadata, const char* key) {
  const auto [begin, end] = metadata.equal_range(key);
  if (begin == end || std::next(begin) != end) return std::nullopt;
  return absl::string_view(begin->second.data(), begin->second.size());
}

absl::Status CheckScope(const Identity& identity, absl::string_view request) {
  const std::optional<absl::string_view> scope = ScopeOf(request);
  if (!scope.has_value()) return Denied("missing_scope", "no scope allows this call");
  if (std::find(identity.scopes.begin(), identity.scopes.end(), *scope) != identity.scopes.end()) {
    return absl::OkStatus();
  }
  return Denied("missing_scope", absl::StrCat("this call needs the scope ", *scope));
}

}  // namespace

std::optional<absl::string_view> ScopeOf(absl::string_view request) {
  static const auto* const scopes = [] {
    auto* map = new absl::flat_hash_map<absl::string_view, absl::string_view>();
    for (const Permission& permission : kPermissions) {
      map->emplace(permission.request, permission.scope);
    }
    return map;
  }();
  const auto found = scopes->find(request);
  return found == scopes->end() ? std::nullopt : std::make_optional(found->second);
}

absl::StatusOr<Identity> Access::Identify(const Metadata& metadata,
                                          const std::vector<std::string>& names) const {
  const std::optional<absl::string_view> authorization = FindOne(metadata, kTokenKey);
  absl::StatusOr<Identity> identity = absl::UnknownError("");
  if (!names.empty() && metadata.find(kTokenKey) == metadata.end()) {
    identity = authenticator_->VerifyNames(names);
  } else if (authorization.has_value() && absl::StartsWithIgnoreCase(*authorization, kScheme)) {
    identity = authenticator_->Verify(authorization->substr(kScheme.size()));
  } else {
    return Unauthenticated("token_missing",
                           "this desk wants to know who you are: send the metadata "
                           "`authorization: Bearer TOKEN`, once");
  }
  if (!identity.ok() || metadata.find(kUserKey) == metadata.end()) return identity;

  if (!authenticator_->IsGateway(identity->subject)) {
    return Denied("not_a_gateway", "agentdesk-user: only a configured gateway speaks for others");
  }
  const std::optional<absl::string_view> user = FindOne(metadata, kUserKey);
  absl::StatusOr<Identity> named =
      user.has_value() ? DecodeIdentity(*user) : absl::InvalidArgumentError("must be there once");
  if (!named.ok()) return InvalidField(kUserKey, named.status().message());
  if (named->expires_at <= clock_.Now()) {
    return Unauthenticated(kTokenExpired, "agentdesk-user: the user's token has expired");
  }
  named->expires_at = std::min(named->expires_at, identity->expires_at);
  return named;
}

absl::StatusOr<desk::Caller> Access::Admit(const grpc::CallbackServerContext& context,
                                           absl::string_view request) const {
  const Metadata& metadata = context.client_metadata();
  std::vector<std::string> names;
  absl::Time certificate_end = absl::InfiniteFuture();
  if (IsByCertificate(metadata)) {
    const std::shared_ptr<const grpc::AuthContext> connection = context.auth_context();
    if (connection != nullptr) {
      names = CertificateNames(*connection);
      certificate_end = certificate_ends_.Of(*connection);
    }
    if (wants_certificate_ && (connection == nullptr || !connection->IsPeerAuthenticated())) {
      return Unauthenticated("certificate_missing",
                             "this desk wants a client certificate of an authority that it knows");
    }
    if (certificate_end <= clock_.Now()) {
      return Unauthenticated(kCertificateExpired, "the client certificate has expired");
    }
  }
  absl::StatusOr<desk::Caller> caller = Admit(metadata, names, request);
  if (caller.ok()) {
    caller->expires_at = std::min(caller->expires_at, certificate_end);
    std::string peer = AddressOfPeer(context.peer());
    (caller->client_address.empty() ? caller->client_address : caller->gateway_address) =
        std::move(peer);
  }
  return caller;
}

bool Access::IsByCertificate(const Metadata& metadata) const {
  if (authenticator_ == nullptr) return wants_certificate_;
  return authenticator_->knows_certificates() && metadata.find(kTokenKey) == metadata.end();
}

absl::Time Access::CertificateEnd(const grpc::CallbackServerContext& context) const {
  if (!IsByCertificate(context.client_metadata())) return absl::InfiniteFuture();
  const std::shared_ptr<const grpc::AuthContext> connection = context.auth_context();
  return connection == nullptr ? absl::InfiniteFuture() : certificate_ends_.Of(*connection);
}

absl::StatusOr<desk::Caller> Access::Admit(const Metadata& metadata,
                                           const std::vector<std::string>& names,
                                           absl::string_view request) const {
  if (authenticator_ == nullptr) {
    // A gateway that authenticates its users counts on their scopes being kept here.
    if (metadata.find(kUserKey) != metadata.end()) {
      return ErrorWithReason(absl::StatusCode::kFailedPrecondition, "authentication_off",
                             "agentdesk-user: this desk runs without --auth_config, and would let "
                             "every user do everything");
    }
    return CallerOf(metadata);
  }
  absl::StatusOr<Identity> identity = Identify(metadata, names);
  if (!identity.ok()) return identity.status();
  if (absl::Status status = CheckScope(*identity, request); !status.ok()) return status;
  if (identity->subject == "agentdesk") {
    return Denied("reserved_name", "the subject `agentdesk` is the desk's own name");
  }
  // By itself a gateway follows the desk for all of its users.
  const bool gateway =
      authenticator_->IsGateway(identity->subject) && metadata.find(kUserKey) == metadata.end();
  const bool all_tenants = gateway || authenticator_->SeesAllTenants(identity->subject);
  if (ScopeOf(request) == kWholeDeskScope && !identity->tenant.empty() && !all_tenants) {
    return Denied("tenant_bound",
                  "this call is about the desk of all tenants, and the token names one of them");
  }
  Metadata labels = metadata;
  labels.erase("agentdesk-actor");
  // Only who has shown above to be a gateway says from where it was asked.
  if (metadata.find(kUserKey) == metadata.end()) labels.erase("agentdesk-client");
  absl::StatusOr<desk::Caller> caller = CallerOf(labels);
  if (!caller.ok()) return caller;
  caller->authenticated = true;
  caller->actor.set_id(identity->subject);
  // A request id of one tenant must not bring back what was done in another.
  caller->identity = IdentityKey(*identity);
  caller->tenant = std::move(identity->tenant);
  caller->all_tenants = all_tenants;
  caller->groups = std::move(identity->groups);
  caller->roles = std::move(identity->roles);
  caller->expires_at = identity->expires_at;
  return caller;
}

}  // namespace agentdesk::rpc
