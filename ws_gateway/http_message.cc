#include "ws_gateway/http_message.h"

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace agentdesk::gateway {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

absl::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::string_view HttpRequest::Header(absl::string_view name) const {
  for (const auto& [header, value] : headers) {
    if (header == name) return value;
  }
  return {};
}

HttpResponse ErrorResponse(int status, absl::string_view code, absl::string_view message) {
  HttpResponse response;
  response.status = status;
  response.body =
      absl::StrCat(R"({"error":{"code":")", code, R"(","message":")", message, R"("}})");
  return response;
}

HttpResponse NoRoomResponse(Refusal why) {
  const bool of_address = why == Refusal::kConnectionsOfAddress;
  HttpResponse response =
      of_address
          ? ErrorResponse(429, "too_many_connections",
                          "there are too many connections of this address")
          : ErrorResponse(503, "too_many_connections", "the server has too many connections");
  response.headers.emplace_back(
      "Retry-After", absl::StrCat(of_address ? kAddressRetryAfterSeconds : kRetryAfterSeconds));
  return response;
}

std::string Serialize(const HttpResponse& response) {
  std::string bytes =
      absl::StrCat("HTTP/1.1 ", response.status, " ",
                   View(http::obsolete_reason(static_cast<http::status>(response.status))),
                   "\r\nConnection: close\r\nContent-Type: ", response.content_type,
                   "\r\nContent-Length: ", response.body.size());
  for (const auto& [name, value] : response.headers) {
    absl::StrAppend(&bytes, "\r\n", name, ": ", value);
  }
  absl::StrAppend(&bytes, "\r\n\r\n", response.body);
  return bytes;
}

BeastResponse ToBeast(HttpResponse response, unsigned version, bool is_head,
                      absl::string_view server_name) {
  BeastResponse message;
  message.version(version);
  message.result(static_cast<unsigned>(response.status));
  message.set(http::field::date,
              absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone()));
  message.set(http::field::server, beast::string_view(server_name.data(), server_name.size()));
  for (const auto& [name, value] : response.headers) message.insert(name, value);
  if (response.status != 204 && response.status != 304) {
    if (!response.content_type.empty()) {
      message.set(http::field::content_type, response.content_type);
    }
    if (response.stream == nullptr) message.content_length(response.body.size());
    if (!is_head) message.body() = std::move(response.body);
  }
  return message;
}

std::string SerializeHead(HttpResponse response, unsigned version, absl::string_view server_name) {
  BeastResponse message = ToBeast(std::move(response), version, /*is_head=*/false, server_name);
  // The end of the connection is that of the body.
  message.erase(http::field::content_length);
  message.keep_alive(false);
  std::string head = absl::StrCat("HTTP/", version / 10, ".", version % 10, " ",
                                  message.result_int(), " ", View(message.reason()), "\r\n");
  for (const auto& field : message) {
    absl::StrAppend(&head, View(field.name_string()), ": ", View(field.value()), "\r\n");
  }
  head += "\r\n";
  return head;
}

HttpRequest PlainRequest(BeastRequest& message, absl::string_view remote_address) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  // The absolute form names this server again (RFC 9112 section 3.2.2).
  for (const absl::string_view scheme : {"http://", "https://"}) {
    if (!absl::StartsWithIgnoreCase(request.target, scheme)) continue;
    const size_t path = request.target.find_first_of("/?", scheme.size());
    request.target = path == std::string::npos ? "/" : request.target.substr(path);
    if (request.target.front() != '/') request.target.insert(0, 1, '/');
    break;
  }
  request.remote_address = std::string(remote_address);
  for (const auto& field : message) {
    request.headers.emplace_back(absl::AsciiStrToLower(View(field.name_string())),
                                 std::string(field.value()));
  }
  request.body = std::move(message.body());
  return request;
}

HttpResponse TooSlowResponse(const TransportOptions& options) {
  const std::string allowed = absl::FormatDuration(absl::FromChrono(options.request_timeout));
  return ErrorResponse(408, "request_timeout",
                       absl::StrCat("a request may take ", allowed, " to arrive"));
}

std::optional<HttpResponse> ReadFault(boost::system::error_code error,
                                      const TransportOptions& options) {
  static const auto& kHttpErrors = http::make_error_code(http::error::end_of_stream).category();
  if (error == http::error::body_limit) {
    return ErrorResponse(413, "too_large",
                         absl::StrCat("the body may have ", options.max_body_bytes, " bytes"));
  }
  if (error == http::error::header_limit) {
    return ErrorResponse(431, "headers_too_large",
                         absl::StrCat("the headers may have ", options.max_header_bytes, " bytes"));
  }
  if (error.category() == kHttpErrors && error != http::error::end_of_stream &&
      error != http::error::partial_message) {
    return ErrorResponse(400, "invalid_request", absl::StrCat("not HTTP: ", error.message()));
  }
  return std::nullopt;
}

std::optional<HttpResponse> RequestFault(const BeastRequest& message, bool chunked) {
  // A body whose end cannot be known would be read as the next request.
  if (message.count(http::field::transfer_encoding) > 0 && !chunked) {
    return ErrorResponse(400, "invalid_request", "the only transfer encoding is chunked");
  }
  // Who wrote that does not know how long its body is (RFC 9112 section 6.1).
  if (chunked && message.version() < 11) {
    return ErrorResponse(400, "invalid_request", "HTTP/1.0 has no transfer encodings");
  }
  const size_t hosts = message.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() >= 11)) {
    return ErrorResponse(400, "invalid_request", "one Host header is required");
  }
  return std::nullopt;
}

bool AsksForWebSocket(const BeastRequest& message) {
  return http::token_list{message[http::field::connection]}.exists("upgrade") &&
         http::token_list{message[http::field::upgrade]}.exists("websocket");
}

std::optional<HttpResponse> HandshakeFault(const BeastRequest& message) {
  if (message.method() != http::verb::get) {
    HttpResponse response =
        ErrorResponse(405, "method_not_allowed", "a WebSocket is opened with GET");
    response.headers.emplace_back("Allow", "GET");
    return response;
  }
  if (message.version() < 11 || !message.body().empty()) {
    return ErrorResponse(400, "invalid_request",
                         "a WebSocket is opened over HTTP/1.1 without a body");
  }
  if (message[http::field::sec_websocket_version] != "13") {
    HttpResponse response =
        ErrorResponse(426, "unsupported_version", "the WebSocket version must be 13 (RFC 6455)");
    response.headers.emplace_back("Upgrade", "websocket");
    response.headers.emplace_back("Sec-WebSocket-Version", "13");
    return response;
  }
  std::string nonce;
  if (!absl::Base64Unescape(View(message[http::field::sec_websocket_key]), &nonce) ||
      nonce.size() != 16) {
    return ErrorResponse(400, "invalid_request",
                         "Sec-WebSocket-Key must be the base64 of 16 bytes");
  }
  return std::nullopt;
}

}  // namespace agentdesk::gateway
