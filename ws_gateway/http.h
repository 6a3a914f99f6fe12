#ifndef AGENTDESK_WS_GATEWAY_HTTP_H_
#define AGENTDESK_WS_GATEWAY_HTTP_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/metrics.h"
#include "ws_gateway/client_protocol.h"
#include "ws_gateway/commands.h"
#include "ws_gateway/gateway_state.h"
#include "ws_gateway/hub.h"
#include "ws_gateway/origin.h"
#include "ws_gateway/request_handler.h"
#include "ws_gateway/transport.h"
#include "ws_gateway/web_files.h"

namespace agentdesk::gateway {

// What is asked of a request that says to come from Notion.
struct NotionRules {
  // What signs it; empty: signatures are not looked at, and it needs a token like any other where
  // authentication is on.
  std::string secret;
  absl::Duration max_age = absl::InfiniteDuration();  // of what has a time in it
};

// The HTTP routes: they translate to and from the core's calls and keep nothing. Belongs to its
// shard's thread, on which the core's answers come, too.
class Http final : public RequestHandler {
 public:
  // All must outlive it.
  Http(Commands& commands, Hub& hub, const GatewayState& state, const WebFiles& web,
       OriginList origins, const Metrics& metrics, NotionRules notion = {});

  void OnRequest(HttpRequest request, Responder respond) override;

 private:
  // One request on its way to its one response.
  struct Exchange;
  using ExchangePtr = std::shared_ptr<Exchange>;
  using Handler = void (Http::*)(const ExchangePtr&);
  struct Route {
    absl::string_view method;
    absl::string_view pattern;  // `{}` stands for one segment
    Handler handler;
    bool open = false;  // to everyone, also where authentication is on
  };
  static const std::vector<Route>& Routes();

  // Finds out who asks, where authentication is on.
  absl::Status Identify(const ExchangePtr& exchange);
  void ShowUser(const ExchangePtr& exchange);
  void Login(const ExchangePtr& exchange);
  void Logout(const ExchangePtr& exchange);
  void Preflight(const ExchangePtr& exchange, const std::string& methods);

  void CreateTicket(const ExchangePtr& exchange);
  void ListTickets(const ExchangePtr& exchange);
  void GetTicket(const ExchangePtr& exchange);
  // Cancels or retries one: by the call that takes `Request`.
  template <typename Request, typename Response>
  void ChangeTicket(const ExchangePtr& exchange);
  void GetJob(const ExchangePtr& exchange);
  void GetSession(const ExchangePtr& exchange);
  void StreamEvents(const ExchangePtr& exchange);
  void ListQuestions(const ExchangePtr& exchange);
  void GetQuestion(const ExchangePtr& exchange);
  void SubmitResponse(const ExchangePtr& exchange);
  void SendMessage(const ExchangePtr& exchange);
  // Whether the request is Notion's.
  absl::Status CheckNotion(const ExchangePtr& exchange, const NotionPage& page);
  void NotionWebhook(const ExchangePtr& exchange);
  void Health(const ExchangePtr& exchange);
  void Livez(const ExchangePtr& exchange);
  void Readyz(const ExchangePtr& exchange);
  void ShowMetrics(const ExchangePtr& exchange);
  void Page(const ExchangePtr& exchange);

  static void SendFile(const WebFile& file, const ExchangePtr& exchange);
  // The page of its transcript that `request` asks for, with the session before it.
  void ListTranscript(const ExchangePtr& exchange, v1::ListEventsRequest request,
                      const v1::GetSessionResponse& session);
  void AnswerExisting(const ExchangePtr& exchange, const absl::Status& status,
                      const std::string& ticket_id);

  Commands& commands_;
  Hub& hub_;
  const GatewayState& state_;
  const WebFiles& web_;
  const OriginList origins_;
  const Metrics& metrics_;
  const NotionRules notion_;
};

// The page at `/` where no web page is installed.
absl::string_view StartPageHtml();

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_HTTP_H_
