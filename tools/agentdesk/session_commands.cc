#include <cstdio>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "tools/agentdesk/commands.h"
#include "tools/event_json.h"
#include "tools/json_line.h"
#include "tools/utf8.h"

namespace agentdesk::cli {
namespace {

using Sessions = v1::SessionService::Stub;
using Events = v1::EventService::Stub;

constexpr int kPage = 200;

void Print(absl::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

// The rest of the arguments as one text.
std::string TextAfterFirst(const Invocation& invocation) {
  return TextOrInput(
      absl::StrJoin(invocation.arguments.begin() + 1, invocation.arguments.end(), " "));
}

std::string OutcomeJson(const v1::SubmitResponseResponse& judged) {
  tools::JsonLine line;
  line.Add("status", tools::Word(judged.outcome()));
  if (!judged.message().empty()) line.Add("message", judged.message());
  line.Add("question_id", judged.question_id());
  if (judged.has_answered_by()) {
    line.Add("answered_by", judged.answered_by().id());
    if (judged.responses_size() > 0) {
      line.AddTexts("response", judged.responses());
    } else {
      line.Add("response", judged.response());
    }
  }
  return line.Add("sequence", judged.sequence()).Add("replayed", judged.replayed()).Text();
}

std::string StandingAnswer(const v1::SubmitResponseResponse& judged) {
  const std::string response =
      judged.responses_size() > 0 ? absl::StrJoin(judged.responses(), ", ") : judged.response();
  return response.empty() ? "" : tools::ForTerminal(absl::StrCat(" The answer: ", response));
}

}  // namespace

absl::Status RunQuestions(const Invocation& invocation, DeskConnection& desk, Output output) {
  v1::ListQuestionsRequest request;
  if (!invocation.Has("all")) request.set_state(v1::QUESTION_STATE_OPEN);
  request.set_session_id(invocation.Get("session"));
  const auto limit = NumberFlag(invocation, "limit", 0, std::numeric_limits<int64_t>::max(), 50);
  if (!limit.ok()) return limit.status();
  EventText text = output.Text();
  int64_t shown = 0;
  while (true) {
    const int64_t wanted = *limit == 0 ? kPage : std::min<int64_t>(kPage, *limit - shown);
    request.set_page_size(static_cast<int>(wanted));
    const auto page = desk.Read(desk.sessions(), &Sessions::ListQuestions, request);
    if (!page.ok()) return page.status();
    for (const v1::Question& question : page->questions()) {
      if (output.json) {
        Print(absl::StrCat(tools::ToJson(question), "\n"));
      } else {
        Print(absl::StrCat(shown == 0 ? "" : "\n", text.Of(question)));
      }
      ++shown;
    }
    if (page->next_page_token().empty()) break;
    if (*limit != 0 && shown >= *limit) {
      std::fprintf(stderr, "(more; --limit=0 lists all)\n");
      break;
    }
    request.set_page_token(page->next_page_token());
  }
  if (shown == 0 && !output.json) std::fprintf(stderr, "no questions\n");
  return absl::OkStatus();
}

absl::Status RunAnswer(const Invocation& invocation, DeskConnection& desk, Output output) {
  v1::GetQuestionRequest get;
  get.set_question_id(invocation.arguments[0]);
  const auto found = desk.Read(desk.sessions(), &Sessions::GetQuestion, get);
  if (!found.ok()) return found.status();
  v1::SubmitResponseRequest request;
  request.set_session_id(found->question().session_id());
  request.set_question_id(found->question().question_id());
  if (found->question().multiple()) {
    for (size_t i = 1; i < invocation.arguments.size(); ++i) {
      request.add_responses(TextOrInput(invocation.arguments[i]));
    }
  } else {
    request.set_response(TextAfterFirst(invocation));
  }
  request.set_request_id(invocation.Get("request_id"));
  const auto judged = desk.Write(desk.sessions(), &Sessions::SubmitResponse, request);
  if (!judged.ok()) return judged.status();
  if (output.json) Print(absl::StrCat(OutcomeJson(*judged), "\n"));
  if (judged->outcome() == v1::RESPONSE_OUTCOME_RECEIVED) {
    if (!output.json) Print("received\n");
    return absl::OkStatus();
  }
  // In JSON all is said.
  return ErrorWithReason(
      absl::StatusCode::kFailedPrecondition, output.json ? kSaid : tools::Word(judged->outcome()),
      absl::StrCat(tools::ForTerminal(judged->message()), StandingAnswer(*judged)));
}

absl::Status RunMessage(const Invocation& invocation, DeskConnection& desk, Output output) {
  v1::SendMessageRequest request;
  request.set_session_id(invocation.arguments[0]);
  request.set_content(TextAfterFirst(invocation));
  request.set_request_id(invocation.Get("request_id"));
  const auto sent = desk.Write(desk.sessions(), &Sessions::SendMessage, request);
  if (!sent.ok()) return sent.status();
  if (output.json) {
    Print(absl::StrCat(tools::JsonLine()
                           .Add("sequence", sent->sequence())
                           .Add("replayed", sent->replayed())
                           .Text(),
                       "\n"));
  } else {
    Print(absl::StrCat("sent as event ", sent->sequence(), "\n"));
  }
  return absl::OkStatus();
}

absl::Status RunDesk(DeskConnection& desk, Output output) {
  const auto found = desk.Read(desk.events(), &Events::GetDesk, v1::GetDeskRequest());
  if (!found.ok()) return found.status();
  const bool restored = !found->restored_from().empty();
  if (output.json) {
    tools::JsonLine line;
    line.Add("desk_id", found->desk_id())
        .Add("head_sequence", found->head_sequence())
        .Add("oldest_sequence", found->oldest_sequence());
    if (restored) {
      line.Add("restored_from", found->restored_from())
          .Add("restored_sequence", found->restored_sequence());
    }
    line.Add("version", found->version()).Add("time", FormatTimestamp(found->time()));
    Print(absl::StrCat(line.Text(), "\n"));
  } else {
    Print(absl::StrCat("desk    ", found->desk_id(), "\nhead    ", found->head_sequence(),
                       "\noldest  ", found->oldest_sequence(), "\nversion ", found->version(),
                       "\n"));
    if (restored) {
      Print(absl::StrCat("restored from desk ", found->restored_from(), " as of event ",
                         found->restored_sequence(), "\n"));
    }
  }
  return absl::OkStatus();
}

}  // namespace agentdesk::cli
