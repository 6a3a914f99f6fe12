#include "tools/agentdesk-bench/load.h"

#include <algorithm>
#include <utility>

#include "tools/agentdesk-bench/failure.h"

namespace agentdesk::bench {

ClosedLoad::ClosedLoad(EventLoop& loop, uint16_t port, BrowserGroup& browsers, int creators)
    : loop_(loop), browsers_(browsers), slots_(static_cast<size_t>(creators)) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].creator = std::make_unique<Creator>(loop, port, [this, i](Creator&) {
      slots_[i].acknowledged = true;
      Next(i);
    });
  }
  browsers_.ledger().set_listener(this);
}

ClosedLoad::~ClosedLoad() { browsers_.ledger().set_listener(nullptr); }

ClosedLoad::Result ClosedLoad::Run(double seconds) {
  const int64_t before = browsers_.deliveries();
  const int64_t begin = NowNs();
  result_ = {};
  stopping_ = false;
  for (size_t i = 0; i < slots_.size(); ++i) Post(i);
  loop_.RunFor(seconds);
  stopping_ = true;
  loop_.RunUntil([this] { return slot_of_.empty(); }, "arrival of what was brought");
  result_.deliveries = browsers_.deliveries() - before;
  result_.seconds = static_cast<double>(NowNs() - begin) / 1e9;
  return result_;
}

void ClosedLoad::Post(size_t slot) {
  const int64_t number = NextTicketNumber();
  slot_of_.emplace(number, slot);
  slots_[slot].acknowledged = false;
  slots_[slot].delivered = false;
  slots_[slot].called_at = NowNs();
  ++result_.tickets;
  slots_[slot].creator->Post(number);
}

size_t ClosedLoad::SlotOf(const Ledger::Message& message) const {
  const auto found = slot_of_.find(message.number);
  if (found == slot_of_.end()) Fail("nobody had brought: ", message.text);
  return found->second;
}

void ClosedLoad::OnDelivered(const Ledger::Message& message, int /*browser*/, int64_t /*at*/) {
  if (message.seen != 1) return;
  result_.seconds_to_first +=
      static_cast<double>(NowNs() - slots_[SlotOf(message)].called_at) / 1e9;
}

void ClosedLoad::OnComplete(const Ledger::Message& message) {
  const size_t slot = SlotOf(message);
  slots_[slot].delivered = true;
  Next(slot);
}

void ClosedLoad::Next(size_t slot) {
  if (!slots_[slot].acknowledged || !slots_[slot].delivered) return;
  slot_of_.erase(slots_[slot].creator->number());
  if (!stopping_) Post(slot);
}

PacedLoad::PacedLoad(EventLoop& loop, uint16_t port, BrowserGroup& browsers, double rate,
                     int timed_browsers)
    : loop_(loop),
      port_(port),
      browsers_(browsers),
      interval_ns_(static_cast<int64_t>(1e9 / rate)),
      timed_browsers_(timed_browsers) {
  browsers_.ledger().set_listener(this);
}

PacedLoad::~PacedLoad() { browsers_.ledger().set_listener(nullptr); }

void PacedLoad::Post() {
  if (idle_.empty()) {
    creators_.push_back(std::make_unique<Creator>(
        loop_, port_, [this](Creator& creator) { idle_.push_back(&creator); }));
    idle_.push_back(creators_.back().get());
  }
  Creator* const creator = idle_.front();
  idle_.pop_front();
  const int64_t number = NextTicketNumber();
  called_at_.emplace(number, NowNs());
  creator->Post(number);
}

void PacedLoad::RunWhile(const std::function<bool()>& condition) {
  next_at_ = NowNs();
  while (condition()) {
    const int64_t now = NowNs();
    if (now >= next_at_) {
      Post();
      next_at_ += interval_ns_;
    }
    loop_.Poll(std::clamp<int64_t>(next_at_ - now, 0, 10'000'000));
  }
}

void PacedLoad::Drain() {
  loop_.RunUntil([this] { return called_at_.empty() && idle_.size() == creators_.size(); },
                 "arrival of what was brought");
}

void PacedLoad::RunFor(double seconds) {
  const int64_t end = NowNs() + static_cast<int64_t>(seconds * 1e9);
  RunWhile([end] { return NowNs() < end; });
  Drain();
}

void PacedLoad::OnDelivered(const Ledger::Message& message, int browser, int64_t at) {
  if (message.number < 0 || browser >= timed_browsers_) return;
  const auto called = called_at_.find(message.number);
  if (called == called_at_.end()) return;  // another load's, which looks after it
  delays_.Add((at == 0 ? NowNs() : at) - called->second);
}

void PacedLoad::OnComplete(const Ledger::Message& message) { called_at_.erase(message.number); }

Histogram PacedLoad::TakeDelays() { return std::exchange(delays_, Histogram()); }

}  // namespace agentdesk::bench
