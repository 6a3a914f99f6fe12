#ifndef AGENTDESK_WS_GATEWAY_HTTP_EXCHANGE_H_
#define AGENTDESK_WS_GATEWAY_HTTP_EXCHANGE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core_service/base/identity.h"
#include "core_service/base/uuid.h"
#include "ws_gateway/credential.h"
#include "ws_gateway/http.h"
#include "ws_gateway/http_error.h"

// Within the room http: what its handlers share.
namespace agentdesk::gateway {

inline HttpResponse JsonResponse(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

struct Http::Exchange {
  HttpRequest request;
  Responder respond;
  std::string query;
  std::vector<std::string> ids;  // what stood for `{}` in the path
  Caller caller;
  std::string cors_origin;  // empty: none is to be named
  Credential credential;
  std::optional<Identity> user;  // where authentication is on and the route asks for it

  void Send(HttpResponse response) {
    if (!cors_origin.empty()) {
      response.headers.emplace_back("Access-Control-Allow-Origin", cors_origin);
      response.headers.emplace_back("Access-Control-Expose-Headers", "Retry-After");
    }
    response.headers.emplace_back("Vary", "Origin");
    respond(std::move(response));
  }
  void Fail(const absl::Status& status) { Send(ErrorResponse(status)); }
  // The id in the path, as the core writes it; otherwise fails as not found.
  std::optional<std::string> Id(absl::string_view noun, absl::string_view prefix = "") {
    absl::string_view text = ids[0];
    std::optional<Uuid> id;
    if (absl::ConsumePrefix(&text, prefix)) id = Uuid::Parse(text);
    if (id.has_value()) return absl::StrCat(prefix, id->ToString());
    Fail(absl::NotFoundError(absl::StrCat("no such ", noun)));
    return std::nullopt;
  }
  // The id for repeats: the body's, else the header's.
  void SetRequestId(std::string& request_id) const {
    if (!request_id.empty()) return;
    absl::string_view key = absl::StripAsciiWhitespace(request.Header("idempotency-key"));
    if (absl::ConsumePrefix(&key, "\"")) absl::ConsumeSuffix(&key, "\"");
    request_id = std::string(key);
  }
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_HTTP_EXCHANGE_H_
