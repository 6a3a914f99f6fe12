#ifndef AGENTDESK_TESTS_SUPPORT_TRANSPORT_SERVER_H_
#define AGENTDESK_TESTS_SUPPORT_TRANSPORT_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "core_service/base/mutex.h"
#include "ws_gateway/transport.h"

namespace agentdesk::testing {

// A real Transport on a port of its own, run by a thread of its own, whose WebSockets echo and
// whose HTTP requests are answered with what they asked. Each hook runs on that thread and replaces
// what is done otherwise. All waiting gives up after a minute.
class TransportServer : public gateway::TransportHandler {
 public:
  struct Hooks {
    std::function<void(gateway::Socket&)> on_open;
    std::function<void(gateway::Socket&, absl::string_view)> on_text;
    std::function<void(gateway::HttpRequest, gateway::Responder)> on_request;
    std::function<gateway::UpgradeDecision(const gateway::HttpRequest&,
                                           std::unique_ptr<gateway::SocketHandler>)>
        on_upgrade;
  };

  explicit TransportServer(gateway::TransportOptions options = {});
  TransportServer(gateway::TransportOptions options, Hooks hooks);
  // Stops the thread first and then destroys the transport, as a program does at its end.
  ~TransportServer() override;

  // A handler such as its WebSockets have, for a hook that answers with a stream.
  std::unique_ptr<gateway::SocketHandler> MakeSession();

  uint16_t port() const { return port_; }
  // Runs `call` on the transport's thread and waits for it.
  void Run(const std::function<void(gateway::Transport&)>& call);
  // Waits until `condition`, asked on the transport's thread, holds.
  bool WaitUntil(const std::function<bool(gateway::Transport&)>& condition);
  // The open sockets, oldest first; only on the transport's thread.
  const std::vector<gateway::Socket*>& sockets() const { return sockets_; }
  bool WaitForSockets(size_t count);
  // The code that the next socket closed with, in the order of closing.
  std::optional<int> WaitForClosed();
  size_t closed_count();
  int drained() const { return drained_; }  // only on the transport's thread
  // Who was refused, in order; only on the transport's thread.
  const std::vector<gateway::Refusal>& refused() const { return refused_; }
  // Stops the thread and destroys the transport now.
  void Shutdown();

  void OnRequest(gateway::HttpRequest request, gateway::Responder respond) override;
  gateway::UpgradeDecision OnUpgrade(const gateway::HttpRequest& request) override;
  // The first that is offered.
  std::string ChooseSubprotocol(const gateway::HttpRequest& request) override;
  void OnRefused(gateway::Refusal why) override { refused_.push_back(why); }

 private:
  class Session;
  struct Loop;
  struct Poll;

  const Hooks hooks_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<gateway::Transport> transport_;
  uint16_t port_ = 0;
  std::vector<gateway::Socket*> sockets_;
  int drained_ = 0;
  std::vector<gateway::Refusal> refused_;
  Mutex mutex_;
  Condition closed_changed_;
  std::vector<int> closed_ ABSL_GUARDED_BY(mutex_);
  size_t closed_seen_ = 0;
  std::thread thread_;
};

}  // namespace agentdesk::testing

#endif  // AGENTDESK_TESTS_SUPPORT_TRANSPORT_SERVER_H_
