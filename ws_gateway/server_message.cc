#include "ws_gateway/server_message.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "ws_gateway/json_writer.h"
#include "ws_gateway/resource_json.h"

namespace agentdesk::gateway {
namespace {

// What a client may rely on, so that it can check before it sends.
// Without `body_bytes`, which the configuration says.
constexpr absl::string_view kLimits =
    R"("ticket_name_characters":500,"content_bytes":32768,"response_bytes":16384,)"
    R"("summary_bytes":4096,"json_bytes":32768,"choices":20,"choice_characters":500,)"
    R"("question_bytes":65536,"labels":20,"event_bytes":131072,"message_bytes":262144,)"
    R"("open_questions":100)";

constexpr absl::string_view kNoSuchSession = "the desk knows no such session";

// The plain protocol repeats the request id alone; it comes last in both.
void WriteEcho(const Echo& echo, Protocol protocol, JsonWriter& json) {
  if (protocol == Protocol::kV1 && echo.question_id.has_value()) {
    json.Text("question_id", *echo.question_id);
  }
  if (echo.request_id.has_value()) json.Text("request_id", *echo.request_id);
}

}  // namespace

std::string PongMessage() { return R"({"type":"pong"})"; }

std::string ErrorMessage(const absl::Status& status, const Echo& echo, Protocol protocol) {
  const ErrorDetail detail = DetailOf(status);
  std::string text;
  JsonWriter json(text);
  const absl::string_view message = status.message();
  json.BeginObject().Text("type", "error").Text("code", detail.reason).Text("message", message);
  if (protocol == Protocol::kV1) json.TextIfAny("field", detail.field);
  if (detail.retry_after.has_value()) {
    json.Number("retry_after_ms", absl::ToInt64Milliseconds(*detail.retry_after));
  }
  WriteEcho(echo, protocol, json);
  json.EndObject();
  return text;
}

std::string ResponseAck(absl::string_view session_id, const v1::SubmitResponseResponse& outcome,
                        const Echo& echo, Protocol protocol) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject()
      .Text("type", "ack")
      .Text("session_id", session_id)
      .Text("status", OutcomeWord(outcome.outcome()));
  if (outcome.outcome() == v1::RESPONSE_OUTCOME_ALREADY_ANSWERED) {
    json.Text("answered_by", outcome.answered_by().id());
    WriteResponse("response", outcome.response(), outcome.responses(), json);
  }
  if (outcome.outcome() != v1::RESPONSE_OUTCOME_RECEIVED) json.Text("message", outcome.message());
  Echo judged = echo;
  if (protocol == Protocol::kV1) {
    json.Number("sequence", outcome.sequence());
    if (!judged.question_id.has_value() && !outcome.question_id().empty()) {
      judged.question_id = outcome.question_id();
    }
  }
  WriteEcho(judged, protocol, json);
  json.EndObject();
  return text;
}

std::string OutcomeAck(absl::string_view session_id, absl::string_view outcome,
                       absl::string_view message, int64_t sequence, const Echo& echo,
                       Protocol protocol) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject()
      .Text("type", "ack")
      .Text("session_id", session_id)
      .Text("status", outcome)
      .Text("message", message);
  if (protocol == Protocol::kV1 && sequence != 0) json.Number("sequence", sequence);
  WriteEcho(echo, protocol, json);
  json.EndObject();
  return text;
}

std::string UnknownSessionAck(absl::string_view session_id, int64_t sequence, const Echo& echo,
                              Protocol protocol) {
  return OutcomeAck(session_id, "unknown_session", kNoSuchSession, sequence, echo, protocol);
}

std::string TicketAckMessage(const TicketAck& ack, const Echo& echo) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject()
      .Text("type", "ack")
      .TextIfAny("ticket_id", ack.ticket_id)
      .TextIfAny("job_id", ack.job_id)
      .Text("status", ack.status)
      .TextIfAny("message", ack.message);
  if (ack.sequence != 0) json.Number("sequence", ack.sequence);
  WriteEcho(echo, Protocol::kV1, json);
  json.EndObject();
  return text;
}

std::string MessageAck(absl::string_view session_id, int64_t sequence, const Echo& echo) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject()
      .Text("type", "ack")
      .Text("session_id", session_id)
      .Text("status", "received")
      .Number("sequence", sequence);
  WriteEcho(echo, Protocol::kV1, json);
  json.EndObject();
  return text;
}

std::string OutcomeBody(absl::string_view session_id, absl::string_view request_id,
                        const v1::SubmitResponseResponse& outcome) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject()
      .Text("session_id", session_id)
      .Text("status", OutcomeWord(outcome.outcome()))
      .TextIfAny("question_id", outcome.question_id());
  if (outcome.outcome() == v1::RESPONSE_OUTCOME_ALREADY_ANSWERED) {
    json.Text("answered_by", outcome.answered_by().id());
    WriteResponse("response", outcome.response(), outcome.responses(), json);
  }
  json.TextIfAny("message", outcome.message())
      .Number("sequence", outcome.sequence())
      .TextIfAny("request_id", request_id)
      .EndObject();
  return text;
}

std::string UnknownSessionBody(absl::string_view session_id) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject()
      .Text("session_id", session_id)
      .Text("status", "unknown_session")
      .Text("message", kNoSuchSession)
      .EndObject();
  return text;
}

std::string AuthenticatedAck(absl::string_view user, absl::Time until, const Echo& echo) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject().Text("type", "ack").Text("status", "authenticated").Text("user", user);
  WriteTime("token_expires_at", ToProto(until), json);
  WriteEcho(echo, Protocol::kV1, json);
  json.EndObject();
  return text;
}

std::string HelloMessage(const Hello& hello) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject()
      .Text("type", "hello")
      .Text("protocol", "agentdesk.v1")
      .Text("desk", hello.desk_id)
      .Number("sequence", hello.sequence)
      .Text("user", hello.user);
  if (hello.user_until != absl::InfiniteFuture()) {
    WriteTime("token_expires_at", ToProto(hello.user_until), json);
  }
  json.Number("heartbeat_ms", absl::ToInt64Milliseconds(hello.heartbeat))
      .Raw("limits", absl::StrCat("{", kLimits, ",\"body_bytes\":", hello.body_bytes, "}"));
  WriteTime("time", ToProto(hello.time), json);
  json.EndObject();
  return text;
}

std::string SubscribedMessage(int64_t up_to) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject().Text("type", "subscribed").Number("up_to", up_to).EndObject();
  return text;
}

std::string PositionMessage(int64_t up_to, absl::Time time) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject().Text("type", "position").Number("up_to", up_to);
  WriteTime("time", ToProto(time), json);
  json.EndObject();
  return text;
}

Gap GapOf(const absl::Status& refusal) {
  ErrorDetail detail = DetailOf(refusal);
  Gap gap{.reason = std::move(detail.reason), .desk_id = {}, .available_from = 0};
  for (auto& [name, value] : detail.metadata) {
    if (name == "desk_id") {
      gap.desk_id = std::move(value);
    } else if (name == "available_from") {
      (void)absl::SimpleAtoi(value, &gap.available_from);
    }
  }
  return gap;
}

std::string GapMessage(const Gap& gap) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject()
      .Text("type", "gap")
      .Text("reason", gap.reason)
      .Text("desk", gap.desk_id)
      .Number("available_from", gap.available_from)
      .EndObject();
  return text;
}

}  // namespace agentdesk::gateway
