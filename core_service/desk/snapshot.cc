#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/desk/desk.h"
#include "core_service/domain/limits.h"

// The desk's state at one position, in parts.
namespace agentdesk::desk {
namespace {

constexpr size_t kMaxPartBytes = 256 * 1024;
constexpr int kTicketsAtOnce = 500;
// Within it a snapshot is not called in, so that who reads it all the time gets to its end although
// others want theirs.
constexpr absl::Duration kSnapshotStays = absl::Seconds(30);
// Streams let go of a snapshot that is called in at their next tick.
constexpr absl::Duration kSnapshotsFullFor = absl::Seconds(5);

class PartBuilder {
 public:
  // ResourceExhausted from what is added past `room`.
  PartBuilder(int64_t sequence, absl::Duration now, size_t room)
      : room_(room), parts_(std::make_shared<SnapshotParts>()) {
    parts_->sequence = sequence;
    parts_->read_at = now;
    parts_->parts.emplace_back();
  }

  absl::Status AddTicket(store::View& view, store::TicketRecord record) {
    const int open_questions = record.ticket().open_questions();
    const std::string session_id = record.ticket().session_id();
    *Room(record.ticket().ByteSizeLong()).add_tickets() = std::move(*record.mutable_ticket());
    *Room(record.session().ByteSizeLong()).add_sessions() = std::move(*record.mutable_session());
    if (open_questions == 0) return CheckRoom();
    absl::StatusOr<std::vector<store::QuestionRecord>> questions =
        view.OpenQuestions(session_id, INT64_MAX, domain::kMaxOpenQuestions);
    if (!questions.ok()) return questions.status();
    for (store::QuestionRecord& question : *questions) {
      *Room(question.question().ByteSizeLong()).add_questions() =
          std::move(*question.mutable_question());
    }
    return CheckRoom();
  }

  std::shared_ptr<const SnapshotParts> Finish() { return std::move(parts_); }

 private:
  absl::Status CheckRoom() const {
    if (parts_->bytes <= room_) return absl::OkStatus();
    return WithDetail(
        absl::ResourceExhaustedError("the snapshots that are being sent take too much memory; "
                                     "repeat in some seconds"),
        {.reason = "overloaded", .field = {}, .retry_after = kSnapshotsFullFor, .metadata = {}});
  }
  // The part that has room for so many bytes more.
  v1::Snapshot& Room(size_t bytes) {
    if (bytes_ > 0 && bytes_ + bytes > kMaxPartBytes) {
      parts_->parts.back().set_more(true);
      parts_->parts.emplace_back();
      bytes_ = 0;
    }
    bytes_ += bytes;
    parts_->bytes += bytes;
    return parts_->parts.back();
  }

  const size_t room_;
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

std::vector<Desk::SnapshotTaker> Desk::TakersOf(const std::string& same) {
  MutexLock lock(snapshot_mutex_);
  const auto entry = snapshot_takers_.find(same);
  std::vector<SnapshotTaker> takers = std::move(entry->second);
  snapshot_takers_.erase(entry);
  return takers;
}

size_t Desk::SnapshotRoom() {
  MutexLock lock(snapshot_mutex_);
  size_t held = 0;
  std::erase_if(living_snapshots_, [&held](const std::weak_ptr<const SnapshotParts>& snapshot) {
    const std::shared_ptr<const SnapshotParts> living = snapshot.lock();
    if (living != nullptr) held += living->bytes;
    return living == nullptr;
  });
  if (held == 0) return SIZE_MAX;
  return max_snapshot_bytes_ - std::min(held, max_snapshot_bytes_);
}

void Desk::CallInSnapshots() {
  MutexLock lock(snapshot_mutex_);
  snapshot_ = nullptr;
  // The oldest half, so that those who read as fast as they can are not called in time and again.
  size_t freed = 0;
  for (const std::weak_ptr<const SnapshotParts>& snapshot : living_snapshots_) {
    const std::shared_ptr<const SnapshotParts> living = snapshot.lock();
    if (living == nullptr) continue;
    if (clock_.Monotonic() - living->read_at < kSnapshotStays) break;
    living->called_in = true;
    freed += living->bytes;
    if (freed >= max_snapshot_bytes_ / 2) break;
  }
}

absl::StatusOr<std::shared_ptr<const SnapshotParts>> Desk::ReadSnapshot(
    const std::optional<std::string>& tenant, const v1::EventFilter& names) {
  const bool unnamed = names.ticket_ids().empty() && names.session_ids().empty();
  const bool everything = unnamed && !tenant.has_value();
  absl::StatusOr<std::unique_ptr<store::View>> view = store_.OpenView();
  if (!view.ok()) return view.status();
  {
    MutexLock lock(snapshot_mutex_);
    if (snapshot_ != nullptr && snapshot_->sequence != (*view)->head()) snapshot_ = nullptr;
    if (everything && snapshot_ != nullptr) return snapshot_;
  }
  (*view)->HoldTo(tenant);
  PartBuilder builder((*view)->head(), clock_.Monotonic(), SnapshotRoom());
  const absl::Status status = unnamed ? AddAll(**view, builder) : AddNamed(**view, names, builder);
  if (absl::IsResourceExhausted(status)) CallInSnapshots();
  if (!status.ok()) return status;
  std::shared_ptr<const SnapshotParts> parts = builder.Finish();
  MutexLock lock(snapshot_mutex_);
  living_snapshots_.push_back(parts);
  if (everything) snapshot_ = parts;
  return parts;
}

void Desk::TakeSnapshot(const Caller& caller, const v1::EventFilter& filter,
                        Done<std::shared_ptr<const SnapshotParts>> done,
                        absl::AnyInvocable<bool()> wanted) {
  absl::StatusOr<events::Filter> normal = events::Filter::Create(filter);
  if (!normal.ok()) return done(normal.status());
  v1::EventFilter names = normal->proto();
  names.clear_types();
  const std::optional<std::string> tenant = caller.HeldTo();
  const std::string same = absl::StrCat(tenant.has_value() ? "of " : "", tenant.value_or(""),
                                        absl::string_view("\0", 1), names.SerializeAsString());
  {
    MutexLock lock(snapshot_mutex_);
    std::vector<SnapshotTaker>& takers = snapshot_takers_[same];
    takers.push_back({std::move(done), std::move(wanted)});
    if (takers.size() > 1) return;
  }
  // What everyone of a tenant may wait for is in a lane of its own, else who asks.
  const std::string& lane = names.ByteSizeLong() == 0 ? same : caller.identity;
  const bool taken = snapshots_->Post(
      [this, same, tenant, names] {
        // Only those who are there before the view is opened: it shows all that was acknowledged
        // before they asked.
        std::vector<SnapshotTaker> takers = TakersOf(same);
        std::erase_if(takers, [](SnapshotTaker& taker) {
          return taker.wanted != nullptr && !taker.wanted();
        });
        if (takers.empty()) return;
        const absl::StatusOr<std::shared_ptr<const SnapshotParts>> parts =
            ReadSnapshot(tenant, names);
        for (SnapshotTaker& taker : takers) taker.done(parts);
      },
      lane);
  if (taken) return;
  for (SnapshotTaker& taker : TakersOf(same)) {
    taker.done(Overloaded("too many snapshots wait for the desk; repeat in a moment"));
  }
}

}  // namespace agentdesk::desk
