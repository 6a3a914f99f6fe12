#include "tools/event_json.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tools/json_line.h"
#include "ws_gateway/event_json.h"
#include "ws_gateway/resource_json.h"

namespace agentdesk::tools {
namespace {

// What browsers get may hold line breaks, where stored JSON does.
template <typename Resource>
std::string ObjectLine(const Resource& resource,
                       void (*write)(const Resource&, gateway::JsonWriter&)) {
  std::string text;
  gateway::JsonWriter json(text);
  json.BeginObject();
  write(resource, json);
  json.EndObject();
  return OneLine(text);
}

// The name of an enum's value without the prefix that all its values share.
template <typename Enum>
std::string WordOf(const std::string& name, Enum value, absl::string_view prefix) {
  if (name.empty()) return absl::StrCat("unknown_", static_cast<int>(value));
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

}  // namespace

std::string ToJson(const v1::Event& event) {
  std::string text;
  gateway::AppendV1Event(event, text);
  return OneLine(text);
}

std::string ToJson(const v1::Ticket& ticket) { return ObjectLine(ticket, gateway::WriteTicket); }
std::string ToJson(const v1::Question& question) {
  return ObjectLine(question, gateway::WriteQuestion);
}
std::string ToJson(const v1::Session& session) {
  return ObjectLine(session, gateway::WriteSession);
}
std::string ToJson(const v1::Job& job) { return ObjectLine(job, gateway::WriteJob); }

std::string Word(v1::JobStatus status) {
  return WordOf(v1::JobStatus_Name(status), status, "JOB_STATUS_");
}
std::string Word(v1::QuestionState state) {
  return WordOf(v1::QuestionState_Name(state), state, "QUESTION_STATE_");
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

v1::JobStatus StatusOfWord(absl::string_view word) {
  return gateway::ParseJobStatus(word).value_or(v1::JOB_STATUS_UNSPECIFIED);
}

}  // namespace agentdesk::tools
