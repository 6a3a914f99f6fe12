#include "tools/agentdesk/event_text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core_service/base/timestamp.h"
#include "tools/event_json.h"
#include "tools/utf8.h"

namespace agentdesk::cli {
namespace {

using Style = EventText::Style;

constexpr size_t kNameCharacters = 30;
constexpr absl::string_view kIndent = "                    ";

// How the further lines of a text stand under the first.
std::string Indented(absl::string_view text) {
  return absl::StrReplaceAll(absl::StripTrailingAsciiWhitespace(text),
                             {{"\n", absl::StrCat("\n", kIndent)}});
}

// For a place of a few words on one line.
std::string Short(absl::string_view text) {
  const absl::string_view first = tools::FirstCharacters(text, kNameCharacters);
  return absl::StrReplaceAll(
      tools::ForTerminal(absl::StrCat(first, first.size() < text.size() ? "…" : "")),
      {{"\n", " "}});
}

template <typename Texts>
std::string TextOrTexts(const std::string& text, const Texts& texts) {
  return tools::ForTerminal(texts.empty() ? text : absl::StrJoin(texts, ", "));
}

Style StyleOf(v1::JobStatus status) {
  switch (status) {
    case v1::JOB_STATUS_RUNNING:
      return Style::kBlue;
    case v1::JOB_STATUS_WAITING:
    case v1::JOB_STATUS_CANCELLING:
      return Style::kYellow;
    case v1::JOB_STATUS_COMPLETED:
      return Style::kGreen;
    case v1::JOB_STATUS_FAILED:
      return Style::kRed;
    case v1::JOB_STATUS_CANCELLED:
      return Style::kDim;
    default:
      return Style::kPlain;
  }
}

std::string ChoicesText(const v1::Question& question) {
  std::string text;
  for (const v1::Choice& choice : question.choices()) {
    absl::StrAppend(&text, "\n  - ", choice.value());
    if (!choice.label().empty() && choice.label() != choice.value()) {
      absl::StrAppend(&text, ": ", choice.label());
    }
    if (!choice.description().empty()) absl::StrAppend(&text, " (", choice.description(), ")");
  }
  return tools::ForTerminal(text);
}

std::string ToolCallText(const v1::ToolCall& call) {
  std::string text = tools::ForTerminal(call.tool_name());
  if (!call.title().empty()) absl::StrAppend(&text, ": ", tools::ForTerminal(call.title()));
  if (!call.content().empty()) absl::StrAppend(&text, "\n", tools::ForTerminal(call.content()));
  if (call.truncated()) absl::StrAppend(&text, "\n(cut; ", call.size(), " bytes in all)");
  return text;
}

std::string RequeuedText(const v1::JobRequeued& requeued) {
  std::string text = tools::Word(requeued.reason());
  if (!requeued.error().empty()) {
    absl::StrAppend(&text, ": ", tools::ForTerminal(requeued.error()));
  }
  return text;
}

std::string CompleteText(const v1::AgentComplete& complete) {
  std::string text = tools::Word(complete.status());
  if (!complete.summary().empty()) {
    absl::StrAppend(&text, ": ", tools::ForTerminal(complete.summary()));
  }
  if (!complete.result_json().empty()) {
    absl::StrAppend(&text, "\n", tools::ForTerminal(complete.result_json()));
  }
  return text;
}

void Row(std::string& out, absl::string_view name, absl::string_view value) {
  if (!value.empty()) absl::StrAppendFormat(&out, "  %-16s %s\n", name, value);
}

}  // namespace

std::string ShellWord(absl::string_view text) {
  if (text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "_./:@%+=,-") == absl::string_view::npos &&
      !text.empty() && text[0] != '-') {
    return std::string(text);
  }
  return absl::StrCat("'", absl::StrReplaceAll(tools::ForTerminal(text), {{"'", "'\\''"}}), "'");
}

std::string EventText::TextOf(const v1::Question& question) const {
  std::string text = absl::StrCat(tools::ForTerminal(question.content()), ChoicesText(question));
  if (!question.details_json().empty()) {
    absl::StrAppend(&text, "\n", tools::ForTerminal(question.details_json()));
  }
  std::string example = "TEXT";
  if (question.choices_size() > 0) example = ShellWord(question.choices(0).value());
  absl::StrAppend(&text, "\n> ", program_, " answer ", question.question_id(), " ", example,
                  question.multiple() ? " ..." : "");
  return text;
}

std::string EventText::Styled(Style style, absl::string_view text) const {
  static constexpr const char* kCodes[] = {"", "2", "1", "31", "32", "33", "34", "35", "36"};
  if (!colour_ || style == Style::kPlain) return std::string(text);
  return absl::StrCat("\x1b[", kCodes[static_cast<int>(style)], "m", text, "\x1b[0m");
}

std::string EventText::Time(const google::protobuf::Timestamp& time) const {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", FromProto(time), zone_);
}

std::string EventText::NameOf(const v1::Event& event) {
  std::string& name = ticket_names_[event.session_id()];
  if (event.has_ticket_created()) name = event.ticket_created().ticket().ticket_name();
  if (event.has_ticket_updated()) name = event.ticket_updated().ticket().ticket_name();
  if (event.has_agent_started()) name = event.agent_started().ticket_name();
  if (event.has_ticket_cancelled()) name = event.ticket_cancelled().ticket_name();
  return name.empty() ? event.ticket_id() : Short(name);
}

EventText::Line EventText::Describe(const v1::Event& event) {
  const std::string by = tools::ForTerminal(event.actor().id());
  switch (event.payload_case()) {
    case v1::Event::kTicketCreated:
      return {Style::kBold, "created",
              absl::StrCat("ticket ", event.ticket_id(), " in queue ",
                           event.ticket_created().ticket().queue())};
    case v1::Event::kTicketUpdated:
      return {Style::kBold, "updated", tools::Word(event.ticket_updated().ticket().status())};
    case v1::Event::kTicketCancelled:
      return {Style::kYellow, "cancel", absl::StrCat("by ", by)};
    case v1::Event::kAgentStarted:
      return {Style::kBlue, "started",
              absl::StrCat("attempt ", event.attempt(), " by ",
                           tools::ForTerminal(event.agent_started().worker()))};
    case v1::Event::kAgentMessage:
      return {Style::kPlain, "agent", tools::ForTerminal(event.agent_message().content())};
    case v1::Event::kToolCall:
      return {Style::kDim, "tool", ToolCallText(event.tool_call())};
    case v1::Event::kAgentQuestion:
      return {Style::kMagenta, "question", TextOf(event.agent_question().question())};
    case v1::Event::kQuestionAnswered:
      return {Style::kMagenta, "answered",
              event.question_answered().sensitive()
                  ? absl::StrCat("by ", by, " (for the agent alone)")
                  : absl::StrCat("by ", by, ": ",
                                 TextOrTexts(event.question_answered().response(),
                                             event.question_answered().responses()))};
    case v1::Event::kQuestionExpired:
      return {Style::kYellow, "expired",
              absl::StrCat("question ", event.question_expired().question_id())};
    case v1::Event::kQuestionWithdrawn:
      return {Style::kDim, "withdrawn",
              absl::StrCat("question ", event.question_withdrawn().question_id())};
    case v1::Event::kUserMessage:
      return {Style::kCyan, "message",
              absl::StrCat(by, ": ", tools::ForTerminal(event.user_message().content()))};
    case v1::Event::kJobRequeued:
      return {Style::kYellow, "requeued", RequeuedText(event.job_requeued())};
    case v1::Event::kJobWaiting:
      return {Style::kYellow, "waiting", "until there is input"};
    case v1::Event::kAgentComplete:
      return {
          event.agent_complete().status() == v1::JOB_STATUS_COMPLETED ? Style::kGreen : Style::kDim,
          "ended", CompleteText(event.agent_complete())};
    case v1::Event::kAgentError:
      return {Style::kRed, "failed", tools::ForTerminal(event.agent_error().error())};
    case v1::Event::PAYLOAD_NOT_SET:
      break;
  }
  return {Style::kDim, "unknown", "an event that this program is too old for"};
}

std::string EventText::Of(const v1::Event& event) {
  const std::string name = NameOf(event);
  const Line line = Describe(event);
  return absl::StrCat(
      Styled(Style::kDim,
             absl::StrFormat("%s %6d", absl::FormatTime("%H:%M:%S", FromProto(event.time()), zone_),
                             event.sequence())),
      " ", Styled(line.style, absl::StrFormat("%-9s", line.label)), " ",
      Styled(Style::kDim, absl::StrCat("[", name, "]")), " ", Indented(line.text), "\n");
}

std::string EventText::Of(const v1::Question& question) {
  std::string text = Styled(Style::kMagenta, question.question_id());
  absl::StrAppend(&text, " ", tools::Word(question.state()));
  if (question.state() == v1::QUESTION_STATE_ANSWERED) {
    absl::StrAppend(&text, " by ", tools::ForTerminal(question.answered_by().id()), ": ",
                    question.sensitive() ? "(for the agent alone)"
                                         : TextOrTexts(question.response(), question.responses()));
  } else if (question.state() == v1::QUESTION_STATE_OPEN && question.has_expires_at()) {
    absl::StrAppend(&text, " until ", Time(question.expires_at()));
  }
  absl::StrAppend(&text, "\n  ticket ", question.ticket_id(), ", session ", question.session_id(),
                  "\n");
  const std::string asked = question.state() == v1::QUESTION_STATE_OPEN
                                ? TextOf(question)
                                : tools::ForTerminal(question.content());
  return absl::StrCat(text, "  ", absl::StrReplaceAll(asked, {{"\n", "\n  "}}), "\n");
}

std::string EventText::LineOf(const v1::Ticket& ticket) {
  std::string text = absl::StrCat(
      ticket.ticket_id(), "  ",
      Styled(StyleOf(ticket.status()), absl::StrFormat("%-10s", tools::Word(ticket.status()))),
      "  ", Time(ticket.create_time()), "  ", tools::ForTerminal(ticket.ticket_name()));
  if (ticket.open_questions() > 0) {
    absl::StrAppend(&text, "  ",
                    Styled(Style::kMagenta, absl::StrCat(ticket.open_questions(), " open question",
                                                         ticket.open_questions() == 1 ? "" : "s")));
  }
  return absl::StrCat(absl::StrReplaceAll(text, {{"\n", " "}}), "\n");
}

std::string EventText::Of(const v1::Ticket& ticket) {
  std::string out =
      absl::StrCat(Styled(Style::kBold, tools::ForTerminal(ticket.ticket_name())), "\n");
  Row(out, "ticket", ticket.ticket_id());
  Row(out, "status", Styled(StyleOf(ticket.status()), tools::Word(ticket.status())));
  Row(out, "job", ticket.job_id());
  Row(out, "session", ticket.session_id());
  Row(out, "queue", absl::StrCat(ticket.queue(), ", priority ", ticket.priority()));
  if (ticket.has_run_after()) Row(out, "not before", Time(ticket.run_after()));
  if (ticket.timeout_s() > 0) Row(out, "timeout", absl::StrCat(ticket.timeout_s(), " s"));
  for (const auto& [key, value] : ticket.labels()) {
    Row(out, "label", tools::ForTerminal(absl::StrCat(key, "=", value)));
  }
  Row(out, "created",
      absl::StrCat(Time(ticket.create_time()), " by ",
                   tools::ForTerminal(ticket.created_by().id())));
  if (!ticket.description().empty()) {
    Row(out, "description",
        absl::StrReplaceAll(tools::ForTerminal(ticket.description()), {{"\n", "\n    "}}));
  }
  return out;
}

std::string EventText::Of(const v1::Job& job) {
  std::string out;
  Row(out, "attempts",
      absl::StrCat(job.attempt(), job.failed_attempts() > 0
                                      ? absl::StrCat(" (", job.failed_attempts(), " failed)")
                                      : ""));
  Row(out, "worker", tools::ForTerminal(job.worker()));
  if (job.has_next_attempt_at()) Row(out, "next attempt", Time(job.next_attempt_at()));
  Row(out, "last error", tools::ForTerminal(job.last_error()));
  Row(out, "summary", tools::ForTerminal(job.summary()));
  Row(out, "result", tools::ForTerminal(job.result_json()));
  if (job.has_end_time()) Row(out, "ended", Time(job.end_time()));
  return out;
}

}  // namespace agentdesk::cli
