#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_BROWSER_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_BROWSER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tools/agentdesk-bench/event_loop.h"
#include "tools/agentdesk-bench/ledger.h"

namespace agentdesk::bench {

struct BrowserOptions {
  uint16_t port = 0;
  int count = 0;
  // The full protocol, whose messages carry their sequence, and not the plain one.
  bool v1 = false;
  // Handshakes under way at a time.
  int connecting = 500;
  // Deliveries are timed by the kernel when a message reaches the socket, so that a load that is
  // late in reading does not count as a server that is late in sending.
  bool kernel_time = false;
  // Not together with `kernel_time`.
  bool tls = false;
};

// Browsers that are connected to one server and check what they get against one ledger: nothing
// lost, nothing twice, nothing out of order. Anything else that befalls a connection fails the run.
class BrowserGroup {
 public:
  BrowserGroup(EventLoop& loop, BrowserOptions options);
  ~BrowserGroup();

  // Connects those that are not, and returns when all are. In the full protocol a browser that has
  // been connected goes on behind the last message that it got, a new one follows from now on.
  void Connect();
  // The same without waiting: open() tells how far it is.
  void StartConnecting();
  // Resets the connections of browsers `first` and up.
  void Drop(int first);

  int open() const { return open_; }
  // Whether every browser has had all messages that any has.
  bool all_caught_up() const { return ledger_.complete() == ledger_.end(); }
  // Waits until they have had this many messages.
  void WaitFor(int64_t messages, double seconds = 120);
  Ledger& ledger() { return ledger_; }
  int64_t deliveries() const { return deliveries_; }
  // In the full protocol: how far each of the first `count` browsers has got in the log.
  int64_t sequence(int count) const;
  // In the full protocol: the id of the desk.
  const std::string& desk_id() const { return desk_id_; }

 private:
  class Browser;

  void ConnectMore();
  void OnOpen();

  EventLoop& loop_;
  const BrowserOptions options_;
  Ledger ledger_;
  std::vector<char> buffer_;  // what each read goes through
  std::vector<std::unique_ptr<Browser>> browsers_;
  std::string desk_id_;
  int open_ = 0;
  int connecting_ = 0;
  size_t next_ = 0;  // the first that may not have begun to connect
  int64_t deliveries_ = 0;
};

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_BROWSER_H_
