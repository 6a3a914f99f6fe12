#include "ws_gateway/resource_json.h"

#include <map>

#include "core_service/base/timestamp.h"

namespace agentdesk::gateway {
namespace {

void WriteTimeIfSet(absl::string_view name, bool set, const google::protobuf::Timestamp& time,
                    JsonWriter& json) {
  if (set) WriteTime(name, time, json);
}

void WriteTexts(absl::string_view name,
                const google::protobuf::RepeatedPtrField<std::string>& texts, JsonWriter& json) {
  json.BeginArray(name);
  for (const std::string& text : texts) json.Text(text);
  json.EndArray();
}

void WriteChoices(const v1::Question& question, JsonWriter& json) {
  if (question.choices().empty()) return;
  json.BeginArray("choices");
  for (const v1::Choice& choice : question.choices()) {
    json.BeginObject()
        .Text("value", choice.value())
        .TextIfAny("label", choice.label())
        .TextIfAny("description", choice.description())
        .EndObject();
  }
  json.EndArray();
}

void WriteMayAnswer(const v1::MayAnswer& may_answer, JsonWriter& json) {
  json.BeginObject("may_answer");
  if (!may_answer.users().empty()) WriteTexts("users", may_answer.users(), json);
  if (!may_answer.groups().empty()) WriteTexts("groups", may_answer.groups(), json);
  if (!may_answer.roles().empty()) WriteTexts("roles", may_answer.roles(), json);
  json.EndObject();
}

}  // namespace

void WriteActor(absl::string_view name, const v1::Actor& actor, JsonWriter& json) {
  json.BeginObject(name).Text("id", actor.id()).Text("via", actor.via()).EndObject();
}

void WriteTime(absl::string_view name, const google::protobuf::Timestamp& time, JsonWriter& json) {
  json.Text(name, FormatTimestamp(time));
}

void WriteResponse(absl::string_view name, absl::string_view response,
                   const google::protobuf::RepeatedPtrField<std::string>& responses,
                   JsonWriter& json) {
  if (responses.empty()) {
    json.Text(name, response);
  } else {
    WriteTexts(name, responses, json);
  }
}

void WriteTicket(const v1::Ticket& ticket, JsonWriter& json) {
  json.Text("ticket_id", ticket.ticket_id())
      .Text("ticket_name", ticket.ticket_name())
      .Text("description", ticket.description())
      .BeginObject("labels");
  // Sorted, so that the same ticket is always the same text.
  const std::map<std::string, std::string> labels(ticket.labels().begin(), ticket.labels().end());
  for (const auto& [key, value] : labels) json.NameAndText(key, value);
  json.EndObject().Text("queue", ticket.queue()).Number("priority", ticket.priority());
  WriteTimeIfSet("run_after", ticket.has_run_after(), ticket.run_after(), json);
  json.Number("max_attempts", ticket.max_attempts())
      .Number("timeout_s", ticket.timeout_s())
      .Text("status", StatusWord(ticket.status()))
      .Number("open_questions", ticket.open_questions())
      .Text("job_id", ticket.job_id())
      .Text("session_id", ticket.session_id());
  WriteTimeIfSet("create_time", ticket.has_create_time(), ticket.create_time(), json);
  WriteTimeIfSet("update_time", ticket.has_update_time(), ticket.update_time(), json);
  WriteActor("created_by", ticket.created_by(), json);
  json.TextIfAny("tenant", ticket.tenant()).TextIfAny("trace_id", ticket.trace_id());
}

void WriteJob(const v1::Job& job, JsonWriter& json) {
  json.Text("job_id", job.job_id())
      .Text("ticket_id", job.ticket_id())
      .Text("session_id", job.session_id())
      .Text("status", StatusWord(job.status()))
      .Number("attempt", job.attempt())
      .Number("failed_attempts", job.failed_attempts())
      .TextIfAny("worker", job.worker());
  WriteTimeIfSet("lease_expires_at", job.has_lease_expires_at(), job.lease_expires_at(), json);
  WriteTimeIfSet("next_attempt_at", job.has_next_attempt_at(), job.next_attempt_at(), json);
  json.TextIfAny("last_error", job.last_error())
      .TextIfAny("summary", job.summary())
      .RawIfAny("result", job.result_json())
      .Text("queue", job.queue())
      .Number("priority", job.priority());
  WriteTimeIfSet("create_time", job.has_create_time(), job.create_time(), json);
  WriteTimeIfSet("end_time", job.has_end_time(), job.end_time(), json);
  WriteActor("created_by", job.created_by(), json);
  json.TextIfAny("tenant", job.tenant()).TextIfAny("trace_id", job.trace_id());
}

void WriteSession(const v1::Session& session, JsonWriter& json) {
  json.Text("session_id", session.session_id())
      .Text("ticket_id", session.ticket_id())
      .Text("state", StateWord(session.state()))
      .Number("open_questions", session.open_questions());
  WriteTimeIfSet("create_time", session.has_create_time(), session.create_time(), json);
  WriteTimeIfSet("close_time", session.has_close_time(), session.close_time(), json);
  WriteActor("created_by", session.created_by(), json);
  json.TextIfAny("tenant", session.tenant()).TextIfAny("trace_id", session.trace_id());
}

void WriteAsked(const v1::Question& question, JsonWriter& json) {
  json.Text("content", question.content());
  WriteChoices(question, json);
  json.Flag("free_text", question.free_text()).Flag("multiple", question.multiple());
  if (question.has_default_response() || !question.default_responses().empty()) {
    WriteResponse("default", question.default_response(), question.default_responses(), json);
  }
  WriteTimeIfSet("expires_at", question.has_expires_at(), question.expires_at(), json);
  if (question.has_may_answer()) WriteMayAnswer(question.may_answer(), json);
  json.RawIfAny("details", question.details_json());
  if (question.sensitive()) json.Flag("sensitive", true);
  json.TextIfAny("kind", question.kind()).TextIfAny("key", question.key());
}

void WriteQuestion(const v1::Question& question, JsonWriter& json) {
  json.Text("question_id", question.question_id())
      .Text("session_id", question.session_id())
      .Text("ticket_id", question.ticket_id())
      .Text("job_id", question.job_id())
      .Number("attempt", question.attempt())
      .Text("state", StateWord(question.state()));
  WriteAsked(question, json);
  if (question.state() == v1::QUESTION_STATE_ANSWERED) {
    WriteResponse("response", question.response(), question.responses(), json);
    json.Text("answered_by", question.answered_by().id());
  }
  WriteTimeIfSet("create_time", question.has_create_time(), question.create_time(), json);
  WriteTimeIfSet("close_time", question.has_close_time(), question.close_time(), json);
  json.Number("asked_sequence", question.asked_sequence());
  if (question.closed_sequence() != 0) json.Number("closed_sequence", question.closed_sequence());
  if (question.has_asked_by()) WriteActor("asked_by", question.asked_by(), json);
  json.TextIfAny("tenant", question.tenant()).TextIfAny("trace_id", question.trace_id());
}

absl::string_view StatusWord(v1::JobStatus status) {
  switch (status) {
    case v1::JOB_STATUS_QUEUED:
      return "queued";
    case v1::JOB_STATUS_RUNNING:
      return "running";
    case v1::JOB_STATUS_WAITING:
      return "waiting";
    case v1::JOB_STATUS_CANCELLING:
      return "cancelling";
    case v1::JOB_STATUS_COMPLETED:
      return "completed";
    case v1::JOB_STATUS_FAILED:
      return "failed";
    case v1::JOB_STATUS_CANCELLED:
      return "cancelled";
    default:
      return "";
  }
}

absl::string_view StateWord(v1::SessionState state) {
  switch (state) {
    case v1::SESSION_STATE_OPEN:
      return "open";
    case v1::SESSION_STATE_CLOSED:
      return "closed";
    default:
      return "";
  }
}

absl::string_view StateWord(v1::QuestionState state) {
  switch (state) {
    case v1::QUESTION_STATE_OPEN:
      return "open";
    case v1::QUESTION_STATE_ANSWERED:
      return "answered";
    case v1::QUESTION_STATE_EXPIRED:
      return "expired";
    case v1::QUESTION_STATE_WITHDRAWN:
      return "withdrawn";
    default:
      return "";
  }
}

absl::string_view OutcomeWord(v1::ResponseOutcome outcome) {
  switch (outcome) {
    case v1::RESPONSE_OUTCOME_RECEIVED:
      return "received";
    case v1::RESPONSE_OUTCOME_ALREADY_ANSWERED:
      return "already_answered";
    case v1::RESPONSE_OUTCOME_EXPIRED:
      return "expired";
    case v1::RESPONSE_OUTCOME_WITHDRAWN:
      return "withdrawn";
    case v1::RESPONSE_OUTCOME_AMBIGUOUS:
      return "ambiguous";
    case v1::RESPONSE_OUTCOME_INVALID_RESPONSE:
      return "invalid_response";
    case v1::RESPONSE_OUTCOME_UNKNOWN_SESSION:
      return "unknown_session";
    case v1::RESPONSE_OUTCOME_UNKNOWN_QUESTION:
      return "unknown_question";
    case v1::RESPONSE_OUTCOME_SESSION_CLOSED:
      return "session_closed";
    case v1::RESPONSE_OUTCOME_FORBIDDEN:
      return "forbidden";
    default:
      return "";
  }
}

std::optional<v1::JobStatus> ParseJobStatus(absl::string_view word) {
  for (int value = v1::JobStatus_MIN + 1; value <= v1::JobStatus_MAX; ++value) {
    const auto status = static_cast<v1::JobStatus>(value);
    if (StatusWord(status) == word) return status;
  }
  return std::nullopt;
}

std::optional<v1::QuestionState> ParseQuestionState(absl::string_view word) {
  for (int value = v1::QuestionState_MIN + 1; value <= v1::QuestionState_MAX; ++value) {
    const auto state = static_cast<v1::QuestionState>(value);
    if (StateWord(state) == word) return state;
  }
  return std::nullopt;
}

}  // namespace agentdesk::gateway
