#include "tests/support/transport_server.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"

namespace agentdesk::testing {
namespace {

constexpr std::chrono::seconds kPatience{60};

}  // namespace

struct TransportServer::Loop {
  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
};

class TransportServer::Session final : public gateway::SocketHandler {
 public:
  explicit Session(TransportServer& server) : server_(server) {}

  void OnOpen(gateway::Socket& socket) override {
    socket_ = &socket;
    server_.sockets_.push_back(&socket);
    if (server_.hooks_.on_open) server_.hooks_.on_open(socket);
  }
  void OnText(absl::string_view message) override {
    if (server_.hooks_.on_text) return server_.hooks_.on_text(*socket_, message);
    socket_->Send(gateway::MakeFrame(message));
  }
  void OnBinary(absl::string_view message) override {
    socket_->Send(gateway::MakeFrame(message, gateway::Opcode::kBinary));
  }
  void OnDrained() override { ++server_.drained_; }
  void OnClosed(uint16_t code) override {
    std::vector<gateway::Socket*>& sockets = server_.sockets_;
    sockets.erase(std::remove(sockets.begin(), sockets.end(), socket_), sockets.end());
    MutexLock lock(server_.mutex_);
    server_.closed_.push_back(code);
    server_.closed_changed_.NotifyAll();
  }

 private:
  TransportServer& server_;
  gateway::Socket* socket_ = nullptr;
};

TransportServer::TransportServer(gateway::TransportOptions options)
    : TransportServer(std::move(options), Hooks{}) {}

TransportServer::TransportServer(gateway::TransportOptions options, Hooks hooks)
    : hooks_(std::move(hooks)),
      loop_(std::make_unique<Loop>()),
      transport_(gateway::Transport::Create(loop_->io, std::move(options), *this)) {
  port_ = transport_->Listen("127.0.0.1:0", /*share_port=*/false).value();
  thread_ = std::thread([this] { loop_->io.run(); });
}

TransportServer::~TransportServer() { Shutdown(); }

std::unique_ptr<gateway::SocketHandler> TransportServer::MakeSession() {
  return std::make_unique<Session>(*this);
}

void TransportServer::Shutdown() {
  if (!thread_.joinable()) return;
  loop_->io.stop();
  thread_.join();
  transport_.reset();
  loop_.reset();
}

void TransportServer::Run(const std::function<void(gateway::Transport&)>& call) {
  // Shared, since the thread may still be within set_value when the waiting is over.
  const auto done = std::make_shared<std::promise<void>>();
  boost::asio::post(loop_->io, [this, &call, done] {
    call(*transport_);
    done->set_value();
  });
  done->get_future().wait();
}

struct TransportServer::Poll : std::enable_shared_from_this<Poll> {
  explicit Poll(boost::asio::io_context& io) : timer(io) {}

  void Ask() {
    const bool holds = condition();
    if (holds || std::chrono::steady_clock::now() > give_up) return result.set_value(holds);
    timer.expires_after(std::chrono::milliseconds(1));
    timer.async_wait([self = shared_from_this()](boost::system::error_code) { self->Ask(); });
  }

  boost::asio::steady_timer timer;
  std::function<bool()> condition;
  const std::chrono::steady_clock::time_point give_up =
      std::chrono::steady_clock::now() + kPatience;
  std::promise<bool> result;
};

bool TransportServer::WaitUntil(const std::function<bool(gateway::Transport&)>& condition) {
  const auto poll = std::make_shared<Poll>(loop_->io);
  poll->condition = [this, &condition] { return condition(*transport_); };
  auto result = poll->result.get_future();
  boost::asio::post(loop_->io, [poll] { poll->Ask(); });
  return result.get();
}

bool TransportServer::WaitForSockets(size_t count) {
  return WaitUntil([&](gateway::Transport&) { return sockets_.size() == count; });
}

std::optional<int> TransportServer::WaitForClosed() {
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  MutexLock lock(mutex_);
  while (closed_.size() <= closed_seen_) {
    if (std::chrono::steady_clock::now() > give_up) return std::nullopt;
    closed_changed_.WaitUntil(mutex_, give_up);
  }
  return closed_[closed_seen_++];
}

size_t TransportServer::closed_count() {
  MutexLock lock(mutex_);
  return closed_.size();
}

void TransportServer::OnRequest(gateway::HttpRequest request, gateway::Responder respond) {
  if (hooks_.on_request) return hooks_.on_request(std::move(request), std::move(respond));
  gateway::HttpResponse response;
  response.content_type = "text/plain";
  response.body = absl::StrCat(request.method, " ", request.target, " ", request.body);
  respond(std::move(response));
}

gateway::UpgradeDecision TransportServer::OnUpgrade(const gateway::HttpRequest& request) {
  auto session = std::make_unique<Session>(*this);
  if (hooks_.on_upgrade) return hooks_.on_upgrade(request, std::move(session));
  return gateway::UpgradeDecision{std::move(session), {}};
}

std::string TransportServer::ChooseSubprotocol(const gateway::HttpRequest& request) {
  const absl::string_view offered = request.Header("sec-websocket-protocol");
  return std::string(offered.substr(0, offered.find(',')));
}

}  // namespace agentdesk::testing
