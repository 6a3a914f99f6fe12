#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_LOAD_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_LOAD_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "tools/agentdesk-bench/browser.h"
#include "tools/agentdesk-bench/creator.h"
#include "tools/agentdesk-bench/ledger.h"
#include "tools/agentdesk-bench/report.h"

namespace agentdesk::bench {

// Creators of which each brings a ticket, waits until it is acknowledged and has reached every
// browser, and brings the next.
class ClosedLoad final : private Ledger::Listener {
 public:
  ClosedLoad(EventLoop& loop, uint16_t port, BrowserGroup& browsers, int creators);
  ~ClosedLoad() override;

  struct Result {
    int64_t deliveries = 0;
    double seconds = 0;
    // From a ticket's call until the first browser has it, of all tickets together.
    double seconds_to_first = 0;
    int64_t tickets = 0;
  };
  // Runs for a time, and until all that was brought has arrived.
  Result Run(double seconds);

 private:
  struct Slot {
    std::unique_ptr<Creator> creator;
    int64_t called_at = 0;
    bool acknowledged = true;
    bool delivered = true;
  };

  void OnDelivered(const Ledger::Message& message, int browser, int64_t at) override;
  void OnComplete(const Ledger::Message& message) override;
  size_t SlotOf(const Ledger::Message& message) const;
  void Post(size_t slot);
  void Next(size_t slot);

  EventLoop& loop_;
  BrowserGroup& browsers_;
  std::vector<Slot> slots_;
  absl::flat_hash_map<int64_t, size_t> slot_of_;  // by the number of the ticket under way
  Result result_;                                 // of the run
  bool stopping_ = false;
};

// Brings tickets at a steady rate, whether or not earlier ones have arrived, and takes the time
// from each call to each browser.
class PacedLoad final : private Ledger::Listener {
 public:
  // Only deliveries to browsers below `timed_browsers` are timed.
  PacedLoad(EventLoop& loop, uint16_t port, BrowserGroup& browsers, double rate,
            int timed_browsers);
  ~PacedLoad() override;

  void RunWhile(const std::function<bool()>& condition);
  // Waits until all that was brought has arrived.
  void Drain();
  // Both.
  void RunFor(double seconds);
  // What has been timed since the last call.
  Histogram TakeDelays();

 private:
  void OnDelivered(const Ledger::Message& message, int browser, int64_t at) override;
  void OnComplete(const Ledger::Message& message) override;
  void Post();

  EventLoop& loop_;
  const uint16_t port_;
  BrowserGroup& browsers_;
  const int64_t interval_ns_;
  const int timed_browsers_;
  std::vector<std::unique_ptr<Creator>> creators_;
  // The one that has rested longest is taken: the gateway closes those that rest for too long.
  std::deque<Creator*> idle_;
  absl::flat_hash_map<int64_t, int64_t> called_at_;  // by the number of each ticket under way
  int64_t next_at_ = 0;
  Histogram delays_;
};

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_LOAD_H_
