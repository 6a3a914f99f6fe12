#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core_service/base/error.h"
#include "core_service/desk/desk.h"
#include "core_service/domain/limits.h"

// The desk's state at one position, in parts.
namespace agentdesk::desk {
namespace {

constexpr size_t kMaxPartBytes = 256 * 1024;
constexpr int kTicketsAtOnce = 500;

class PartBuilder {
 public:
  explicit PartBuilder(int64_t sequence) : parts_(std::make_shared<SnapshotParts>()) {
    parts_->sequence = sequence;
    parts_->parts.emplace_back();
  }

  absl::Status AddTicket(store::View& view, store::TicketRecord record) {
    const int open_questions = record.ticket().open_questions();
    const std::string session_id = record.ticket().session_id();
    *Room(record.ticket().ByteSizeLong()).add_tickets() = std::move(*record.mutable_ticket());
    *Room(record.session().ByteSizeLong()).add_sessions() = std::move(*record.mutable_session());
    if (open_questions == 0) return absl::OkStatus();
    absl::StatusOr<std::vector<store::QuestionRecord>> questions =
        view.OpenQuestions(session_id, INT64_MAX, domain::kMaxOpenQuestions);
    if (!questions.ok()) return questions.status();
    for (store::QuestionRecord& question : *questions) {
      *Room(question.question().ByteSizeLong()).add_questions() =
          std::move(*question.mutable_question());
    }
    return absl::OkStatus();
  }

  std::shared_ptr<const SnapshotParts> Finish() { return std::move(parts_); }

 private:
  // The part that has room for so many bytes more.
  v1::Snapshot& Room(size_t bytes) {
    if (bytes_ > 0 && bytes_ + bytes > kMaxPartBytes) {
      parts_->parts.back().set_more(true);
      parts_->parts.emplace_back();
      bytes_ = 0;
    }
    bytes_ += bytes;
    return parts_->parts.back();
  }

  std::shared_ptr<SnapshotParts> parts_;
  size_t bytes_ = 0;
};

bool HasEnded(const v1::Ticket& ticket) {
  return ticket.status() == v1::JOB_STATUS_COMPLETED || ticket.status() == v1::JOB_STATUS_FAILED ||
         ticket.status() == v1::JOB_STATUS_CANCELLED;
}

// The tickets that the filter names by either of its lists of ids, or by both.
absl::Status AddNamed(store::View& view, const v1::EventFilter& filter, PartBuilder& builder) {
  const bool by_ticket = filter.ticket_ids_size() > 0;
  const auto& ids = by_ticket ? filter.ticket_ids() : filter.session_ids();
  for (const std::string& id : ids) {
    absl::StatusOr<store::TicketRecord> record =
        by_ticket ? view.FindTicket(id) : view.FindTicketOfSession(id);
    if (absl::IsNotFound(record.status())) continue;
    if (!record.ok()) return record.status();
    if (HasEnded(record->ticket())) continue;
    if (by_ticket && filter.session_ids_size() > 0) {
      bool wanted = false;
      for (const std::string& session_id : filter.session_ids()) {
        wanted = wanted || session_id == record->ticket().session_id();
      }
      if (!wanted) continue;
    }
    if (absl::Status s = builder.AddTicket(view, *std::move(record)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status AddAll(store::View& view, PartBuilder& builder) {
  store::PageRequest page;
  page.size = kTicketsAtOnce;
  do {
    absl::StatusOr<store::Page<store::TicketRecord>> tickets = view.ListLiveTickets(page);
    if (!tickets.ok()) return tickets.status();
    for (store::TicketRecord& record : tickets->rows) {
      if (absl::Status s = builder.AddTicket(view, std::move(record)); !s.ok()) return s;
    }
    page.after = std::move(tickets->next);
  } while (!page.after.empty());
  return absl::OkStatus();
}

}  // namespace

void Desk::TakeSnapshot(const Caller& caller, const v1::EventFilter& filter,
                        Done<std::shared_ptr<const SnapshotParts>> done) {
  absl::StatusOr<events::Filter> normal = events::Filter::Create(filter);
  if (!normal.ok()) return done(normal.status());
  const bool unnamed =
      normal->proto().ticket_ids_size() == 0 && normal->proto().session_ids_size() == 0;
  auto callback = std::make_shared<Done<std::shared_ptr<const SnapshotParts>>>(std::move(done));
  const bool taken = snapshots_->Post(
      [this, unnamed, names = normal->proto(), tenant = caller.HeldTo(), callback]() {
        const bool everything = unnamed && !tenant.has_value();
        absl::StatusOr<std::unique_ptr<store::View>> view = store_.OpenView();
        if (!view.ok()) return (*callback)(view.status());
        if (everything) {
          std::shared_ptr<const SnapshotParts> last;
          {
            MutexLock lock(snapshot_mutex_);
            last = snapshot_;
          }
          if (last != nullptr && last->sequence == (*view)->head()) {
            view->reset();
            return (*callback)(std::move(last));
          }
        }
        (*view)->HoldTo(tenant);
        PartBuilder builder((*view)->head());
        const absl::Status status =
            unnamed ? AddAll(**view, builder) : AddNamed(**view, names, builder);
        view->reset();
        if (!status.ok()) return (*callback)(status);
        std::shared_ptr<const SnapshotParts> parts = builder.Finish();
        if (everything) {
          MutexLock lock(snapshot_mutex_);
          snapshot_ = parts;
        }
        (*callback)(std::move(parts));
      });
  if (!taken) (*callback)(Overloaded("too many snapshots wait for the desk; repeat in a moment"));
}

}  // namespace agentdesk::desk
