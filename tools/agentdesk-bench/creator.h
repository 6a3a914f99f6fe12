#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_CREATOR_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_CREATOR_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "tools/agentdesk-bench/event_loop.h"

namespace agentdesk::bench {

// One HTTP connection that brings tickets, one at a time, by POST /tickets/create.
class Creator final : public Watcher {
 public:
  // `on_created` is called when a ticket has been acknowledged; it may Post the next one.
  Creator(EventLoop& loop, uint16_t port, std::function<void(Creator&)> on_created);

  // Brings the ticket with this number. Only when the one before has been acknowledged.
  void Post(int64_t number);
  bool busy() const { return busy_; }
  int64_t number() const { return number_; }

  void OnReady(uint32_t events) override;

 private:
  void TakeResponse(absl::string_view response);

  EventLoop& loop_;
  const uint16_t port_;
  const std::function<void(Creator&)> on_created_;
  Descriptor socket_;
  bool connected_ = false;
  bool busy_ = false;
  int64_t number_ = -1;
  std::string request_;
  std::string input_;
};

// A numbering of tickets for a whole run, so that no two have the same name.
int64_t NextTicketNumber();

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_CREATOR_H_
