#include "ws_gateway/http.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core_service/base/error.h"
#include "core_service/base/uuid.h"
#include "ws_gateway/client_protocol.h"
#include "ws_gateway/http_error.h"
#include "ws_gateway/http_exchange.h"
#include "ws_gateway/json_writer.h"
#include "ws_gateway/resource_json.h"
#include "ws_gateway/server_message.h"

namespace agentdesk::gateway {
namespace {

constexpr int kMaxPageSize = 1000;
constexpr int64_t kMaxSequence = (int64_t{1} << 53) - 1;
constexpr absl::string_view kJobPrefix = "job-";

// The values that stand for `{}` in the pattern; none when the path does not match it.
std::optional<std::vector<std::string>> Match(absl::string_view pattern, absl::string_view path) {
  const std::vector<absl::string_view> wanted = absl::StrSplit(pattern, '/');
  const std::vector<absl::string_view> given = absl::StrSplit(path, '/');
  if (wanted.size() != given.size()) return std::nullopt;
  std::vector<std::string> values;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == "{}") {
      values.push_back(DecodePercent(given[i]).value_or(std::string()));
    } else if (wanted[i] != given[i]) {
      return std::nullopt;
    }
  }
  return values;
}

bool IsJson(absl::string_view content_type) {
  const absl::string_view type = content_type.substr(0, content_type.find(';'));
  return absl::AsciiStrToLower(absl::StripAsciiWhitespace(type)) == "application/json";
}

// The number of a query's parameter; `fallback` where there is none.
absl::StatusOr<int64_t> NumberParameter(absl::string_view query, absl::string_view name,
                                        int64_t min, int64_t max, int64_t fallback) {
  const std::optional<std::string> text = QueryParameter(query, name);
  if (!text.has_value()) return fallback;
  int64_t number = 0;
  if (!absl::SimpleAtoi(*text, &number) || number < min || number > max) {
    return InvalidField(name, absl::StrCat("must be a whole number from ", min, " to ", max));
  }
  return number;
}

// Whether If-None-Match names this tag (RFC 9110 section 13.1.2), which compares weakly.
bool NamesTag(absl::string_view header, absl::string_view etag) {
  for (absl::string_view tag : absl::StrSplit(header, ',')) {
    tag = absl::StripAsciiWhitespace(tag);
    absl::ConsumePrefix(&tag, "W/");
    if (tag == etag || tag == "*") return true;
  }
  return false;
}

void AddPageHeaders(HttpResponse& response) {
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
}

absl::Status TooManyConnections() {
  return WithDetail(absl::ResourceExhaustedError("too many connections of this user"),
                    {.reason = "too_many_connections",
                     .field = {},
                     .retry_after = absl::Seconds(30),
                     .metadata = {}});
}

template <typename Resource, typename Write>
HttpResponse ResourceResponse(const Resource& resource, Write write, int64_t sequence) {
  std::string body;
  JsonWriter json(body);
  json.BeginObject();
  write(resource, json);
  json.Number("sequence", sequence).EndObject();
  return JsonResponse(std::move(body));
}

template <typename Resources, typename Write>
HttpResponse ListResponse(absl::string_view name, const Resources& resources, Write write,
                          const std::string& next_page_token, int64_t sequence) {
  std::string body;
  JsonWriter json(body);
  json.BeginObject().BeginArray(name);
  for (const auto& resource : resources) {
    json.BeginObject();
    write(resource, json);
    json.EndObject();
  }
  json.EndArray().Text("next_page_token", next_page_token).Number("sequence", sequence).EndObject();
  return JsonResponse(std::move(body));
}

}  // namespace

Http::Http(Commands& commands, Hub& hub, const GatewayState& state, const WebFiles& web,
           OriginList origins, const Metrics& metrics, NotionRules notion)
    : commands_(commands),
      hub_(hub),
      state_(state),
      web_(web),
      origins_(std::move(origins)),
      metrics_(metrics),
      notion_(std::move(notion)) {}

// The first pattern that matches a path is the path's; so a word goes before `{}`.
const std::vector<Http::Route>& Http::Routes() {
  static const auto* const routes = new std::vector<Route>{
      {"GET", "/", &Http::Page, true},
      {"GET", "/login", &Http::ShowUser},
      {"POST", "/login", &Http::Login},
      {"POST", "/logout", &Http::Logout, true},
      {"POST", "/tickets/create", &Http::CreateTicket},
      {"GET", "/tickets", &Http::ListTickets},
      {"GET", "/tickets/{}", &Http::GetTicket},
      {"POST", "/tickets/{}/cancel",
       &Http::ChangeTicket<v1::CancelTicketRequest, v1::CancelTicketResponse>},
      {"POST", "/tickets/{}/retry",
       &Http::ChangeTicket<v1::RetryTicketRequest, v1::RetryTicketResponse>},
      {"GET", "/jobs/{}", &Http::GetJob},
      {"GET", "/sessions/{}", &Http::GetSession},
      {"POST", "/sessions/{}/responses", &Http::SubmitResponse},
      {"POST", "/sessions/{}/messages", &Http::SendMessage},
      {"GET", "/events", &Http::StreamEvents},
      {"GET", "/questions", &Http::ListQuestions},
      {"GET", "/questions/{}", &Http::GetQuestion},
      {"POST", "/webhook/notion", &Http::NotionWebhook, true},
      {"GET", "/health", &Http::Health, true},
      {"GET", "/livez", &Http::Livez, true},
      {"GET", "/readyz", &Http::Readyz, true},
      {"GET", "/metrics", &Http::ShowMetrics},
  };
  return *routes;
}

void Http::OnRequest(HttpRequest request, Responder respond) {
  auto exchange = std::make_shared<Exchange>();
  exchange->request = std::move(request);
  exchange->respond = std::move(respond);
  const HttpRequest& in = exchange->request;
  const std::pair<std::string, std::string> target =
      absl::StrSplit(in.target, absl::MaxSplits('?', 1));
  exchange->query = target.second;
  exchange->caller = {.actor = "anonymous",
                      .via = "http",
                      .traceparent = std::string(in.Header("traceparent")),
                      .address = in.remote_address};
  const absl::string_view origin = in.Header("origin");
  const bool foreign = !origin.empty() && !origins_.Allows(origin, in.Header("host"));
  if (!origin.empty() && !foreign) exchange->cors_origin = std::string(origin);

  const std::string method = in.method == "HEAD" ? "GET" : in.method;
  absl::string_view pattern;
  const Route* found = nullptr;
  std::vector<std::string> methods;
  for (const Route& route : Routes()) {
    if (!pattern.empty() && route.pattern != pattern) continue;
    std::optional<std::vector<std::string>> ids = Match(route.pattern, target.first);
    if (!ids.has_value()) continue;
    pattern = route.pattern;
    exchange->ids = *std::move(ids);
    methods.emplace_back(route.method);
    if (route.method == "GET") methods.emplace_back("HEAD");
    if (route.method == method) found = &route;
  }
  methods.emplace_back("OPTIONS");
  if (const WebFile* file = web_.Find(target.first);
      pattern.empty() && file != nullptr && method == "GET") {
    return SendFile(*file, exchange);
  }
  if (pattern.empty()) return exchange->Fail(absl::NotFoundError("there is nothing at this path"));
  if (in.method == "OPTIONS") return Preflight(exchange, absl::StrJoin(methods, ", "));
  if (found == nullptr) return exchange->Send(MethodNotAllowed(absl::StrJoin(methods, ", ")));
  // A page elsewhere could make a browser send this without being allowed to read the answer.
  if (foreign && method != "GET") return exchange->Fail(ForbiddenOrigin());
  if (method == "POST" && !in.Header("content-type").empty() &&
      !IsJson(in.Header("content-type"))) {
    HttpResponse response = ErrorResponse(
        ErrorWithReason(absl::StatusCode::kInvalidArgument, "unsupported_media_type",
                        "the body must be JSON, with Content-Type: application/json"));
    response.status = 415;
    return exchange->Send(std::move(response));
  }
  if (!found->open) {
    if (absl::Status status = Identify(exchange); !status.ok()) return exchange->Fail(status);
  }
  (this->*found->handler)(exchange);
}

void Http::Preflight(const ExchangePtr& exchange, const std::string& methods) {
  HttpResponse response;
  response.status = 204;
  response.headers.emplace_back("Allow", methods);
  if (!exchange->cors_origin.empty()) {
    response.headers.emplace_back("Access-Control-Allow-Methods", methods);
    response.headers.emplace_back(
        "Access-Control-Allow-Headers",
        "Content-Type, Idempotency-Key, Last-Event-ID, Traceparent, Authorization");
    response.headers.emplace_back("Access-Control-Max-Age", "600");
  }
  exchange->Send(std::move(response));
}

void Http::CreateTicket(const ExchangePtr& exchange) {
  absl::StatusOr<v1::CreateTicketRequest> request = ParseCreateTicket(exchange->request.body);
  if (!request.ok()) return exchange->Fail(request.status());
  exchange->SetRequestId(*request->mutable_request_id());
  const std::optional<Uuid> asked_for = Uuid::Parse(request->ticket_id());
  const std::string ticket_id = asked_for.has_value() ? asked_for->ToString() : std::string();
  commands_.Call(exchange->caller, *std::move(request),
                 [this, exchange, ticket_id](absl::StatusOr<v1::CreateTicketResponse> made) {
                   if (absl::IsAlreadyExists(made.status())) {
                     return AnswerExisting(exchange, made.status(), ticket_id);
                   }
                   if (!made.ok()) return exchange->Fail(made.status());
                   std::string body;
                   JsonWriter json(body);
                   json.BeginObject()
                       .Text("ticket_id", made->ticket_id())
                       .Text("ticket_name", made->ticket().ticket_name())
                       .Text("job_id", made->job_id())
                       .Text("status", StatusWord(made->status()))
                       .EndObject();
                   exchange->Send(JsonResponse(std::move(body)));
                 });
}

void Http::AnswerExisting(const ExchangePtr& exchange, const absl::Status& status,
                          const std::string& ticket_id) {
  v1::GetTicketRequest request;
  request.set_ticket_id(ticket_id);
  commands_.Call(exchange->caller, std::move(request),
                 [exchange, status](absl::StatusOr<v1::GetTicketResponse> found) {
                   std::string more;
                   if (found.ok()) {
                     JsonWriter json(more);
                     json.BeginObject("ticket");
                     WriteTicket(found->ticket(), json);
                     json.EndObject();
                   }
                   exchange->Send(ErrorResponse(status, more));
                 });
}

void Http::ListTickets(const ExchangePtr& exchange) {
  v1::ListTicketsRequest request;
  const absl::StatusOr<int64_t> size =
      NumberParameter(exchange->query, "page_size", 1, kMaxPageSize, 0);
  if (!size.ok()) return exchange->Fail(size.status());
  request.set_page_size(static_cast<int32_t>(*size));
  request.set_page_token(QueryParameter(exchange->query, "page_token").value_or(""));
  if (const auto word = QueryParameter(exchange->query, "status")) {
    const std::optional<v1::JobStatus> status = ParseJobStatus(*word);
    if (!status.has_value()) {
      return exchange->Fail(InvalidField("status", "must be a status such as `queued`"));
    }
    request.set_status(*status);
  }
  commands_.Call(exchange->caller, std::move(request),
                 [exchange](absl::StatusOr<v1::ListTicketsResponse> page) {
                   if (!page.ok()) return exchange->Fail(page.status());
                   exchange->Send(ListResponse("tickets", page->tickets(), WriteTicket,
                                               page->next_page_token(), page->sequence()));
                 });
}

void Http::GetTicket(const ExchangePtr& exchange) {
  const std::optional<std::string> id = exchange->Id("ticket");
  if (!id.has_value()) return;
  v1::GetTicketRequest request;
  request.set_ticket_id(*id);
  commands_.Call(
      exchange->caller, std::move(request),
      [exchange](absl::StatusOr<v1::GetTicketResponse> found) {
        if (!found.ok()) return exchange->Fail(found.status());
        exchange->Send(ResourceResponse(found->ticket(), WriteTicket, found->sequence()));
      });
}

template <typename Request, typename Response>
void Http::ChangeTicket(const ExchangePtr& exchange) {
  const std::optional<std::string> id = exchange->Id("ticket");
  if (!id.has_value()) return;
  absl::StatusOr<std::string> request_id = ParseRequestId(exchange->request.body);
  if (!request_id.ok()) return exchange->Fail(request_id.status());
  Request request;
  request.set_ticket_id(*id);
  request.set_request_id(*std::move(request_id));
  exchange->SetRequestId(*request.mutable_request_id());
  commands_.Call(exchange->caller, std::move(request), [exchange](absl::StatusOr<Response> done) {
    if (!done.ok()) return exchange->Fail(done.status());
    exchange->Send(ResourceResponse(done->ticket(), WriteTicket, done->sequence()));
  });
}

void Http::GetJob(const ExchangePtr& exchange) {
  const std::optional<std::string> id = exchange->Id("job", kJobPrefix);
  if (!id.has_value()) return;
  v1::GetJobRequest request;
  request.set_job_id(*id);
  commands_.Call(exchange->caller, std::move(request),
                 [exchange](absl::StatusOr<v1::GetJobResponse> found) {
                   if (!found.ok()) return exchange->Fail(found.status());
                   exchange->Send(ResourceResponse(found->job(), WriteJob, found->sequence()));
                 });
}

void Http::GetSession(const ExchangePtr& exchange) {
  const std::optional<std::string> id = exchange->Id("session");
  if (!id.has_value()) return;
  const absl::StatusOr<int64_t> size =
      NumberParameter(exchange->query, "page_size", 1, kMaxPageSize, 0);
  if (!size.ok()) return exchange->Fail(size.status());
  const absl::StatusOr<int64_t> after =
      NumberParameter(exchange->query, "after", 0, kMaxSequence, 0);
  if (!after.ok()) return exchange->Fail(after.status());
  v1::ListEventsRequest page;
  page.set_page_size(static_cast<int32_t>(*size));
  page.set_after_sequence(*after);
  // A session belongs to one desk, so its pages need not name it; who does learns when the desk was
  // replaced by a backup of it in between.
  page.set_desk_id(QueryParameter(exchange->query, "desk").value_or(hub_.recent().desk_id()));
  page.mutable_filter()->add_session_ids(*id);
  v1::GetSessionRequest request;
  request.set_session_id(*id);
  commands_.Call(
      exchange->caller, std::move(request),
      [this, exchange, page = std::move(page)](absl::StatusOr<v1::GetSessionResponse> found) {
        if (!found.ok()) return exchange->Fail(found.status());
        ListTranscript(exchange, page, *found);
      });
}

void Http::ListTranscript(const ExchangePtr& exchange, v1::ListEventsRequest request,
                          const v1::GetSessionResponse& session) {
  commands_.Call(exchange->caller, std::move(request),
                 [exchange, session](absl::StatusOr<v1::ListEventsResponse> page) {
                   if (!page.ok()) return exchange->Fail(page.status());
                   std::string body;
                   JsonWriter json(body);
                   json.BeginObject();
                   WriteSession(session.session(), json);
                   json.BeginArray("transcript");
                   for (const v1::Event& event : page->events()) {
                     std::string text;
                     AppendV1Event(event, text);
                     json.Raw(text);
                   }
                   // The session was read first: whoever goes on from there misses nothing of it.
                   json.EndArray()
                       .Text("desk", page->desk_id())
                       .Number("up_to", page->up_to_sequence())
                       .Flag("more", !page->next_page_token().empty())
                       .Number("sequence", session.sequence())
                       .EndObject();
                   exchange->Send(JsonResponse(std::move(body)));
                 });
}

void Http::StreamEvents(const ExchangePtr& exchange) {
  absl::StatusOr<Subscribe> subscribe =
      ParseStreamRequest(exchange->query, exchange->request.Header("last-event-id"));
  if (!subscribe.ok()) return exchange->Fail(subscribe.status());
  if (exchange->user.has_value()) {
    const absl::Status status = CheckMayFollow(*exchange->user);
    if (!status.ok()) return exchange->Fail(status);
    if (!hub_.limits().HasRoom(*exchange->user)) {
      ++hub_.limits().refused().user_connections;
      return exchange->Fail(TooManyConnections());
    }
  }
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.headers.emplace_back("Cache-Control", "no-store");
  // Reverse proxies that know this header pass each event on at once.
  response.headers.emplace_back("X-Accel-Buffering", "no");
  response.stream = hub_.MakeConnection({.protocol = Protocol::kStream,
                                         .caller = exchange->caller,
                                         .user = exchange->user,
                                         .subscribe = *std::move(subscribe)});
  exchange->Send(std::move(response));
}

void Http::ListQuestions(const ExchangePtr& exchange) {
  v1::ListQuestionsRequest request;
  const absl::StatusOr<int64_t> size =
      NumberParameter(exchange->query, "page_size", 1, kMaxPageSize, 0);
  if (!size.ok()) return exchange->Fail(size.status());
  request.set_page_size(static_cast<int32_t>(*size));
  request.set_page_token(QueryParameter(exchange->query, "page_token").value_or(""));
  request.set_session_id(QueryParameter(exchange->query, "session_id").value_or(""));
  if (const auto word = QueryParameter(exchange->query, "state")) {
    const std::optional<v1::QuestionState> state = ParseQuestionState(*word);
    if (!state.has_value()) {
      return exchange->Fail(InvalidField("state", "must be a state such as `open`"));
    }
    request.set_state(*state);
  }
  commands_.Call(exchange->caller, std::move(request),
                 [exchange](absl::StatusOr<v1::ListQuestionsResponse> page) {
                   if (!page.ok()) return exchange->Fail(page.status());
                   exchange->Send(ListResponse("questions", page->questions(), WriteQuestion,
                                               page->next_page_token(), page->sequence()));
                 });
}

void Http::GetQuestion(const ExchangePtr& exchange) {
  const std::optional<std::string> id = exchange->Id("question");
  if (!id.has_value()) return;
  v1::GetQuestionRequest request;
  request.set_question_id(*id);
  commands_.Call(
      exchange->caller, std::move(request),
      [exchange](absl::StatusOr<v1::GetQuestionResponse> found) {
        if (!found.ok()) return exchange->Fail(found.status());
        exchange->Send(ResourceResponse(found->question(), WriteQuestion, found->sequence()));
      });
}

void Http::SubmitResponse(const ExchangePtr& exchange) {
  absl::StatusOr<v1::SubmitResponseRequest> request = ParseSubmitResponse(exchange->request.body);
  if (!request.ok()) return exchange->Fail(request.status());
  exchange->SetRequestId(*request->mutable_request_id());
  const std::string session_id = exchange->ids[0];
  const std::optional<Uuid> session = Uuid::Parse(session_id);
  if (!session.has_value()) {
    return exchange->Send(JsonResponse(UnknownSessionBody(session_id)));
  }
  request->set_session_id(session->ToString());
  if (!request->question_id().empty()) {
    // What is no id is sent as one that no question has, so that the core's order of judging holds.
    request->set_question_id(Uuid::Parse(request->question_id()).value_or(Uuid{}).ToString());
  }
  const std::string request_id = request->request_id();
  commands_.Call(
      exchange->caller, *std::move(request),
      [exchange, session_id, request_id](absl::StatusOr<v1::SubmitResponseResponse> outcome) {
        if (!outcome.ok()) return exchange->Fail(outcome.status());
        exchange->Send(JsonResponse(OutcomeBody(session_id, request_id, *outcome)));
      });
}

void Http::SendMessage(const ExchangePtr& exchange) {
  const std::optional<std::string> id = exchange->Id("session");
  if (!id.has_value()) return;
  absl::StatusOr<v1::SendMessageRequest> request = ParseSendMessage(exchange->request.body);
  if (!request.ok()) return exchange->Fail(request.status());
  request->set_session_id(*id);
  exchange->SetRequestId(*request->mutable_request_id());
  commands_.Call(exchange->caller, *std::move(request),
                 [exchange](absl::StatusOr<v1::SendMessageResponse> sent) {
                   if (!sent.ok()) return exchange->Fail(sent.status());
                   std::string body;
                   JsonWriter json(body);
                   json.BeginObject().Number("sequence", sent->sequence()).EndObject();
                   exchange->Send(JsonResponse(std::move(body)));
                 });
}

void Http::Health(const ExchangePtr& exchange) {
  exchange->Send(JsonResponse(R"({"status":"ok","service":"agentdesk-gateway"})"));
}

void Http::Livez(const ExchangePtr& exchange) {
  exchange->Send(JsonResponse(R"({"status":"ok"})"));
}

void Http::Readyz(const ExchangePtr& exchange) {
  if (state_.ready()) return exchange->Send(JsonResponse(R"({"status":"ok"})"));
  exchange->Fail(absl::UnavailableError(state_.draining ? "the gateway drains"
                                                        : "the core cannot be reached"));
}

// With authentication on for anyone who has proved who they are: figures hold no names, but say
// much of what goes on.
void Http::ShowMetrics(const ExchangePtr& exchange) {
  HttpResponse response;
  response.content_type = kMetricsContentType;
  response.body = metrics_.Text();
  exchange->Send(std::move(response));
}

void Http::Page(const ExchangePtr& exchange) {
  if (const WebFile* page = web_.Find("/"); page != nullptr) return SendFile(*page, exchange);
  HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.body = std::string(StartPageHtml());
  response.headers.emplace_back("Content-Security-Policy",
                                "default-src 'none'; script-src 'unsafe-inline'; style-src "
                                "'unsafe-inline'; connect-src 'self' ws: wss:; frame-ancestors "
                                "'none'; base-uri 'none'; form-action 'none'");
  AddPageHeaders(response);
  exchange->Send(std::move(response));
}

void Http::SendFile(const WebFile& file, const ExchangePtr& exchange) {
  HttpResponse response;
  response.headers.emplace_back("ETag", file.etag);
  // The page itself is asked for each time, so that a new gateway's page is seen at once.
  response.headers.emplace_back(
      "Cache-Control", file.immutable ? "public, max-age=31536000, immutable" : "no-cache");
  response.headers.emplace_back("Content-Security-Policy", std::string(ContentSecurityPolicy()));
  AddPageHeaders(response);
  if (NamesTag(exchange->request.Header("if-none-match"), file.etag)) {
    response.status = 304;
  } else {
    response.content_type = file.content_type;
    response.body = file.bytes;
  }
  exchange->Send(std::move(response));
}

}  // namespace agentdesk::gateway
