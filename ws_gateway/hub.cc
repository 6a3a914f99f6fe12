#include "ws_gateway/hub.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "core_service/base/log.h"
#include "ws_gateway/close_code.h"

namespace agentdesk::gateway {
namespace {

// How many connections ahead memory is fetched. What a write goes through in the kernel leaves
// little of a thousand connections in the processor's caches, and what is fetched meanwhile need
// not be waited for.
constexpr size_t kAhead = 4;

}  // namespace

// While the hub goes through its connections nothing is added or removed: the transport calls no
// handler from within a call. Between two strides of a fan-out it may.

Hub::Hub(Commands& commands, Clock& clock, IdSource& ids, RecentEvents::Limits recent,
         LoadLimits& limits, ConnectionMetrics& metrics, const Authenticator* authenticator)
    : commands_(commands),
      clock_(clock),
      ids_(ids),
      limits_(limits),
      metrics_(metrics),
      authenticator_(authenticator),
      recent_(recent) {}

std::unique_ptr<SocketHandler> Hub::MakeConnection(ConnectionOptions options) {
  return std::make_unique<Connection>(*this, std::move(options));
}

std::string Hub::NewGuestName() {
  return absl::StrFormat("guest-%04x", static_cast<unsigned>(ids_.Fraction() * 0x10000));
}

void Hub::Publish(std::shared_ptr<const EventBlock> block, absl::Time core_time) {
  FinishPublishing();
  core_ahead_ = core_time - clock_.Now();
  began_ = clock_.Monotonic();
  const bool first = !recent_.known();
  if (!first && block->after != recent_.head()) SendAway(*block);
  if (first) {
    recent_.Begin(block->desk_id, block->after);
    // Before there are events: those of this block are sent to them as to everybody.
    for (Connection* connection : connections_) connection->OnReady();
  }
  if (block->up_to > recent_.head()) recent_.Append(block);
  block_ = std::move(block);
  whole_.emplace(*block_);
  next_ = 0;
  sent_ = 0;
  GoOn();
}

void Hub::GoOn() {
  if (!publishing()) return;
  const WholeBlock& whole = *whole_;
  const size_t count = connections_.size();
  const size_t end = std::min(count, next_ + kStride);
  int64_t sent = 0;
  for (size_t i = next_; i < end; ++i) {
    if (i + kAhead < count) connections_[i + kAhead]->Prefetch();
    if (i + kAhead / 2 < count) connections_[i + kAhead / 2]->PrefetchSocket();
    sent += connections_[i]->OnAppended(whole);
  }
  next_ = end;
  sent_ += sent;
  if (next_ < count) return;
  metrics_.Sent(sent_);
  if (block_->committed != absl::InfinitePast() && count > 0) {
    metrics_.FannedOut(clock_.Monotonic() - began_, clock_.Now() - block_->committed);
  }
  block_.reset();
}

void Hub::FinishPublishing() {
  while (publishing()) GoOn();
}

// A hole in what comes must not become one in what is sent: whoever comes back resumes exactly.
void Hub::SendAway(const EventBlock& block) {
  LogError("events are missing",
           {{"desk", block.desk_id}, {"head", recent_.head()}, {"after", block.after}});
  for (Connection* connection : connections_) {
    connection->Leave(kCloseRestart, "the stream of events cannot go on: resume");
  }
  recent_.Begin(block.desk_id, block.after);
}

void Hub::ReportGap(const Gap& gap) {
  FinishPublishing();
  recent_.Forget();
  for (Connection* connection : connections_) connection->OnGap(gap);
}

void Hub::Tick() {
  const std::vector<Connection*> attended(attended_.begin(), attended_.end());
  for (Connection* connection : attended) {
    if (!connection->Tick()) attended_.erase(connection);
  }
  const absl::Duration now = clock_.Monotonic();
  if (draining_) Drain(now);
  if (now < next_beat_) return;
  next_beat_ = now + absl::Seconds(1);
  Connection::SharedPosition shared;
  size_t queued = 0;
  for (Connection* connection : connections_) {
    connection->Beat(now, shared);
    queued += connection->queued_bytes();
  }
  metrics_.Queued(queued);
}

void Hub::KeepWithin(OutboxMemory& memory, size_t shard, size_t queued,
                     absl::FunctionRef<void(std::vector<Backlog>&)> add_others) {
  // Made once, when it is needed, the largest last.
  std::vector<Backlog> by_size;
  bool sorted = false;
  const auto largest = [&] {
    if (!std::exchange(sorted, true)) {
      for (Connection* connection : connections_) {
        by_size.push_back({connection->queued_bytes(), [this, connection] {
                             // It is on its way out, and must not be chosen again.
                             Dismiss(*connection);
                             connection->Leave(kCloseTooSlow,
                                               "read too slowly while memory is short: resume");
                           }});
      }
      add_others(by_size);
      std::sort(by_size.begin(), by_size.end(),
                [](const Backlog& a, const Backlog& b) { return a.bytes < b.bytes; });
    }
    return by_size.empty() ? 0 : by_size.back().bytes;
  };
  while (memory.ShallClose(shard, queued, largest)) {
    Backlog backlog = std::move(by_size.back());
    by_size.pop_back();
    ++limits_.refused().outboxes;
    backlog.close();
    queued -= std::min(queued, backlog.bytes);
  }
}

void Hub::StartDrain(absl::Duration over) {
  if (draining_) return;
  draining_ = true;
  drain_until_ = clock_.Monotonic() + over;
  Drain(clock_.Monotonic());
}

// Closes as many as bring the rest to zero at the end of the time.
void Hub::Drain(absl::Duration now) {
  const double ticks = absl::FDivDuration(drain_until_ - now, kTick);
  const size_t count =
      ticks < 1 ? connections_.size()
                : static_cast<size_t>(static_cast<double>(connections_.size()) / ticks) + 1;
  std::vector<Connection*> leaving;
  for (Connection* connection : connections_) {
    if (leaving.size() == count) break;
    leaving.push_back(connection);
  }
  for (Connection* connection : leaving) {
    // It is on its way out, and must not be counted again.
    Dismiss(*connection);
    connection->Leave(kCloseRestart, kRestarts);
  }
}

void Hub::Add(Connection& connection) {
  connection.hub_slot = connections_.size();
  connections_.push_back(&connection);
}

void Hub::Dismiss(Connection& connection) {
  size_t slot = connection.hub_slot;
  if (slot == Connection::kNoSlot) return;
  const auto fill = [this](size_t hole, size_t from) {
    connections_[hole] = connections_[from];
    connections_[hole]->hub_slot = hole;
    return from;
  };
  // Who has not had the events that are being written must not come to lie among those who have.
  if (publishing() && slot < next_) slot = fill(slot, --next_);
  // The last place has nobody left to fill it with: who lay there may have filled the hole above.
  if (slot + 1 < connections_.size()) fill(slot, connections_.size() - 1);
  connections_.pop_back();
  connection.hub_slot = Connection::kNoSlot;
}

void Hub::Remove(Connection& connection) {
  Dismiss(connection);
  attended_.erase(&connection);
}

void Hub::Attend(Connection& connection) { attended_.insert(&connection); }

}  // namespace agentdesk::gateway
