#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ws_gateway/client_protocol.h"
#include "ws_gateway/http_exchange.h"
#include "ws_gateway/json_writer.h"
#include "ws_gateway/resource_json.h"

namespace agentdesk::gateway {

// The page's id becomes the ticket's, so the same page is always the same ticket.
void Http::NotionWebhook(const ExchangePtr& exchange) {
  const absl::StatusOr<NotionPage> page = ParseNotionPage(exchange->request.body);
  if (!page.ok()) return exchange->Fail(page.status());
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
