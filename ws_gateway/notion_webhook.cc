#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core_service/base/error.h"
#include "ws_gateway/client_protocol.h"
#include "ws_gateway/http_exchange.h"
#include "ws_gateway/json_writer.h"
#include "ws_gateway/resource_json.h"

namespace agentdesk::gateway {
namespace {

constexpr char kSignature[] = "x-notion-signature";
// Who has done what a signed request asks for.
constexpr char kNotion[] = "notion";

// Whether `header` is `sha256=` and the HMAC of the body, in hex. What is compared takes the same
// time whatever it is.
bool IsSigned(absl::string_view body, absl::string_view header, const std::string& secret) {
  if (!absl::ConsumePrefix(&header, "sha256=") || header.size() != 2 * SHA256_DIGEST_LENGTH ||
      !absl::c_all_of(header, [](unsigned char c) { return absl::ascii_isxdigit(c); })) {
    return false;
  }
  const std::string shown = absl::HexStringToBytes(header);
  unsigned char right[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  return HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
              reinterpret_cast<const unsigned char*>(body.data()), body.size(), right,
              &size) != nullptr &&
         size == shown.size() && CRYPTO_memcmp(right, shown.data(), size) == 0;
}

}  // namespace

absl::Status Http::CheckNotion(const ExchangePtr& exchange, const NotionPage& page) {
  if (notion_.secret.empty()) return Identify(exchange);
  const HttpRequest& request = exchange->request;
  if (!IsSigned(request.body, request.Header(kSignature), notion_.secret)) {
    return ErrorWithReason(absl::StatusCode::kPermissionDenied, "signature_invalid",
                           "X-Notion-Signature: must be sha256= and the HMAC of the body");
  }
  const absl::Time now = hub_.WallTime();
  if (page.timestamp.has_value() &&
      (now - *page.timestamp > notion_.max_age || *page.timestamp - now > notion_.max_age)) {
    return ErrorWithReason(absl::StatusCode::kPermissionDenied, "signature_stale",
                           "timestamp: is too long ago, or yet to come");
  }
  exchange->caller.actor = kNotion;
  if (hub_.authenticator() == nullptr) return absl::OkStatus();
  Identity notion;
  notion.subject = kNotion;
  notion.scopes = {"tickets:read", "tickets:write"};
  exchange->caller.user = EncodeIdentity(notion);
  return absl::OkStatus();
}

// The page's id becomes the ticket's, so the same page is always the same ticket.
void Http::NotionWebhook(const ExchangePtr& exchange) {
  const absl::StatusOr<NotionPage> page = ParseNotionPage(exchange->request.body);
  absl::Status refusal = CheckNotion(exchange, page.ok() ? *page : NotionPage());
  if (refusal.ok()) refusal = page.status();
  if (!refusal.ok()) return exchange->Fail(refusal);
  v1::CreateTicketRequest request;
  request.set_ticket_id(page->page_id);
  request.set_ticket_name(absl::StrCat("Notion page ", page->page_id));
  const auto answer = [exchange](const std::string& job_id, v1::JobStatus status,
                                 const std::string& ticket_id) {
    std::string body;
    JsonWriter json(body);
    json.BeginObject()
        .Text("job_id", job_id)
        .Text("status", StatusWord(status))
        .Text("ticket_id", ticket_id)
        .EndObject();
    exchange->Send(JsonResponse(std::move(body)));
  };
  commands_.Call(
      exchange->caller, std::move(request),
      [this, exchange, answer, id = page->page_id](absl::StatusOr<v1::CreateTicketResponse> made) {
        if (made.ok()) return answer(made->job_id(), made->status(), made->ticket_id());
        if (!absl::IsAlreadyExists(made.status())) return exchange->Fail(made.status());
        v1::GetTicketRequest existing;
        existing.set_ticket_id(id);
        commands_.Call(exchange->caller, std::move(existing),
                       [exchange, answer](absl::StatusOr<v1::GetTicketResponse> found) {
                         if (!found.ok()) return exchange->Fail(found.status());
                         answer(found->ticket().job_id(), found->ticket().status(),
                                found->ticket().ticket_id());
                       });
      });
}

}  // namespace agentdesk::gateway
