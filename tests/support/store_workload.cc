#include "tests/support/store_workload.h"

#include <iterator>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace agentdesk::testing {
namespace {

using record::v1::JobRecord;
using record::v1::QuestionRecord;
using record::v1::RequestRecord;
using record::v1::TicketRecord;

absl::Status Differs(absl::string_view what, absl::string_view id) {
  return absl::DataLossError(absl::StrCat(what, " ", id, " is not as it was committed"));
}

template <typename Find>
absl::Status CompareAll(absl::string_view what, const std::map<std::string, std::string>& rows,
                        Find find) {
  for (const auto& [id, expected] : rows) {
    auto found = find(id);
    if (!found.ok()) return found.status();
    if (found->SerializeAsString() != expected) return Differs(what, id);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status StoreWorkload::Append(store::Transaction& transaction, State& state,
                                   const v1::Event& event) {
  if (absl::Status status = transaction.Append(event); !status.ok()) return status;
  state.head = event.sequence();
  state.events.push_back(event.SerializeAsString());
  return absl::OkStatus();
}

absl::Status StoreWorkload::Change(store::Transaction& transaction, State& state) {
  const int64_t next = transaction.head() + 1;
  if (state.tickets.empty() || Below(3) == 0) {
    TicketRecord ticket = NewTicket(ids_, absl::StrCat("ticket ", next));
    const JobRecord job = NewJob(ids_, ticket);
    RequestRecord request;
    request.set_request_id(ids_.NewUuid(TimeOf(next)).ToString());
    request.set_response(std::string(static_cast<size_t>(Below(300)), 'r'));
    if (absl::Status status = transaction.PutTicket(ticket); !status.ok()) return status;
    if (absl::Status status = transaction.PutJob(job); !status.ok()) return status;
    if (absl::Status status = transaction.PutRequest(request); !status.ok()) return status;
    state.tickets[ticket.ticket().ticket_id()] = ticket.SerializeAsString();
    state.jobs[job.job().job_id()] = job.SerializeAsString();
    state.requests[request.request_id()] = request.SerializeAsString();
    return Append(transaction, state, TicketCreatedEvent(ticket, next));
  }

  auto chosen = state.tickets.begin();
  std::advance(chosen, Below(static_cast<int>(state.tickets.size())));
  absl::StatusOr<TicketRecord> ticket = transaction.FindTicket(chosen->first);
  if (!ticket.ok()) return ticket.status();
  switch (Below(3)) {
    case 0: {
      // Some are larger than a page of the file.
      const size_t size = Below(4) == 0 ? 20000 : 50;
      return Append(transaction, state, AgentMessageEvent(*ticket, next, std::string(size, 'm')));
    }
    case 1: {
      absl::StatusOr<JobRecord> job = transaction.FindJob(ticket->ticket().job_id());
      if (!job.ok()) return job.status();
      const auto status_now = static_cast<v1::JobStatus>(1 + Below(7));
      ticket->mutable_ticket()->set_status(status_now);
      job->mutable_job()->set_status(status_now);
      job->set_claimable(status_now == v1::JOB_STATUS_QUEUED);
      job->set_lease_token(status_now == v1::JOB_STATUS_RUNNING ? next : 0);
      if (absl::Status status = transaction.PutTicket(*ticket); !status.ok()) return status;
      if (absl::Status status = transaction.PutJob(*job); !status.ok()) return status;
      state.tickets[chosen->first] = ticket->SerializeAsString();
      state.jobs[job->job().job_id()] = job->SerializeAsString();
      v1::Event event = NewEvent(*ticket, next);
      event.mutable_job_waiting();
      return Append(transaction, state, event);
    }
    default: {
      const QuestionRecord question = NewQuestion(ids_, *ticket, absl::StrCat("q", next), next);
      if (absl::Status status = transaction.PutQuestion(question); !status.ok()) return status;
      state.questions[question.question().question_id()] = question.SerializeAsString();
      v1::Event event = NewEvent(*ticket, next);
      *event.mutable_agent_question()->mutable_question() = question.question();
      return Append(transaction, state, event);
    }
  }
}

absl::Status StoreWorkload::Run(store::Store& store, int commits) {
  std::unique_ptr<store::View> held;
  for (int committed = 0; committed < commits;) {
    if (Below(3) == 0) {
      held.reset();
      absl::StatusOr<std::unique_ptr<store::View>> view = store.OpenView();
      if (view.ok()) held = *std::move(view);
    } else if (Below(3) == 0) {
      held.reset();
    }
    absl::StatusOr<std::unique_ptr<store::Transaction>> transaction = store.Begin();
    if (!transaction.ok()) return transaction.status();
    State state = acknowledged_;
    for (int left = 1 + Below(8); left > 0; --left) {
      if (absl::Status status = Change(**transaction, state); !status.ok()) return status;
    }
    if (Below(10) == 0) continue;
    attempted_ = state;
    if (absl::Status status = (*transaction)->Commit().status(); !status.ok()) return status;
    acknowledged_ = std::move(state);
    ++committed;
  }
  return absl::OkStatus();
}

absl::Status StoreWorkload::Compare(store::View& view, const State& state) {
  if (view.head() != state.head) {
    return absl::DataLossError(
        absl::StrCat("the head is ", view.head(), ", but ", state.head, " was committed"));
  }
  store::EventQuery query;
  query.max_events = static_cast<int>(state.events.size()) + 1;
  query.max_bytes = SIZE_MAX;
  absl::StatusOr<store::EventRead> read = view.ReadEvents(query);
  if (!read.ok()) return read.status();
  const absl::StatusOr<store::EventBlock> block = store::EventBlock::Parse(*read->bytes);
  if (!block.ok()) return block.status();
  if (block->entries().size() != state.events.size()) {
    return absl::DataLossError("the log has lost events");
  }
  for (size_t i = 0; i < state.events.size(); ++i) {
    const store::EventBlock::Entry& entry = block->entries()[i];
    if (block->Decode(entry).SerializeAsString() != state.events[i]) {
      return Differs("event", absl::StrCat(entry.sequence));
    }
  }
  store::PageRequest all;
  all.size = static_cast<int>(state.tickets.size()) + 1;
  absl::StatusOr<store::Page<TicketRecord>> tickets =
      view.ListTickets(v1::JOB_STATUS_UNSPECIFIED, all);
  if (!tickets.ok()) return tickets.status();
  if (tickets->rows.size() != state.tickets.size()) {
    return absl::DataLossError(absl::StrCat("there are ", tickets->rows.size(), " tickets, but ",
                                            state.tickets.size(), " were committed"));
  }
  absl::Status status = CompareAll("ticket", state.tickets,
                                   [&](const std::string& id) { return view.FindTicket(id); });
  if (status.ok()) {
    status = CompareAll("", state.jobs, [&](const std::string& id) { return view.FindJob(id); });
  }
  if (status.ok()) {
    status = CompareAll("question", state.questions,
                        [&](const std::string& id) { return view.FindQuestion(id); });
  }
  if (status.ok()) {
    status = CompareAll("request", state.requests,
                        [&](const std::string& id) { return view.FindRequest("", id); });
  }
  return status;
}

absl::Status StoreWorkload::Check(store::Store& store) {
  absl::StatusOr<std::unique_ptr<store::View>> view = store.OpenView();
  if (!view.ok()) return view.status();
  if ((*view)->head() == attempted_.head) acknowledged_ = attempted_;
  attempted_ = acknowledged_;
  return Compare(**view, acknowledged_);
}

}  // namespace agentdesk::testing
