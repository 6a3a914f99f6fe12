#include "tools/agentdesk-worker/agent_protocol.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/json/parse.hpp"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "tools/agentdesk-worker/json_fields.h"
#include "tools/event_json.h"
#include "tools/json_line.h"
#include "tools/utf8.h"

namespace agentdesk::worker {
namespace {

namespace json = boost::json;
using tools::JsonLine;

// Of a whole line, most of which may be a field that nobody knows. Each field that is kept has a
// limit of its own.
constexpr size_t kMaxLineDepth = 512;
constexpr double kMaxExpiresInSeconds = 366.0 * 24 * 3600;

AgentLine ParseMessage(JsonFields& fields, const std::string& key) {
  const std::string content = fields.RequiredText("content");
  const std::vector<absl::string_view> pieces = tools::Split(content, kMaxContentBytes);
  Activities activities;
  for (size_t i = 0; i < pieces.size(); ++i) {
    v1::AgentMessage& message = *activities.parts.emplace_back().mutable_message();
    message.set_content(std::string(pieces[i]));
    if (key.empty()) continue;
    // Each part needs a key of its own, or only the first would be stored.
    message.set_key(i == 0 ? key : absl::StrCat(key, "#", i + 1));
    if (i > 0 && tools::FirstCharacters(message.key(), kMaxKeyCharacters) != message.key()) {
      fields.Refuse("key", "is too long for a message that is stored in parts");
    }
  }
  return activities;
}

AgentLine ParseToolCall(JsonFields& fields, const std::string& key) {
  Activities activities;
  v1::ToolCall& call = *activities.parts.emplace_back().mutable_tool_call();
  call.set_tool_name(fields.RequiredText("tool_name"));
  const std::string title = fields.Text("title");
  call.set_title(std::string(tools::FirstCharacters(title, kMaxTitleCharacters)));
  call.set_output_type(fields.Text("output_type", "text"));
  call.set_key(key);
  const std::string content = fields.Text("content");
  call.set_content(tools::CutMiddle(content, kMaxContentBytes));
  if (content.size() > kMaxContentBytes) {
    call.set_truncated(true);
    call.set_size(static_cast<int64_t>(content.size()));
  }
  return activities;
}

void ReadChoices(JsonFields& fields, absl::string_view line, v1::AskQuestionRequest& request) {
  const json::value* choices = fields.Find("choices");
  if (choices == nullptr) return;
  if (!choices->is_array()) return fields.Refuse("choices", "must be a list");
  for (const json::value& item : choices->get_array()) {
    v1::Choice& choice = *request.add_choices();
    if (item.is_string()) {
      choice.set_value(std::string(item.get_string().data(), item.get_string().size()));
    } else if (item.is_object()) {
      JsonFields parts(line, item.get_object());
      choice.set_value(parts.RequiredText("value"));
      choice.set_label(parts.Text("label"));
      choice.set_description(parts.Text("description"));
      if (!parts.error().ok()) {
        fields.Refuse(absl::StrCat("choices[", request.choices_size() - 1, "].",
                                   DetailOf(parts.error()).field),
                      "must be a string; `value` is required");
      }
    } else {
      fields.Refuse(absl::StrCat("choices[", request.choices_size() - 1, "]"),
                    "must be a string or an object with a `value`");
    }
  }
}

// A wish that only some may answer must reach the core, which refuses it where it cannot keep it.
void ReadMayAnswer(JsonFields& fields, absl::string_view line, v1::AskQuestionRequest& request) {
  const json::value* may_answer = fields.Find("may_answer");
  if (may_answer == nullptr) return;
  if (!may_answer->is_object()) return fields.Refuse("may_answer", "must be an object");
  JsonFields lists(line, may_answer->get_object());
  for (const std::string& user : lists.Texts("users", nullptr)) {
    request.mutable_may_answer()->add_users(user);
  }
  for (const std::string& group : lists.Texts("groups", nullptr)) {
    request.mutable_may_answer()->add_groups(group);
  }
  for (const std::string& role : lists.Texts("roles", nullptr)) {
    request.mutable_may_answer()->add_roles(role);
  }
  if (!lists.error().ok()) fields.Refuse("may_answer", lists.error().message());
}

template <typename Texts>
size_t TotalBytes(const Texts& texts) {
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  return bytes;
}

// As the core counts: the texts of all parts.
size_t TextBytes(const v1::AskQuestionRequest& request) {
  const v1::MayAnswer& may_answer = request.may_answer();
  size_t bytes = request.key().size() + request.content().size() + request.details_json().size() +
                 request.default_response().size() + TotalBytes(request.default_responses()) +
                 TotalBytes(may_answer.users()) + TotalBytes(may_answer.groups()) +
                 TotalBytes(may_answer.roles());
  for (const v1::Choice& choice : request.choices()) {
    bytes += choice.value().size() + choice.label().size() + choice.description().size();
  }
  return bytes;
}

AgentLine ParseQuestion(JsonFields& fields, absl::string_view line, const std::string& key) {
  v1::AskQuestionRequest request;
  request.set_key(key);
  request.set_content(fields.RequiredText("content"));
  ReadChoices(fields, line, request);
  ReadMayAnswer(fields, line, request);
  if (const auto free_text = fields.Flag("free_text")) request.set_free_text(*free_text);
  request.set_multiple(fields.Flag("multiple").value_or(false));
  request.set_sensitive(fields.Flag("sensitive").value_or(false));
  std::optional<std::string> otherwise;
  for (std::string& value : fields.Texts("default", &otherwise)) {
    request.add_default_responses(std::move(value));
  }
  if (otherwise.has_value() && request.multiple()) {
    request.add_default_responses(*otherwise);
  } else if (otherwise.has_value()) {
    request.set_default_response(*otherwise);
  }
  if (const auto seconds = fields.Number("expires_in_s")) {
    if (*seconds >= 1 && *seconds <= kMaxExpiresInSeconds) {
      *request.mutable_expires_in() = ToProto(absl::Seconds(*seconds));
    } else {
      fields.Refuse("expires_in_s", "must be from 1 to 31622400, which is 366 days");
    }
  }
  request.set_details_json(fields.Json("details", kMaxJsonBytes));
  if (request.content().size() > kMaxContentBytes) {
    fields.Refuse("content", absl::StrCat("has ", request.content().size(), " bytes, at most ",
                                          kMaxContentBytes, " are allowed in a question"));
  }
  if (TextBytes(request) > kMaxQuestionBytes) {
    fields.Refuse("question",
                  absl::StrCat("has more than ", kMaxQuestionBytes, " bytes with all its parts"));
  }
  return request;
}

AgentLine ParseCheckpoint(JsonFields& fields) {
  if (!fields.Has("state")) fields.Refuse("state", "is required; null makes the agent begin anew");
  Checkpoint checkpoint = {fields.Json("state", kMaxJsonBytes)};
  if (checkpoint.state_json.empty()) checkpoint.state_json = "null";
  return checkpoint;
}

AgentLine ParseComplete(JsonFields& fields) {
  v1::CompleteJobRequest request;
  request.set_summary(std::string(tools::Head(fields.Text("summary"), kMaxSummaryBytes)));
  request.set_result_json(fields.Json("result", kMaxJsonBytes));
  return request;
}

AgentLine ParseFail(JsonFields& fields) {
  v1::FailJobRequest request;
  request.set_error(std::string(tools::Head(fields.Text("error"), kMaxSummaryBytes)));
  if (request.error().empty()) request.set_error("the agent failed and did not say why");
  request.set_retryable(fields.Flag("retryable").value_or(true));
  return request;
}

AgentLine ParseKnown(const std::string& type, JsonFields& fields, absl::string_view line) {
  const std::string key = fields.Text("key");
  if (tools::FirstCharacters(key, kMaxKeyCharacters) != key) {
    fields.Refuse("key", absl::StrCat("must have at most ", kMaxKeyCharacters, " characters"));
  }
  if (type == "message") return ParseMessage(fields, key);
  if (type == "tool_call") return ParseToolCall(fields, key);
  if (type == "question") return ParseQuestion(fields, line, key);
  if (type == "withdraw") return Withdraw{fields.RequiredText("key")};
  if (type == "checkpoint") return ParseCheckpoint(fields);
  if (type == "park") return Park{};
  if (type == "complete") return ParseComplete(fields);
  if (type == "fail") return ParseFail(fields);
  return Chatter{};
}

bool IsKnown(absl::string_view type) {
  static constexpr std::array<absl::string_view, 8> kTypes = {
      "message", "tool_call", "question", "withdraw", "checkpoint", "park", "complete", "fail"};
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

// A text of the line's object, which as a whole is nested too deep to be read.
std::string TextOfDeepLine(absl::string_view line, absl::string_view name) {
  const absl::string_view raw = RawMember(line, name);
  json::error_code error;
  const json::value value = json::parse(json::string_view(raw.data(), raw.size()), error);
  return error || !value.is_string()
             ? std::string()
             : std::string(value.get_string().data(), value.get_string().size());
}

AgentLine RefuseDeepLine(absl::string_view line) {
  if (!IsKnown(TextOfDeepLine(line, "type"))) return Chatter{};
  const std::string key = TextOfDeepLine(line, "key");
  return Refused{
      ErrorWithReason(absl::StatusCode::kInvalidArgument, "invalid_argument",
                      absl::StrCat("the line nests more than ", kMaxLineDepth, " levels deep")),
      tools::FirstCharacters(key, kMaxKeyCharacters) == key ? key : std::string()};
}

// A response or a default: a list where the question takes several.
template <typename Texts>
void AddTextOrTexts(JsonLine& line, absl::string_view name, const std::string& text,
                    const Texts& texts) {
  if (texts.empty()) {
    line.Add(name, text);
  } else {
    line.AddTexts(name, texts);
  }
}

template <typename Question>  // a v1::Question or what tells of its end
JsonLine QuestionLine(const char* type, const Question& question) {
  JsonLine line;
  line.Add("type", type).Add("key", question.key()).Add("question_id", question.question_id());
  return line;
}

template <typename Question>
std::string EncodeExpired(const Question& question) {
  JsonLine line = QuestionLine("expired", question);
  if (question.has_default_response() || question.default_responses_size() > 0) {
    AddTextOrTexts(line, "default", question.default_response(), question.default_responses());
  } else {
    line.AddJson("default", "null");
  }
  return absl::StrCat(line.Text(), "\n");
}

template <typename Question>
std::string EncodeAnswer(const Question& question, const v1::Actor& answered_by,
                         absl::string_view trace_id = "") {
  JsonLine line = QuestionLine("answer", question);
  AddTextOrTexts(line, "response", question.response(), question.responses());
  line.Add("answered_by", answered_by.id());
  if (!trace_id.empty()) line.Add("trace_id", trace_id);
  return absl::StrCat(line.Text(), "\n");
}

template <typename Question>
std::string EncodeWithdrawn(const Question& question) {
  return absl::StrCat(QuestionLine("withdrawn", question).Text(), "\n");
}

}  // namespace

AgentLine ParseAgentLine(absl::string_view line) {
  json::parse_options options;
  options.max_depth = kMaxLineDepth;
  json::error_code error;
  const json::value value =
      json::parse(json::string_view(line.data(), line.size()), error, {}, options);
  if (error == json::error::too_deep) return RefuseDeepLine(line);
  if (error) {
    // So that an agent that asks about a file whose name is no text is not left to wait.
    const std::string repaired = RepairJson(line);
    return repaired == line ? Chatter{} : ParseAgentLine(repaired);
  }
  if (!value.is_object()) return Chatter{};
  const json::value* type = value.get_object().if_contains("type");
  if (type == nullptr || !type->is_string()) return Chatter{};

  JsonFields fields(line, value.get_object());
  AgentLine parsed =
      ParseKnown(std::string(type->get_string().data(), type->get_string().size()), fields, line);
  if (fields.error().ok() || std::holds_alternative<Chatter>(parsed)) return parsed;
  const json::value* key = fields.Find("key");
  return Refused{fields.error(),
                 key != nullptr && key->is_string()
                     ? std::string(key->get_string().data(), key->get_string().size())
                     : std::string()};
}

Refused LineTooLong() {
  return {ErrorWithReason(
              absl::StatusCode::kInvalidArgument, "line_too_long",
              absl::StrCat("the line has more than ", kMaxLineBytes, " bytes and was thrown away")),
          ""};
}

std::string EncodeStart(const StartLine& start) {
  const v1::Ticket& ticket = start.claim.ticket();
  JsonLine labels;
  // A protobuf map has no order of its own.
  const std::map<std::string, std::string> sorted(ticket.labels().begin(), ticket.labels().end());
  for (const auto& [name, value] : sorted) labels.Add(name, value);
  std::string transcript = "[";
  for (const std::string& event : start.transcript) {
    absl::StrAppend(&transcript, transcript.size() > 1 ? "," : "", event);
  }
  JsonLine line;
  line.Add("type", "start")
      .Add("protocol", 1)
      .Add("job_id", start.claim.job().job_id())
      .Add("session_id", start.claim.job().session_id())
      .Add("attempt", start.claim.job().attempt())
      .Add("reason", tools::Word(start.claim.reason()))
      .AddJson("ticket", JsonLine()
                             .Add("ticket_id", ticket.ticket_id())
                             .Add("ticket_name", ticket.ticket_name())
                             .Add("description", ticket.description())
                             .AddJson("labels", labels.Text())
                             .Text())
      .AddJson("state", tools::OneLine(start.claim.checkpoint_json()))
      .AddJson("transcript", absl::StrCat(transcript, "]"))
      .Add("transcript_file", start.transcript_file);
  return absl::StrCat(line.Text(), "\n");
}

std::string EncodeInput(const v1::ReceiveInputResponse& input) {
  switch (input.input_case()) {
    case v1::ReceiveInputResponse::kAnswer:
      return EncodeAnswer(input.answer(), input.actor(), input.trace_id());
    case v1::ReceiveInputResponse::kExpired:
      return EncodeExpired(input.expired());
    case v1::ReceiveInputResponse::kWithdrawn:
      return EncodeWithdrawn(input.withdrawn());
    case v1::ReceiveInputResponse::kMessage: {
      JsonLine line;
      line.Add("type", "message")
          .Add("content", input.message().content())
          .Add("from", input.actor().id());
      if (!input.trace_id().empty()) line.Add("trace_id", input.trace_id());
      return absl::StrCat(line.Text(), "\n");
    }
    case v1::ReceiveInputResponse::kCancel:
      return EncodeCancel();
    case v1::ReceiveInputResponse::kLeaseLost:
    case v1::ReceiveInputResponse::INPUT_NOT_SET:
      break;
  }
  return {};
}

std::string EncodeOutcome(const v1::Question& question) {
  switch (question.state()) {
    case v1::QUESTION_STATE_ANSWERED:
      return EncodeAnswer(question, question.answered_by());
    case v1::QUESTION_STATE_EXPIRED:
      return EncodeExpired(question);
    case v1::QUESTION_STATE_WITHDRAWN:
      return EncodeWithdrawn(question);
    default:
      return {};
  }
}

std::string EncodeCancel() { return "{\"type\":\"cancel\"}\n"; }

std::string EncodeError(const absl::Status& why, absl::string_view key) {
  JsonLine line;
  line.Add("type", "error").Add("code", DetailOf(why).reason).Add("message", why.message());
  if (!key.empty()) line.Add("key", key);
  return absl::StrCat(line.Text(), "\n");
}

}  // namespace agentdesk::worker
