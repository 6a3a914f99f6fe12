#include "ws_gateway/event_cursor.h"

#include <algorithm>
#include <utility>

namespace agentdesk::gateway {
namespace {

constexpr size_t kMaxRunBytes = 128 * 1024;
// Past it, responses without a question's id are judged as if none had been shown.
constexpr size_t kMaxAskedSessions = 4096;

// How many messages the entries from `begin` to `end` are in a protocol.
int64_t Messages(const EventBlock& block, Protocol protocol, size_t begin, size_t end) {
  if (protocol != Protocol::kPlain) return static_cast<int64_t>(end - begin);
  int64_t messages = 0;
  size_t before = begin == 0 ? 0 : block.entries[begin - 1].plain_end;
  for (size_t i = begin; i < end; ++i) {
    messages += block.entries[i].plain_end > before ? 1 : 0;
    before = block.entries[i].plain_end;
  }
  return messages;
}

// A question ends its run: from its last byte on, a response may be meant for it.
bool EndsRun(const EventBlock::Entry& entry) { return entry.type == v1::EVENT_TYPE_AGENT_QUESTION; }

}  // namespace

WholeBlock::WholeBlock(const EventBlock& block)
    : after_(block.after),
      up_to_(block.up_to),
      last_(block.entries.empty() ? block.up_to : block.entries.back().sequence) {
  const auto& entries = block.entries;
  if (!entries.empty() && std::any_of(entries.begin(), entries.end() - 1, EndsRun)) return;
  for (const Protocol protocol : {Protocol::kPlain, Protocol::kV1}) {
    const Frames& frames = block.frames(protocol);
    if (frames.bytes.size() > kMaxRunBytes) continue;
    runs_[static_cast<size_t>(protocol)] = {&frames, Messages(block, protocol, 0, entries.size())};
  }
}

EntryFilter::EntryFilter(const v1::EventFilter& filter) {
  for (const int type : filter.types()) types_ |= uint64_t{1} << static_cast<unsigned>(type);
  // An id that is none matches no event, as in the core.
  for (const std::string& id : filter.ticket_ids()) {
    tickets_.insert(Uuid::Parse(id).value_or(Uuid{}));
  }
  for (const std::string& id : filter.session_ids()) {
    sessions_.insert(Uuid::Parse(id).value_or(Uuid{}));
  }
  all_ = types_ == 0 && tickets_.empty() && sessions_.empty();
}

void EventCursor::Open(Socket& socket, int64_t head) {
  socket_ = &socket;
  written_ = head;
}

void EventCursor::Reopen(int64_t position) {
  started_ = false;
  partial_ = false;
  asked_.clear();
  position_ = 0;
  written_ = position;
  unwritten_.clear();
}

void EventCursor::Start(int64_t position, EntryFilter filter) {
  const int64_t sent = unwritten_.empty() ? written_ : unwritten_.back().position;
  partial_ = !filter.matches_all() || position > sent;
  if (partial_) whole_until_ = WrittenPosition();
  started_ = true;
  position_ = position;
  filter_ = std::move(filter);
}

void EventCursor::Stop() {
  if (partial_) return Reopen(whole_until_);
  started_ = false;
}

bool EventCursor::Pump() {
  while (started_ && !paused_ && position_ < recent_.head()) {
    if (!recent_.Reaches(position_)) return false;
    if (!Send(recent_.BlockAfter(position_))) return true;
  }
  return true;
}

bool EventCursor::Send(const EventBlock& block) {
  const std::vector<EventBlock::Entry>& entries = block.entries;
  size_t next = 0;
  if (position_ > block.after) {
    next = static_cast<size_t>(std::upper_bound(entries.begin(), entries.end(), position_,
                                                [](int64_t value, const EventBlock::Entry& entry) {
                                                  return value < entry.sequence;
                                                }) -
                               entries.begin());
  }
  const int64_t tenant = TenantIn(block);
  while (next < entries.size()) {
    if (!Passes(entries[next], tenant)) {
      position_ = entries[next++].sequence;
      continue;
    }
    if (full()) return false;
    const size_t begin = next == 0 ? 0 : block.end(protocol_, next - 1);
    const size_t first = next;
    next = RunEnd(block, next, tenant);
    position_ = entries[next - 1].sequence;
    const size_t end = block.end(protocol_, next - 1);
    if (end == begin) continue;  // nothing that this protocol knows
    sent_ += Messages(block, protocol_, first, next);
    const Frames& all = block.frames(protocol_);
    SendMarked({all.owner, all.bytes.substr(begin, end - begin)}, position_);
    const EventBlock::Entry& last = entries[next - 1];
    if (partial_ && EndsRun(last)) {
      if (asked_.size() >= kMaxAskedSessions) asked_.clear();
      asked_[last.session] = {marks_, last.sequence};
    }
  }
  position_ = std::max(position_, block.up_to);
  return true;
}

int64_t EventCursor::TenantIn(const EventBlock& block) const {
  if (!tenant_.has_value()) return kEveryTenant;
  // One past the end, where there is none, is no entry's.
  return std::find(block.tenants.begin(), block.tenants.end(), *tenant_) - block.tenants.begin();
}

size_t EventCursor::RunEnd(const EventBlock& block, size_t begin, int64_t tenant) const {
  const std::vector<EventBlock::Entry>& entries = block.entries;
  const size_t first_byte = begin == 0 ? 0 : block.end(protocol_, begin - 1);
  size_t end = begin + 1;
  while (end < entries.size() && !EndsRun(entries[end - 1]) && Passes(entries[end], tenant) &&
         block.end(protocol_, end) - first_byte <= kMaxRunBytes) {
    ++end;
  }
  return end;
}

int64_t EventCursor::ShownAsOf(const Uuid& session) {
  if (!partial_) return WrittenPosition();
  const auto asked = asked_.find(session);
  const bool shown = asked != asked_.end() && asked->second.mark <= socket_->written_mark();
  return shown ? asked->second.position : whole_until_;
}

int64_t EventCursor::WrittenPosition() {
  const int64_t mark = socket_->written_mark();
  size_t count = 0;
  while (count < unwritten_.size() && unwritten_[count].mark <= mark) {
    written_ = std::max(written_, unwritten_[count++].position);
  }
  unwritten_.erase(unwritten_.begin(), unwritten_.begin() + static_cast<std::ptrdiff_t>(count));
  // Events after the last frames that this protocol does not know count as seen.
  return unwritten_.empty() && started_ ? std::max(written_, position_) : written_;
}

}  // namespace agentdesk::gateway
