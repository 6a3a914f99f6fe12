#include "core_service/offline/check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/domain/fold.h"
#include "core_service/store/sqlite_verify.h"

namespace agentdesk::offline {
namespace {

constexpr int kTicketsAtOnce = 200;

bool HasEnded(const store::TicketRecord& ticket) {
  return ticket.ticket().status() >= v1::JOB_STATUS_COMPLETED;
}

// Compares one ticket with its events.
class TicketCheck {
 public:
  TicketCheck(store::View& view, const store::TicketRecord& ticket, int64_t checkpoint)
      : view_(view), ticket_(ticket), checkpoint_(checkpoint) {
    filter_.add_session_ids(ticket.ticket().session_id());
  }

  // False: nothing of it is as late as `since_checkpoint` asks for.
  absl::StatusOr<bool> Run(bool since_checkpoint) {
    if (checkpoint_ > 0) {
      absl::StatusOr<store::TicketCheckpoint> stored =
          view_.FindCheckpoint(ticket_.ticket().session_id());
      if (!stored.ok() && !absl::IsNotFound(stored.status())) return stored.status();
      if (stored.ok()) at_checkpoint_ = domain::FoldedTicket::Of(*stored);
    }
    int64_t from = 0;
    if (since_checkpoint && at_checkpoint_.has_value()) {
      told_ = *at_checkpoint_;
      from = checkpoint_;
    } else if (since_checkpoint && checkpoint_ > 0) {
      absl::StatusOr<bool> later = HasEventsAfter(checkpoint_);
      if (!later.ok() || !*later) return later;
    }
    if (from < checkpoint_) {
      if (absl::Status status = FoldUpTo(checkpoint_, from); !status.ok()) return status;
      if (absl::Status status = CompareWithCheckpoint(); !status.ok()) return status;
    }
    if (absl::Status status = FoldUpTo(view_.head(), std::max(from, checkpoint_)); !status.ok()) {
      return status;
    }
    const absl::StatusOr<store::TicketCheckpoint> now = store::ReadTicketState(view_, ticket_);
    if (!now.ok()) return now.status();
    if (absl::Status status = Compare(domain::FoldedTicket::Of(*now), "has a state");
        !status.ok()) {
      return status;
    }
    return true;
  }

 private:
  absl::StatusOr<bool> HasEventsAfter(int64_t position) {
    store::EventQuery query;
    query.after = position;
    query.filter = &filter_;
    query.max_events = 1;
    while (query.after < view_.head()) {
      const absl::StatusOr<store::EventRead> read = view_.ReadEvents(query);
      if (!read.ok()) return read.status();
      if (!read->bytes->empty()) return true;
      query.after = read->complete_up_to;
    }
    return false;
  }

  absl::Status FoldUpTo(int64_t end, int64_t after) {
    store::EventQuery query;
    query.after = after;
    query.up_to = end;
    query.filter = &filter_;
    while (query.after < end) {
      const absl::StatusOr<store::EventRead> read = view_.ReadEvents(query);
      if (!read.ok()) return read.status();
      const absl::StatusOr<store::EventBlock> block = store::EventBlock::Parse(*read->bytes);
      if (!block.ok()) return block.status();
      for (const store::EventBlock::Entry& entry : block->entries()) {
        if (absl::Status s = domain::Fold(block->Decode(entry), told_); !s.ok()) return s;
      }
      query.after = read->complete_up_to;
    }
    return absl::OkStatus();
  }

  absl::Status CompareWithCheckpoint() {
    const bool lived = told_.ticket.has_ticket() && !HasEnded(told_.ticket);
    if (lived != at_checkpoint_.has_value()) {
      return Wrong(lived ? "is missing in the checkpoint" : "does not belong in the checkpoint");
    }
    return lived ? Compare(*at_checkpoint_, "has a state in the checkpoint") : absl::OkStatus();
  }

  absl::Status Compare(const domain::FoldedTicket& stored, absl::string_view what) {
    const std::string difference = domain::Difference(told_, stored);
    if (difference.empty()) return absl::OkStatus();
    return Wrong(absl::StrCat(what, " that its events do not tell (", difference, ")"));
  }

  absl::Status Wrong(absl::string_view what) const {
    return absl::DataLossError(absl::StrCat("ticket ", ticket_.ticket().ticket_id(), " ", what,
                                            "; the desk was changed or is damaged"));
  }

  store::View& view_;
  const store::TicketRecord& ticket_;
  const int64_t checkpoint_;
  v1::EventFilter filter_;
  domain::FoldedTicket told_;
  std::optional<domain::FoldedTicket> at_checkpoint_;
};

}  // namespace

absl::StatusOr<int64_t> CheckState(store::View& view, bool since_checkpoint) {
  const absl::StatusOr<int64_t> checkpoint = view.CheckpointSequence();
  if (!checkpoint.ok()) return checkpoint.status();
  int64_t checked = 0;
  store::PageRequest request;
  request.size = kTicketsAtOnce;
  do {
    absl::StatusOr<store::Page<store::TicketRecord>> page =
        view.ListTickets(v1::JOB_STATUS_UNSPECIFIED, request);
    if (!page.ok()) return page.status();
    for (const store::TicketRecord& ticket : page->rows) {
      const absl::StatusOr<bool> done =
          TicketCheck(view, ticket, *checkpoint).Run(since_checkpoint);
      if (!done.ok()) return done.status();
      checked += *done ? 1 : 0;
    }
    request.after = std::move(page->next);
  } while (!request.after.empty());
  return checked;
}

absl::StatusOr<CheckReport> CheckDesk(const std::string& path, bool since_checkpoint) {
  const absl::StatusOr<store::VerifiedDesk> desk =
      store::VerifySqliteStore({.path = path, .since_checkpoint = since_checkpoint});
  if (!desk.ok()) return desk.status();
  CheckReport report;
  report.desk_id = desk->desk_id;
  report.origin = desk->origin;
  report.head = desk->view->head();
  report.oldest = desk->view->oldest();
  const absl::StatusOr<int64_t> checkpoint = desk->view->CheckpointSequence();
  if (!checkpoint.ok()) return checkpoint.status();
  report.checkpoint = *checkpoint;
  report.checked_from = since_checkpoint ? *checkpoint + 1 : 1;
  const absl::StatusOr<int64_t> tickets = CheckState(*desk->view, since_checkpoint);
  if (!tickets.ok()) return tickets.status();
  report.tickets = *tickets;
  return report;
}

}  // namespace agentdesk::offline
