// The floor under the gateway: what one thread, one send a socket and nothing else costs. It takes
// the same POST /tickets/create, keeps nothing, and writes one prepared frame to each WebSocket.
// With --core=ADDRESS it calls CreateTicket there before that, and waits for the answer. It is no
// server for anything but this measurement: it trusts its one client.
#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "agentdesk/v1/ticket.grpc.pb.h"

namespace {

namespace v1 = agentdesk::v1;

// The bench offers the example key of RFC 6455 section 1.3, whose answer this is.
constexpr std::string_view kUpgraded =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
constexpr std::string_view kTicketId = "00000000-0000-7000-8000-000000000000";
constexpr std::string_view kCore = "--core=";
// As long as those of the bench.
constexpr size_t kDescription = 100;
constexpr std::string_view kName = "\"ticket_name\":\"";

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::exit(1);
}

// Whoever sends no whole request in one piece, or cannot take a whole frame, ends the run: the
// bench does neither.
class FrameFloor {
 public:
  // `core`: empty for none.
  explicit FrameFloor(const std::string& core)
      : epoll_(epoll_create1(0)), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0) Die("bind");
    if (listen(listener_, SOMAXCONN) != 0) Die("listen");
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    std::fprintf(stderr, "{\"message\":\"listening\",\"address\":\"127.0.0.1:%d\"}\n",
                 ntohs(address.sin_port));
    Watch(listener_);
    if (core.empty()) return;
    // As the gRPC floor does.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    core_ =
        v1::TicketService::NewStub(grpc::CreateChannel(core, grpc::InsecureChannelCredentials()));
  }

  [[noreturn]] void Run() {
    std::array<epoll_event, 512> ready;
    while (true) {
      const int count = epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = ready[static_cast<size_t>(i)].data.fd;
        fd == listener_ ? Accept() : Take(fd);
      }
    }
  }

 private:
  void Watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
  }

  void Accept() {
    const int fd = accept(listener_, nullptr, nullptr);
    if (fd < 0) Die("accept");
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    Watch(fd);
  }

  void Take(int fd) {
    std::array<char, 8192> bytes;
    const ssize_t size = recv(fd, bytes.data(), bytes.size(), 0);
    if (size <= 0) return Forget(fd);
    const std::string_view request(bytes.data(), static_cast<size_t>(size));
    if (request.starts_with("GET /ws")) {
      Send(fd, kUpgraded);
      slot_[fd] = sockets_.size();
      sockets_.push_back(fd);
    } else if (request.starts_with("POST /tickets/create ")) {
      Create(fd, request);
    }
  }

  void Create(int fd, std::string_view request) {
    const size_t begin = request.find(kName) + kName.size();
    const std::string_view name = request.substr(begin, request.find('"', begin) - begin);
    frame_.assign("\x81\x7e\0\0", 4);
    frame_.append("{\"type\":\"ticket_created\",\"ticket_id\":\"").append(kTicketId).append("\",");
    frame_.append(kName).append(name);
    frame_.append("\",\"timestamp\":\"2025-11-30T01:35:01.946551+00:00\"}");
    frame_[2] = static_cast<char>((frame_.size() - 4) >> 8);
    frame_[3] = static_cast<char>(frame_.size() - 4);
    body_.assign("{\"ticket_id\":\"").append(kTicketId).append("\",").append(kName).append(name);
    body_.append("\",\"job_id\":\"job-").append(kTicketId).append("\",\"status\":\"queued\"}");
    if (core_ != nullptr) Keep(name);
    for (const int socket : sockets_) Send(socket, frame_);
    response_.assign("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ");
    response_.append(std::to_string(body_.size())).append("\r\n\r\n").append(body_);
    Send(fd, response_);
  }

  // There is nothing else to do meanwhile, so that nothing is quicker than to wait for it.
  void Keep(std::string_view name) {
    v1::CreateTicketRequest request;
    request.set_ticket_name(std::string(name));
    request.set_description(std::string(kDescription, 'x'));
    v1::CreateTicketResponse response;
    grpc::ClientContext context;
    const grpc::Status status = core_->CreateTicket(&context, request, &response);
    if (status.ok()) return;
    std::fprintf(stderr, "CreateTicket: %s\n", status.error_message().c_str());
    std::exit(1);
  }

  void Send(int fd, std::string_view bytes) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes.size())) Die("send");
  }

  void Forget(int fd) {
    if (const auto found = slot_.find(fd); found != slot_.end()) {
      slot_[sockets_.back()] = found->second;
      std::swap(sockets_[found->second], sockets_.back());
      sockets_.pop_back();
      slot_.erase(fd);
    }
    close(fd);
  }

  const int epoll_;
  const int listener_;
  std::unique_ptr<v1::TicketService::Stub> core_;
  std::vector<int> sockets_;
  std::unordered_map<int, size_t> slot_;  // of each in sockets_
  std::string frame_;
  std::string body_;
  std::string response_;
};

}  // namespace

int main(int argc, char** argv) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  std::string core;
  for (std::string_view argument : std::vector<std::string_view>(argv, argv + argc)) {
    if (argument.starts_with(kCore)) core = argument.substr(kCore.size());
  }
  FrameFloor(core).Run();
}
