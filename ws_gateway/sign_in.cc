#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "ws_gateway/credential.h"
#include "ws_gateway/http_exchange.h"
#include "ws_gateway/json_writer.h"
#include "ws_gateway/resource_json.h"

namespace agentdesk::gateway {

namespace {

HttpResponse UserResponse(absl::string_view user, absl::Time until) {
  std::string body;
  JsonWriter json(body);
  json.BeginObject().Text("user", user);
  if (until != absl::InfiniteFuture()) WriteTime("token_expires_at", ToProto(until), json);
  json.EndObject();
  HttpResponse response = JsonResponse(std::move(body));
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

}  // namespace

absl::Status Http::Identify(const ExchangePtr& exchange) {
  const Authenticator* const authenticator = hub_.authenticator();
  if (authenticator == nullptr) return absl::OkStatus();
  exchange->credential = FindCredential(exchange->request);
  absl::StatusOr<Identity> user =
      Authenticate(exchange->request, exchange->credential, *authenticator, origins_);
  if (!user.ok()) return user.status();
  exchange->caller.actor = user->subject;
  exchange->caller.user = EncodeIdentity(*user);
  exchange->caller.user_until = user->expires_at;
  exchange->user = *std::move(user);
  return absl::OkStatus();
}

void Http::ShowUser(const ExchangePtr& exchange) {
  exchange->Send(UserResponse(exchange->caller.actor, exchange->caller.user_until));
}

void Http::Login(const ExchangePtr& exchange) {
  if (!exchange->user.has_value()) {
    return exchange->Fail(ErrorWithReason(absl::StatusCode::kFailedPrecondition,
                                          "authentication_off",
                                          "authentication is off: nobody signs in"));
  }
  const Credential& credential = exchange->credential;
  if (credential.way != Credential::Way::kHeader) {
    return exchange->Fail(ErrorWithReason(absl::StatusCode::kUnauthenticated, "token_missing",
                                          "sign in with `Authorization: Bearer TOKEN`"));
  }
  if (credential.token.size() > kMaxCookieToken) {
    return exchange->Fail(ErrorWithReason(
        absl::StatusCode::kInvalidArgument, "token_too_large",
        absl::StrCat("a token over ", kMaxCookieToken, " bytes fits no cookie: show it itself")));
  }
  const Identity& user = *exchange->user;
  HttpResponse response = UserResponse(user.subject, user.expires_at);
  response.headers.emplace_back("Set-Cookie",
                                TokenCookie(credential.token, user.expires_at - hub_.WallTime()));
  exchange->Send(std::move(response));
}

void Http::Logout(const ExchangePtr& exchange) {
  const HttpRequest& request = exchange->request;
  const absl::string_view origin = request.Header("origin");
  if (!origin.empty() && !origins_.Owns(origin, request.Header("host"))) {
    return exchange->Fail(ForbiddenOrigin());
  }
  HttpResponse response = JsonResponse(R"({"status":"ok"})");
  response.headers.emplace_back("Set-Cookie", NoTokenCookie());
  response.headers.emplace_back("Cache-Control", "no-store");
  exchange->Send(std::move(response));
}

}  // namespace agentdesk::gateway
