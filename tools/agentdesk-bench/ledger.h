#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_LEDGER_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_LEDGER_H_

#include <cstdint>
#include <deque>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

namespace agentdesk::bench {

// The name of the ticket with this number, 60 characters long.
std::string TicketName(int64_t number);

// What every browser of a group must see, byte for byte and in this order: learned from the browser
// that sees a message first, kept until the last one has seen it.
class Ledger {
 public:
  struct Message {
    std::string text;
    int64_t number = -1;  // of the ticket whose creation it tells; -1: none
    int seen = 0;         // by how many browsers
  };
  class Listener {
   public:
    virtual ~Listener() = default;
    // One more browser has it, since `at` (of NowNs).
    virtual void OnDelivered(const Message& /*message*/, int /*browser*/, int64_t /*at*/) {}
    // The last browser has it.
    virtual void OnComplete(const Message& /*message*/) {}
  };

  explicit Ledger(int readers) : readers_(readers) {}

  // Null: nobody listens.
  void set_listener(Listener* listener) { listener_ = listener; }
  // A browser has the message at `position`. Fails where another browser had another one there, and
  // where it tells a ticket a second time.
  void Take(int64_t position, absl::string_view text, int browser, int64_t at);

  // How many messages any browser has seen.
  int64_t end() const { return first_ + static_cast<int64_t>(messages_.size()); }
  // Up to where all browsers have seen everything.
  int64_t complete() const { return first_; }

 private:
  void Learn(absl::string_view text);

  const int readers_;
  absl::flat_hash_set<int64_t> created_;  // the numbers of all tickets that were told
  Listener* listener_ = nullptr;
  std::deque<Message> messages_;
  int64_t first_ = 0;          // the position of messages_.front()
  int64_t last_sequence_ = 0;  // the log's, of the last message, where messages tell theirs
};

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_LEDGER_H_
