#include "ws_gateway/http_error.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "ws_gateway/json_writer.h"

namespace agentdesk::gateway {

int HttpStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
      return DetailOf(status).reason == "invalid_json" ? 400 : 422;
    case absl::StatusCode::kOutOfRange:
      return 422;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    // The outcome is unknown: repeat with the same id.
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
      return 503;
    case absl::StatusCode::kUnimplemented:
      return 501;
    default:
      return 500;
  }
}

HttpResponse MethodNotAllowed(absl::string_view methods) {
  HttpResponse response =
      ErrorResponse(ErrorWithReason(absl::StatusCode::kUnimplemented, "method_not_allowed",
                                    absl::StrCat("only ", methods, " can be used here")));
  response.status = 405;
  response.headers.emplace_back("Allow", std::string(methods));
  return response;
}

HttpResponse ErrorResponse(const absl::Status& status, absl::string_view more) {
  const ErrorDetail detail = DetailOf(status);
  HttpResponse response;
  response.status = HttpStatus(status);
  JsonWriter json(response.body);
  const absl::string_view message = status.message();
  json.BeginObject()
      .BeginObject("error")
      .Text("code", response.status == 503 ? "unavailable" : detail.reason)
      .Text("message", message)
      .TextIfAny("field", detail.field)
      .EndObject();
  if (!more.empty()) absl::StrAppend(&response.body, ",", more);
  json.EndObject();
  // RFC 6750 section 3.
  if (detail.reason == "token_missing") {
    response.headers.emplace_back("WWW-Authenticate", R"(Bearer realm="agentdesk")");
  } else if (response.status == 401) {
    response.headers.emplace_back("WWW-Authenticate",
                                  R"(Bearer realm="agentdesk", error="invalid_token")");
  } else if (detail.reason == "missing_scope") {
    response.headers.emplace_back("WWW-Authenticate",
                                  R"(Bearer realm="agentdesk", error="insufficient_scope")");
  }
  if (response.status == 429 || response.status == 503) {
    const absl::Duration wait = detail.retry_after.value_or(absl::Seconds(1));
    const int64_t seconds = absl::ToInt64Seconds(absl::Ceil(wait, absl::Seconds(1)));
    response.headers.emplace_back("Retry-After", absl::StrCat(std::max(seconds, int64_t{1})));
  }
  return response;
}

absl::Status ForbiddenOrigin() {
  return ErrorWithReason(absl::StatusCode::kPermissionDenied, kForbiddenOrigin,
                         "pages of this origin may not use the gateway");
}

}  // namespace agentdesk::gateway
