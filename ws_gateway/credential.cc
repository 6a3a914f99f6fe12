#include "ws_gateway/credential.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core_service/base/error.h"
#include "ws_gateway/http_error.h"

namespace agentdesk::gateway {
namespace {

constexpr absl::string_view kScheme = "bearer ";
constexpr absl::string_view kCookie = "agentdesk_token=";
constexpr absl::string_view kAttributes = "; Path=/; HttpOnly; Secure; SameSite=Strict";

void Add(Credential::Way way, absl::string_view token, Credential& credential) {
  const bool second = credential.way == way;
  credential = {way, second ? std::string() : std::string(token)};
}

// The texts between separators in all headers of that name that begin with `prefix`, without it.
void AddParts(const HttpRequest& request, absl::string_view header, char separator,
              absl::string_view prefix, Credential::Way way, Credential& credential) {
  for (const auto& [name, value] : request.headers) {
    if (name != header) continue;
    for (absl::string_view part : absl::StrSplit(value, separator)) {
      part = absl::StripAsciiWhitespace(part);
      if (absl::ConsumePrefix(&part, prefix) && !part.empty()) Add(way, part, credential);
    }
  }
}

// Whether the request can at most read, and what it reads stays with its sender.
bool OnlyReads(const HttpRequest& request) {
  return (request.method == "GET" || request.method == "HEAD") && request.Header("upgrade").empty();
}

}  // namespace

Credential FindCredential(const HttpRequest& request) {
  Credential credential;
  for (const auto& [name, value] : request.headers) {
    // Another scheme may be meant for whatever stands before the gateway.
    if (name != "authorization" || !absl::StartsWithIgnoreCase(value, kScheme)) continue;
    Add(Credential::Way::kHeader,
        absl::StripAsciiWhitespace(absl::string_view(value).substr(kScheme.size())), credential);
  }
  if (credential.way != Credential::Way::kNone) return credential;
  AddParts(request, "sec-websocket-protocol", ',', kBearerSubprotocol,
           Credential::Way::kSubprotocol, credential);
  if (credential.way != Credential::Way::kNone) return credential;
  AddParts(request, "cookie", ';', kCookie, Credential::Way::kCookie, credential);
  return credential;
}

absl::StatusOr<Identity> Authenticate(const HttpRequest& request, const Credential& credential,
                                      const Authenticator& authenticator,
                                      const OriginList& origins) {
  if (credential.way == Credential::Way::kNone) {
    return ErrorWithReason(absl::StatusCode::kUnauthenticated, "token_missing",
                           "this desk wants to know who you are: send `Authorization: Bearer "
                           "TOKEN`");
  }
  if (credential.way == Credential::Way::kCookie) {
    const absl::string_view origin = request.Header("origin");
    if (origin.empty() ? !OnlyReads(request) : !origins.Owns(origin, request.Header("host"))) {
      return ForbiddenOrigin();
    }
  }
  return authenticator.Verify(credential.token);
}

std::string TokenCookie(absl::string_view token, absl::Duration max_age) {
  const int64_t seconds = absl::ToInt64Seconds(std::max(max_age, absl::ZeroDuration()));
  return absl::StrCat(kCookie, token, kAttributes, "; Max-Age=", seconds);
}

std::string NoTokenCookie() { return absl::StrCat(kCookie, kAttributes, "; Max-Age=0"); }

}  // namespace agentdesk::gateway
