#include "tools/agentdesk-bench/creator.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "tools/agentdesk-bench/failure.h"
#include "tools/agentdesk-bench/ledger.h"

namespace agentdesk::bench {

int64_t NextTicketNumber() {
  static int64_t next = 0;
  return next++;
}

Creator::Creator(EventLoop& loop, uint16_t port, std::function<void(Creator&)> on_created)
    : loop_(loop), port_(port), on_created_(std::move(on_created)) {
  socket_ = StartConnecting(port_);
  loop_.Watch(socket_.get(), EPOLLOUT, *this);
  loop_.RunUntil([this] { return connected_; }, "connection of a creator");
}

void Creator::Post(int64_t number) {
  if (busy_) Fail("a creator is given ticket ", number, " before the last one is acknowledged");
  busy_ = true;
  number_ = number;
  const std::string body = absl::StrCat(R"({"ticket_name":")", TicketName(number), "\"}");
  request_ = absl::StrCat("POST /tickets/create HTTP/1.1\r\nHost: 127.0.0.1:", port_,
                          "\r\nContent-Type: application/json\r\nContent-Length: ", body.size(),
                          "\r\n\r\n", body);
  const ssize_t sent = send(socket_.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request_.size())) FailErrno("a creator sends");
}

void Creator::OnReady(uint32_t /*events*/) {
  if (!connected_) {
    CheckConnected(socket_.get());
    connected_ = true;
    loop_.Change(socket_.get(), EPOLLIN, *this);
    return;
  }
  std::array<char, 4096> bytes;
  const ssize_t size = recv(socket_.get(), bytes.data(), bytes.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size < 0) FailErrno("a creator reads");
  if (size == 0) Fail("a creator was disconnected");
  input_.append(bytes.data(), static_cast<size_t>(size));
  const size_t head = input_.find("\r\n\r\n");
  if (head == std::string::npos) return;
  constexpr absl::string_view kLength = "\r\nContent-Length: ";
  const size_t at = input_.find(kLength.data());
  size_t length = 0;
  if (at == std::string::npos || at > head) Fail("a response without its length: ", input_);
  const size_t from = at + kLength.size();
  const absl::string_view digits =
      absl::string_view(input_).substr(from, input_.find('\r', from) - from);
  if (!absl::SimpleAtoi(digits, &length)) Fail("a response without its length: ", input_);
  if (input_.size() < head + 4 + length) return;
  if (input_.size() > head + 4 + length) Fail("a response nobody asked for: ", input_);
  const std::string response = std::exchange(input_, {});
  TakeResponse(response);
}

void Creator::TakeResponse(absl::string_view response) {
  if (!absl::StartsWith(response, "HTTP/1.1 200 ") ||
      !absl::StrContains(response, TicketName(number_))) {
    Fail("ticket ", number_, " was not created: ", response);
  }
  busy_ = false;
  on_created_(*this);
}

}  // namespace agentdesk::bench
