#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/desk/desk.h"
#include "core_service/desk/timers.h"
#include "core_service/desk/turn.h"

// The desk's reads: each opens a view, so that all it says is true as of one position.
namespace agentdesk::desk {
namespace {

constexpr int kDefaultPage = 50;
constexpr int kMaxPage = 1000;
constexpr size_t kMaxEventPageBytes = 1024 * 1024;

constexpr absl::string_view kTooManyReads = "too many reads wait for the desk; repeat in a moment";

absl::Status NotFound(absl::string_view field, absl::string_view id) {
  return ErrorWithReason(absl::StatusCode::kNotFound, "not_found",
                         absl::StrCat(field, ": there is none with the id ", id));
}

// What a store's NotFound says to a caller.
absl::Status Explain(const absl::Status& status, absl::string_view field, absl::string_view id) {
  return absl::IsNotFound(status) ? NotFound(field, id) : status;
}

absl::StatusOr<int> PageSize(int size) {
  if (size == 0) return kDefaultPage;
  if (size < 0 || size > kMaxPage) {
    return InvalidField("page_size", absl::StrCat("must be 1 to ", kMaxPage));
  }
  return size;
}

// A page token is `FINGERPRINT.POSITION`: it holds only for the call and the arguments it came
// from. FNV-1a, because it has to be the same after a restart.
std::string ArgumentsMark(absl::string_view arguments) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : arguments) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return absl::StrCat(absl::Hex(static_cast<uint32_t>(hash ^ (hash >> 32)), absl::kZeroPad8));
}

absl::StatusOr<store::PageRequest> ReadPage(int page_size, absl::string_view token,
                                            absl::string_view arguments) {
  const absl::StatusOr<int> size = PageSize(page_size);
  if (!size.ok()) return size.status();
  store::PageRequest page;
  page.size = *size;
  if (token.empty()) return page;
  const std::vector<std::string> parts = absl::StrSplit(token, absl::MaxSplits('.', 1));
  if (parts.size() != 2 || parts[0] != ArgumentsMark(arguments)) {
    return InvalidField("page_token",
                        "is not the next_page_token of this call with the same arguments");
  }
  page.after = parts[1];
  return page;
}

std::string NextToken(const std::string& next, absl::string_view arguments) {
  return next.empty() ? std::string() : absl::StrCat(ArgumentsMark(arguments), ".", next);
}

// The store says InvalidArgument for a position that is none of its own.
absl::Status ExplainPage(const absl::Status& status) {
  return absl::IsInvalidArgument(status) ? InvalidField("page_token", "is not a token of this desk")
                                         : status;
}

// An id that narrows a list; empty: it does not.
absl::StatusOr<std::string> OptionalUuid(absl::string_view field, absl::string_view text) {
  return text.empty() ? std::string() : NormalUuid(field, text);
}

template <typename Enum>
absl::Status CheckEnum(absl::string_view field, Enum value, bool valid) {
  if (valid) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(static_cast<int>(value), " is not a known value"));
}

}  // namespace

template <typename Response>
void Desk::OnView(const Caller& caller, Done<Response> done,
                  absl::AnyInvocable<absl::StatusOr<Response>(store::View&)> read) {
  // Shared with the task, which is gone when it was not taken.
  auto callback = std::make_shared<Done<Response>>(std::move(done));
  const bool taken = readers_->Post(
      [this, callback, tenant = caller.HeldTo(), read = std::move(read)]() mutable {
        absl::StatusOr<std::unique_ptr<store::View>> view = store_.OpenView();
        if (!view.ok()) {
          (*callback)(view.status());
          return;
        }
        (*view)->HoldTo(std::move(tenant));
        absl::StatusOr<Response> response = read(**view);
        view->reset();
        (*callback)(std::move(response));
      },
      caller.identity);
  if (!taken) (*callback)(Overloaded(kTooManyReads));
}

template <typename Response, typename Row>
void Desk::OnPage(
    const Caller& caller, int page_size, absl::string_view page_token, std::string arguments,
    Done<Response> done,
    absl::AnyInvocable<absl::StatusOr<store::Page<Row>>(store::View&, const store::PageRequest&)>
        list,
    absl::AnyInvocable<void(Row&, Response&)> add) {
  const absl::StatusOr<store::PageRequest> page = ReadPage(page_size, page_token, arguments);
  if (!page.ok()) return done(page.status());
  OnView<Response>(caller, std::move(done),
                   [page = *page, arguments = std::move(arguments), list = std::move(list),
                    add = std::move(add)](store::View& view) mutable -> absl::StatusOr<Response> {
                     absl::StatusOr<store::Page<Row>> rows = list(view, page);
                     if (!rows.ok()) return ExplainPage(rows.status());
                     Response response;
                     for (Row& row : rows->rows) add(row, response);
                     response.set_next_page_token(NextToken(rows->next, arguments));
                     response.set_sequence(view.head());
                     return response;
                   });
}

absl::Status Desk::PostRead(absl::AnyInvocable<void(store::Store&)> task) {
  const bool taken = readers_->Post([this, task = std::move(task)]() mutable { task(store_); });
  return taken ? absl::OkStatus() : Overloaded(kTooManyReads);
}

absl::Status Desk::PostReplay(absl::string_view identity,
                              absl::AnyInvocable<void(store::Store&)> task) {
  const bool taken =
      replays_->Post([this, task = std::move(task)]() mutable { task(store_); }, identity);
  return taken ? absl::OkStatus() : Overloaded(kTooManyReads);
}

void Desk::ProbeReads(absl::AnyInvocable<void(absl::Status)> done) {
  readers_->PostFirst(
      [this, done = std::move(done)]() mutable { done(store_.OpenView().status()); });
}

absl::Status Desk::PostInput(absl::AnyInvocable<void(store::Store&)> task) {
  const bool taken = inputs_->Post([this, task = std::move(task)]() mutable { task(store_); });
  return taken ? absl::OkStatus() : Overloaded(kTooManyReads);
}

void Desk::ObserveLease(v1::Job& job) {
  const std::optional<absl::Duration> at = timers_->Find(Timers::Kind::kLease, job.job_id());
  if (!at.has_value()) {
    job.clear_lease_expires_at();
    return;
  }
  *job.mutable_lease_expires_at() = ToProto(clock_.Now() + (*at - clock_.Monotonic()));
}

void Desk::Read(const Caller& caller, const v1::GetTicketRequest& request,
                Done<v1::GetTicketResponse> done) {
  const absl::StatusOr<std::string> id = NormalUuid("ticket_id", request.ticket_id());
  if (!id.ok()) return done(id.status());
  OnView<v1::GetTicketResponse>(
      caller, std::move(done),
      [id = *id](store::View& view) -> absl::StatusOr<v1::GetTicketResponse> {
        absl::StatusOr<store::TicketRecord> ticket = view.FindTicket(id);
        if (!ticket.ok()) return Explain(ticket.status(), "ticket_id", id);
        v1::GetTicketResponse response;
        *response.mutable_ticket() = std::move(*ticket->mutable_ticket());
        response.set_sequence(view.head());
        return response;
      });
}

void Desk::Read(const Caller& caller, const v1::ListTicketsRequest& request,
                Done<v1::ListTicketsResponse> done) {
  const v1::JobStatus status = request.status();
  if (absl::Status s = CheckEnum("status", status, v1::JobStatus_IsValid(status)); !s.ok()) {
    return done(s);
  }
  OnPage<v1::ListTicketsResponse, store::TicketRecord>(
      caller, request.page_size(), request.page_token(), absl::StrCat("tickets ", status),
      std::move(done),
      [status](store::View& view, const store::PageRequest& page) {
        return view.ListTickets(status, page);
      },
      [](store::TicketRecord& row, v1::ListTicketsResponse& response) {
        *response.add_tickets() = std::move(*row.mutable_ticket());
      });
}

void Desk::Read(const Caller& caller, const v1::GetJobRequest& request,
                Done<v1::GetJobResponse> done) {
  const absl::StatusOr<std::string> id = NormalJobId(request.job_id());
  if (!id.ok()) return done(id.status());
  OnView<v1::GetJobResponse>(
      caller, std::move(done),
      [this, id = *id](store::View& view) -> absl::StatusOr<v1::GetJobResponse> {
        absl::StatusOr<store::JobRecord> job = view.FindJob(id);
        if (!job.ok()) return Explain(job.status(), "job_id", id);
        v1::GetJobResponse response;
        *response.mutable_job() = std::move(*job->mutable_job());
        ObserveLease(*response.mutable_job());
        response.set_sequence(view.head());
        return response;
      });
}

void Desk::Read(const Caller& caller, const v1::ListJobsRequest& request,
                Done<v1::ListJobsResponse> done) {
  const absl::StatusOr<std::string> ticket_id = OptionalUuid("ticket_id", request.ticket_id());
  if (!ticket_id.ok()) return done(ticket_id.status());
  const v1::JobStatus status = request.status();
  if (absl::Status s = CheckEnum("status", status, v1::JobStatus_IsValid(status)); !s.ok()) {
    return done(s);
  }
  OnPage<v1::ListJobsResponse, store::JobRecord>(
      caller, request.page_size(), request.page_token(),
      absl::StrCat("jobs ", status, " ", *ticket_id), std::move(done),
      [status, id = *ticket_id](store::View& view, const store::PageRequest& page)
          -> absl::StatusOr<store::Page<store::JobRecord>> {
        if (id.empty()) return view.ListJobs("", status, page);
        const absl::StatusOr<store::TicketRecord> ticket = view.FindTicket(id);
        if (absl::IsNotFound(ticket.status())) return store::Page<store::JobRecord>{};
        if (!ticket.ok()) return ticket.status();
        return view.ListJobs(ticket->ticket().session_id(), status, page);
      },
      [this](store::JobRecord& row, v1::ListJobsResponse& response) {
        ObserveLease(*row.mutable_job());
        *response.add_jobs() = std::move(*row.mutable_job());
      });
}

void Desk::Read(const Caller& caller, const v1::GetSessionRequest& request,
                Done<v1::GetSessionResponse> done) {
  const absl::StatusOr<std::string> id = NormalUuid("session_id", request.session_id());
  if (!id.ok()) return done(id.status());
  OnView<v1::GetSessionResponse>(
      caller, std::move(done),
      [id = *id](store::View& view) -> absl::StatusOr<v1::GetSessionResponse> {
        absl::StatusOr<store::TicketRecord> ticket = view.FindTicketOfSession(id);
        if (!ticket.ok()) return Explain(ticket.status(), "session_id", id);
        v1::GetSessionResponse response;
        *response.mutable_session() = std::move(*ticket->mutable_session());
        response.set_sequence(view.head());
        return response;
      });
}

void Desk::Read(const Caller& caller, const v1::ListSessionsRequest& request,
                Done<v1::ListSessionsResponse> done) {
  const v1::SessionState state = request.state();
  if (absl::Status s = CheckEnum("state", state, v1::SessionState_IsValid(state)); !s.ok()) {
    return done(s);
  }
  OnPage<v1::ListSessionsResponse, store::TicketRecord>(
      caller, request.page_size(), request.page_token(), absl::StrCat("sessions ", state),
      std::move(done),
      [state](store::View& view, const store::PageRequest& page) {
        return view.ListSessions(state, page);
      },
      [](store::TicketRecord& row, v1::ListSessionsResponse& response) {
        *response.add_sessions() = std::move(*row.mutable_session());
      });
}

void Desk::Read(const Caller& caller, const v1::GetQuestionRequest& request,
                Done<v1::GetQuestionResponse> done) {
  const absl::StatusOr<std::string> id = NormalUuid("question_id", request.question_id());
  if (!id.ok()) return done(id.status());
  OnView<v1::GetQuestionResponse>(
      caller, std::move(done),
      [id = *id](store::View& view) -> absl::StatusOr<v1::GetQuestionResponse> {
        absl::StatusOr<store::QuestionRecord> question = view.FindQuestion(id);
        if (!question.ok()) return Explain(question.status(), "question_id", id);
        v1::GetQuestionResponse response;
        *response.mutable_question() = std::move(*question->mutable_question());
        response.set_sequence(view.head());
        return response;
      });
}

void Desk::Read(const Caller& caller, const v1::ListQuestionsRequest& request,
                Done<v1::ListQuestionsResponse> done) {
  const absl::StatusOr<std::string> session_id = OptionalUuid("session_id", request.session_id());
  if (!session_id.ok()) return done(session_id.status());
  const v1::QuestionState state = request.state();
  if (absl::Status s = CheckEnum("state", state, v1::QuestionState_IsValid(state)); !s.ok()) {
    return done(s);
  }
  OnPage<v1::ListQuestionsResponse, store::QuestionRecord>(
      caller, request.page_size(), request.page_token(),
      absl::StrCat("questions ", state, " ", *session_id), std::move(done),
      [state, id = *session_id](store::View& view, const store::PageRequest& page) {
        return view.ListQuestions(state, id, page);
      },
      [](store::QuestionRecord& row, v1::ListQuestionsResponse& response) {
        *response.add_questions() = std::move(*row.mutable_question());
      });
}

void Desk::Read(const Caller& caller, const v1::ListEventsRequest& request,
                Done<v1::ListEventsResponse> done) {
  absl::StatusOr<events::Filter> filter = events::Filter::Create(request.filter());
  if (!filter.ok()) return done(filter.status());
  const std::string arguments = absl::StrCat("events ", filter->proto().SerializeAsString());
  absl::StatusOr<store::PageRequest> page =
      ReadPage(request.page_size(), request.page_token(), arguments);
  if (!page.ok()) return done(page.status());
  int64_t after = request.after_sequence();
  if (page->after.empty()) {
    // Stored events are kept when Subscribe no longer serves them, so a compacted position is fine.
    absl::Status status = CheckPosition(request.desk_id(), after);
    if (!status.ok() && DetailOf(status).reason != "compacted") return done(status);
  } else if (!absl::SimpleAtoi(page->after, &after) || after < 0) {
    return done(InvalidField("page_token", "is not a token of this desk"));
  }
  OnView<v1::ListEventsResponse>(
      caller, std::move(done),
      [this, after, size = page->size, arguments,
       filter = *std::move(filter)](store::View& view) -> absl::StatusOr<v1::ListEventsResponse> {
        store::EventQuery query;
        query.after = after;
        query.filter = filter.passes_all() ? nullptr : &filter.proto();
        query.max_events = size;
        query.max_bytes = kMaxEventPageBytes;
        const absl::StatusOr<store::EventRead> read = view.ReadEvents(query);
        if (!read.ok()) return read.status();
        v1::ListEventsResponse response;
        // Events are stored as the field `events` of a stream's response, which has the same number
        // here.
        static_assert(int{v1::ListEventsResponse::kEventsFieldNumber} ==
                      int{v1::SubscribeResponse::kEventsFieldNumber});
        if (!response.MergeFromString(*read->bytes)) {
          return absl::DataLossError("stored events cannot be read");
        }
        const int64_t up_to = std::min(read->complete_up_to, view.head());
        response.set_desk_id(desk_id());
        response.set_up_to_sequence(up_to);
        response.set_sequence(view.head());
        if (up_to < view.head()) {
          response.set_next_page_token(NextToken(absl::StrCat(up_to), arguments));
        }
        return response;
      });
}

}  // namespace agentdesk::desk
