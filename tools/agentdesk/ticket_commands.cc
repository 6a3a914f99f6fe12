#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "tools/agentdesk/commands.h"
#include "tools/event_json.h"
#include "tools/json_line.h"

namespace agentdesk::cli {
namespace {

using Tickets = v1::TicketService::Stub;
using Sessions = v1::SessionService::Stub;
using Events = v1::EventService::Stub;

constexpr int kPage = 200;

void Print(absl::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

// `once`: the call has a request id of its caller's.
absl::StatusOr<absl::Time> ReadTime(const std::string& text, absl::Time now, bool once) {
  absl::Duration after;
  if (absl::ParseDuration(text, &after) && after >= absl::ZeroDuration()) {
    // As exact as a time that is written out, so that it can be repeated.
    const absl::Time time = absl::FromUnixMicros(absl::ToUnixMicros(now + after));
    if (!once) return time;
    return UsageError(absl::StrCat("--run_after=", text,
                                   " counts from now, so with --request_id the same command would "
                                   "not be the same call: give the time, such as --run_after=",
                                   FormatTimestamp(ToProto(time))));
  }
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, text, absl::UTCTimeZone(), &time, &error)) return time;
  return UsageError(absl::StrCat("--run_after=", text,
                                 ": give a time such as 2030-01-31T08:00:00Z, or how long to wait, "
                                 "such as 90s or 10m"));
}

absl::Status ShowTicket(const Invocation& invocation, DeskConnection& desk, Output output) {
  v1::GetTicketRequest request;
  request.set_ticket_id(invocation.arguments[0]);
  const auto found = desk.Read(desk.tickets(), &Tickets::GetTicket, request);
  if (!found.ok()) return found.status();
  const v1::Ticket& ticket = found->ticket();
  v1::GetJobRequest job_request;
  job_request.set_job_id(ticket.job_id());
  const auto job = desk.Read(desk.tickets(), &Tickets::GetJob, job_request);
  if (!job.ok()) return job.status();
  v1::ListQuestionsRequest questions_request;
  questions_request.set_session_id(ticket.session_id());
  questions_request.set_state(v1::QUESTION_STATE_OPEN);
  questions_request.set_page_size(kPage);
  const auto questions = desk.Read(desk.sessions(), &Sessions::ListQuestions, questions_request);
  if (!questions.ok()) return questions.status();

  if (output.json) {
    std::string open = "[";
    for (const v1::Question& question : questions->questions()) {
      absl::StrAppend(&open, open.size() > 1 ? "," : "", tools::ToJson(question));
    }
    Print(absl::StrCat(tools::JsonLine()
                           .AddJson("ticket", tools::ToJson(ticket))
                           .AddJson("job", tools::ToJson(job->job()))
                           .AddJson("questions", absl::StrCat(open, "]"))
                           .Add("sequence", found->sequence())
                           .Text(),
                       "\n"));
    return absl::OkStatus();
  }
  EventText text = output.Text();
  Print(text.Of(ticket));
  Print(text.Of(job->job()));
  for (const v1::Question& question : questions->questions()) {
    Print(absl::StrCat("\n", text.Of(question)));
  }
  return absl::OkStatus();
}

absl::Status ShowTranscript(const std::string& ticket_id, DeskConnection& desk, Output output) {
  v1::ListEventsRequest request;
  request.set_page_size(kPage);
  request.mutable_filter()->add_ticket_ids(ticket_id);
  EventText text = output.Text();
  if (!output.json) Print("\n");
  while (true) {
    const auto page = desk.Read(desk.events(), &Events::ListEvents, request);
    if (!page.ok()) return page.status();
    for (const v1::Event& event : page->events()) {
      Print(output.json ? absl::StrCat(tools::ToJson(event), "\n") : text.Of(event));
    }
    if (page->next_page_token().empty()) return absl::OkStatus();
    request.set_page_token(page->next_page_token());
  }
}

absl::Status ListTickets(const Invocation& invocation, DeskConnection& desk, Output output) {
  v1::ListTicketsRequest request;
  if (const std::string word = invocation.Get("status"); !word.empty()) {
    request.set_status(tools::StatusOfWord(word));
    if (request.status() == v1::JOB_STATUS_UNSPECIFIED) {
      return UsageError(absl::StrCat("--status=", word,
                                     ": must be queued, running, waiting, cancelling, completed, "
                                     "failed or cancelled"));
    }
  }
  const auto limit = NumberFlag(invocation, "limit", 0, std::numeric_limits<int64_t>::max(), 50);
  if (!limit.ok()) return limit.status();
  EventText text = output.Text();
  int64_t shown = 0;
  while (true) {
    const int64_t wanted = *limit == 0 ? kPage : std::min<int64_t>(kPage, *limit - shown);
    request.set_page_size(static_cast<int>(wanted));
    const auto page = desk.Read(desk.tickets(), &Tickets::ListTickets, request);
    if (!page.ok()) return page.status();
    for (const v1::Ticket& ticket : page->tickets()) {
      Print(output.json ? absl::StrCat(tools::ToJson(ticket), "\n") : text.LineOf(ticket));
    }
    shown += page->tickets_size();
    if (page->next_page_token().empty()) return absl::OkStatus();
    if (*limit != 0 && shown >= *limit) {
      std::fprintf(stderr, "(more; --limit=0 lists all)\n");
      return absl::OkStatus();
    }
    request.set_page_token(page->next_page_token());
  }
}

absl::Status CreateTicket(const Invocation& invocation, DeskConnection& desk, Output output) {
  absl::StatusOr<v1::CreateTicketRequest> request = ReadCreateTicket(invocation, absl::Now());
  if (!request.ok()) return request.status();
  request->set_description(TextOrInput(request->description()));
  const auto created = desk.Write(desk.tickets(), &Tickets::CreateTicket, *request);
  if (!created.ok()) {
    if (!request->has_run_after()) return created.status();
    ErrorDetail detail = DetailOf(created.status());
    detail.metadata.emplace_back("run_after", FormatTimestamp(request->run_after()));
    return WithDetail(created.status(), detail);
  }
  if (output.json) {
    Print(absl::StrCat(tools::JsonLine()
                           .Add("ticket_id", created->ticket_id())
                           .Add("ticket_name", created->ticket().ticket_name())
                           .Add("job_id", created->job_id())
                           .Add("session_id", created->ticket().session_id())
                           .Add("status", tools::Word(created->status()))
                           .Add("replayed", created->replayed())
                           .Add("sequence", created->sequence())
                           .Text(),
                       "\n"));
  } else {
    Print(absl::StrCat("ticket  ", created->ticket_id(), "\njob     ", created->job_id(),
                       "\nsession ", created->ticket().session_id(), "\n"));
  }
  return absl::OkStatus();
}

template <typename Request, typename Response>
absl::Status ChangeTicket(const Invocation& invocation, DeskConnection& desk, Output output,
                          DeskConnection::Method<Tickets, Request, Response> method) {
  Request request;
  request.set_ticket_id(invocation.arguments[0]);
  request.set_request_id(invocation.Get("request_id"));
  const absl::StatusOr<Response> changed = desk.Write(desk.tickets(), method, request);
  if (!changed.ok()) return changed.status();
  Print(output.json ? absl::StrCat(tools::ToJson(changed->ticket()), "\n")
                    : output.Text().LineOf(changed->ticket()));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::CreateTicketRequest> ReadCreateTicket(const Invocation& invocation,
                                                         absl::Time now) {
  v1::CreateTicketRequest request;
  request.set_ticket_name(absl::StrJoin(invocation.arguments, " "));
  request.set_description(invocation.Get("description"));
  for (const std::string& label : invocation.All("label")) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(label, absl::MaxSplits('=', 1));
    if (!absl::StrContains(label, '=') || parts.first.empty()) {
      return UsageError(absl::StrCat("--label=", label, ": must be KEY=VALUE"));
    }
    (*request.mutable_labels())[parts.first] = parts.second;
  }
  request.set_queue(invocation.Get("queue"));
  request.set_ticket_id(invocation.Get("ticket_id"));
  request.set_request_id(invocation.Get("request_id"));
  if (invocation.Has("priority")) {
    const auto priority = NumberFlag(invocation, "priority", 0, 9, 0);
    if (!priority.ok()) return priority.status();
    request.set_priority(static_cast<int>(*priority));
  }
  if (invocation.Has("max_attempts")) {
    const auto attempts = NumberFlag(invocation, "max_attempts", 1, 100, 0);
    if (!attempts.ok()) return attempts.status();
    request.set_max_attempts(static_cast<int>(*attempts));
  }
  const auto timeout = NumberFlag(invocation, "timeout_s", 0, 604800, 0);
  if (!timeout.ok()) return timeout.status();
  request.set_timeout_s(static_cast<int>(*timeout));
  if (invocation.Has("run_after")) {
    const absl::StatusOr<absl::Time> time =
        ReadTime(invocation.Get("run_after"), now, invocation.Has("request_id"));
    if (!time.ok()) return time.status();
    *request.mutable_run_after() = ToProto(*time);
  }
  return request;
}

absl::Status UsageError(absl::string_view what) {
  return ErrorWithReason(absl::StatusCode::kInvalidArgument, kUsage, what);
}

absl::Status CannotPrint() {
  return absl::DataLossError(
      absl::StrCat("cannot write to standard output: ", std::strerror(errno)));
}

absl::StatusOr<int64_t> NumberFlag(const Invocation& invocation, const std::string& name,
                                   int64_t least, int64_t most, int64_t otherwise) {
  if (!invocation.Has(name)) return otherwise;
  int64_t number = 0;
  if (absl::SimpleAtoi(invocation.Get(name), &number) && number >= least && number <= most) {
    return number;
  }
  const std::string range = most == std::numeric_limits<int64_t>::max()
                                ? absl::StrCat(" of at least ", least)
                                : absl::StrCat(" from ", least, " to ", most);
  return UsageError(
      absl::StrCat("--", name, "=", invocation.Get(name), ": must be a whole number", range));
}

std::string TextOrInput(const std::string& text) {
  if (text != "-") return text;
  std::string input((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  while (!input.empty() && (input.back() == '\n' || input.back() == '\r')) input.pop_back();
  return input;
}

absl::Status RunTicketCommand(const Invocation& invocation, DeskConnection& desk, Output output) {
  const std::string& words = invocation.command->words;
  if (words == "ticket create") return CreateTicket(invocation, desk, output);
  if (words == "ticket list") return ListTickets(invocation, desk, output);
  if (words == "ticket cancel") {
    return ChangeTicket(invocation, desk, output, &Tickets::CancelTicket);
  }
  if (words == "ticket retry") {
    return ChangeTicket(invocation, desk, output, &Tickets::RetryTicket);
  }
  if (absl::Status status = ShowTicket(invocation, desk, output); !status.ok()) return status;
  if (!invocation.Has("transcript")) return absl::OkStatus();
  return ShowTranscript(invocation.arguments[0], desk, output);
}

}  // namespace agentdesk::cli
