#include "tools/event_json.h"

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "core_service/base/timestamp.h"

namespace agentdesk::tools {
namespace {

template <typename Texts>
void AddTextOrTexts(JsonLine& line, absl::string_view name, const std::string& text,
                    const Texts& texts) {
  if (texts.empty()) {
    line.Add(name, text);
  } else {
    line.AddTexts(name, texts);
  }
}

void AddTime(JsonLine& line, absl::string_view name, bool set,
             const google::protobuf::Timestamp& time) {
  if (set) line.Add(name, FormatTimestamp(time));
}

void AddActor(JsonLine& line, absl::string_view name, const v1::Actor& actor) {
  line.AddJson(name, JsonLine().Add("id", actor.id()).Add("via", actor.via()).Text());
}

void AddDefault(JsonLine& line, const v1::Question& question) {
  if (question.default_responses_size() > 0) {
    line.AddTexts("default", question.default_responses());
  } else if (question.has_default_response()) {
    line.Add("default", question.default_response());
  }
}

std::string LabelsJson(const v1::Ticket& ticket) {
  // A protobuf map has no order of its own.
  JsonLine labels;
  const std::map<std::string, std::string> sorted(ticket.labels().begin(), ticket.labels().end());
  for (const auto& [key, value] : sorted) labels.Add(key, value);
  return labels.Text();
}

std::string ChoicesJson(const v1::Question& question) {
  std::string choices = "[";
  for (const v1::Choice& choice : question.choices()) {
    JsonLine line;
    line.Add("value", choice.value());
    if (!choice.label().empty()) line.Add("label", choice.label());
    if (!choice.description().empty()) line.Add("description", choice.description());
    absl::StrAppend(&choices, choices.size() > 1 ? "," : "", line.Text());
  }
  return absl::StrCat(choices, "]");
}

// What the asker said, without where the question stands.
void AddQuestionAsked(JsonLine& line, const v1::Question& question) {
  line.Add("question_id", question.question_id());
  if (!question.key().empty()) line.Add("key", question.key());
  line.Add("content", question.content());
  if (question.choices_size() > 0) line.AddJson("choices", ChoicesJson(question));
  line.Add("free_text", question.free_text()).Add("multiple", question.multiple());
  AddDefault(line, question);
  AddTime(line, "expires_at", question.has_expires_at(), question.expires_at());
  if (question.has_may_answer()) {
    line.AddJson("may_answer", JsonLine()
                                   .AddTexts("users", question.may_answer().users())
                                   .AddTexts("groups", question.may_answer().groups())
                                   .AddTexts("roles", question.may_answer().roles())
                                   .Text());
  }
  if (!question.details_json().empty()) line.AddJson("details", OneLine(question.details_json()));
  if (question.sensitive()) line.Add("sensitive", true);
}

void AddToolCall(JsonLine& line, const v1::ToolCall& call) {
  line.Add("tool_name", call.tool_name())
      .Add("title", call.title())
      .Add("content", call.content())
      .Add("output_type", call.output_type());
  if (!call.key().empty()) line.Add("key", call.key());
  if (call.truncated()) line.Add("truncated", true).Add("size", call.size());
}

void AddQuestionOver(JsonLine& line, absl::string_view question_id, absl::string_view key) {
  line.Add("question_id", question_id);
  if (!key.empty()) line.Add("key", key);
}

void AddAnswered(JsonLine& line, const v1::Event& event) {
  const v1::QuestionAnswered& answered = event.question_answered();
  AddQuestionOver(line, answered.question_id(), answered.key());
  AddTextOrTexts(line, "response", answered.response(), answered.responses());
  line.Add("answered_by", event.actor().id());
  if (answered.sensitive()) line.Add("sensitive", true);
}

void AddExpired(JsonLine& line, const v1::QuestionExpired& expired) {
  AddQuestionOver(line, expired.question_id(), expired.key());
  if (expired.default_responses_size() > 0) {
    line.AddTexts("default", expired.default_responses());
  } else if (expired.has_default_response()) {
    line.Add("default", expired.default_response());
  }
}

void AddRequeued(JsonLine& line, const v1::JobRequeued& requeued) {
  line.Add("reason", Word(requeued.reason()));
  if (!requeued.error().empty()) line.Add("error", requeued.error());
  AddTime(line, "next_attempt_at", requeued.has_next_attempt_at(), requeued.next_attempt_at());
  line.Add("failed_attempts", requeued.failed_attempts());
}

void AddPayload(JsonLine& line, const v1::Event& event) {
  switch (event.payload_case()) {
    case v1::Event::kTicketCreated:
      line.Add("ticket_name", event.ticket_created().ticket().ticket_name())
          .AddJson("ticket", ToJson(event.ticket_created().ticket()));
      break;
    case v1::Event::kTicketUpdated:
      line.AddJson("ticket", ToJson(event.ticket_updated().ticket()));
      break;
    case v1::Event::kTicketCancelled:
      line.Add("ticket_name", event.ticket_cancelled().ticket_name())
          .Add("status", Word(event.ticket_cancelled().status()));
      break;
    case v1::Event::kAgentStarted:
      line.Add("ticket_name", event.agent_started().ticket_name())
          .Add("worker", event.agent_started().worker());
      break;
    case v1::Event::kAgentMessage:
      line.Add("content", event.agent_message().content());
      if (!event.agent_message().key().empty()) line.Add("key", event.agent_message().key());
      break;
    case v1::Event::kToolCall:
      AddToolCall(line, event.tool_call());
      break;
    case v1::Event::kAgentQuestion:
      AddQuestionAsked(line, event.agent_question().question());
      break;
    case v1::Event::kQuestionAnswered:
      AddAnswered(line, event);
      break;
    case v1::Event::kQuestionExpired:
      AddExpired(line, event.question_expired());
      break;
    case v1::Event::kQuestionWithdrawn:
      AddQuestionOver(line, event.question_withdrawn().question_id(),
                      event.question_withdrawn().key());
      break;
    case v1::Event::kUserMessage:
      line.Add("content", event.user_message().content()).Add("from", event.actor().id());
      break;
    case v1::Event::kJobRequeued:
      AddRequeued(line, event.job_requeued());
      break;
    case v1::Event::kAgentComplete:
      line.Add("status", Word(event.agent_complete().status()));
      line.Add("summary", event.agent_complete().summary());
      line.AddJson("result", OneLine(event.agent_complete().result_json()));
      break;
    case v1::Event::kAgentError:
      line.Add("error", event.agent_error().error())
          .Add("failed_attempts", event.agent_error().failed_attempts());
      break;
    case v1::Event::kJobWaiting:
    case v1::Event::PAYLOAD_NOT_SET:
      break;
  }
}

// The name of an enum's value without the prefix that all its values share.
template <typename Enum>
std::string WordOf(const std::string& name, Enum value, absl::string_view prefix) {
  if (name.empty()) return absl::StrCat("unknown_", static_cast<int>(value));
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

}  // namespace

std::string Word(v1::JobStatus status) {
  return WordOf(v1::JobStatus_Name(status), status, "JOB_STATUS_");
}
std::string Word(v1::QuestionState state) {
  return WordOf(v1::QuestionState_Name(state), state, "QUESTION_STATE_");
}
std::string Word(v1::SessionState state) {
  return WordOf(v1::SessionState_Name(state), state, "SESSION_STATE_");
}
std::string Word(v1::ResponseOutcome outcome) {
  return WordOf(v1::ResponseOutcome_Name(outcome), outcome, "RESPONSE_OUTCOME_");
}
std::string Word(v1::RequeueReason reason) {
  return WordOf(v1::RequeueReason_Name(reason), reason, "REQUEUE_REASON_");
}
std::string Word(v1::StartReason reason) {
  return WordOf(v1::StartReason_Name(reason), reason, "START_REASON_");
}

std::string TypeWord(const v1::Event& event) {
  const auto* field = v1::Event::descriptor()->FindFieldByNumber(event.payload_case());
  return field == nullptr ? "unknown" : field->name();
}

v1::JobStatus StatusOfWord(absl::string_view word) {
  v1::JobStatus status = v1::JOB_STATUS_UNSPECIFIED;
  if (!v1::JobStatus_Parse(absl::StrCat("JOB_STATUS_", absl::AsciiStrToUpper(word)), &status)) {
    return v1::JOB_STATUS_UNSPECIFIED;
  }
  return status;
}

std::string ToJson(const v1::Event& event) {
  JsonLine line;
  line.Add("type", TypeWord(event))
      .Add("sequence", event.sequence())
      .Add("timestamp", FormatTimestamp(event.time()))
      .Add("ticket_id", event.ticket_id());
  if (!event.session_id().empty()) line.Add("session_id", event.session_id());
  if (!event.job_id().empty()) line.Add("job_id", event.job_id());
  if (event.attempt() > 0) line.Add("attempt", event.attempt());
  AddActor(line, "actor", event.actor());
  AddPayload(line, event);
  return line.Text();
}

std::string ToJson(const v1::Ticket& ticket) {
  JsonLine line;
  line.Add("ticket_id", ticket.ticket_id())
      .Add("ticket_name", ticket.ticket_name())
      .Add("description", ticket.description())
      .AddJson("labels", LabelsJson(ticket))
      .Add("queue", ticket.queue())
      .Add("priority", ticket.priority());
  AddTime(line, "run_after", ticket.has_run_after(), ticket.run_after());
  line.Add("max_attempts", ticket.max_attempts());
  if (ticket.timeout_s() > 0) line.Add("timeout_s", ticket.timeout_s());
  line.Add("status", Word(ticket.status()))
      .Add("open_questions", ticket.open_questions())
      .Add("job_id", ticket.job_id())
      .Add("session_id", ticket.session_id());
  AddTime(line, "created_at", ticket.has_create_time(), ticket.create_time());
  AddTime(line, "updated_at", ticket.has_update_time(), ticket.update_time());
  AddActor(line, "created_by", ticket.created_by());
  return line.Text();
}

std::string ToJson(const v1::Question& question) {
  JsonLine line;
  AddQuestionAsked(line, question);
  line.Add("session_id", question.session_id())
      .Add("ticket_id", question.ticket_id())
      .Add("job_id", question.job_id())
      .Add("state", Word(question.state()));
  if (question.state() == v1::QUESTION_STATE_ANSWERED) {
    AddTextOrTexts(line, "response", question.response(), question.responses());
    line.Add("answered_by", question.answered_by().id());
  }
  AddTime(line, "created_at", question.has_create_time(), question.create_time());
  AddTime(line, "closed_at", question.has_close_time(), question.close_time());
  return line.Text();
}

std::string ToJson(const v1::Session& session) {
  JsonLine line;
  line.Add("session_id", session.session_id())
      .Add("ticket_id", session.ticket_id())
      .Add("state", Word(session.state()))
      .Add("open_questions", session.open_questions());
  AddTime(line, "created_at", session.has_create_time(), session.create_time());
  AddTime(line, "closed_at", session.has_close_time(), session.close_time());
  return line.Text();
}

std::string ToJson(const v1::Job& job) {
  JsonLine line;
  line.Add("job_id", job.job_id())
      .Add("ticket_id", job.ticket_id())
      .Add("session_id", job.session_id())
      .Add("status", Word(job.status()))
      .Add("attempt", job.attempt())
      .Add("failed_attempts", job.failed_attempts());
  if (!job.worker().empty()) line.Add("worker", job.worker());
  AddTime(line, "lease_expires_at", job.has_lease_expires_at(), job.lease_expires_at());
  AddTime(line, "next_attempt_at", job.has_next_attempt_at(), job.next_attempt_at());
  if (!job.last_error().empty()) line.Add("last_error", job.last_error());
  if (!job.summary().empty()) line.Add("summary", job.summary());
  if (!job.result_json().empty()) line.AddJson("result", OneLine(job.result_json()));
  AddTime(line, "created_at", job.has_create_time(), job.create_time());
  AddTime(line, "ended_at", job.has_end_time(), job.end_time());
  return line.Text();
}

}  // namespace agentdesk::tools
