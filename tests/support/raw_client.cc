#include "tests/support/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace agentdesk::testing {
namespace {

constexpr int kPatienceSeconds = 60;

uint64_t ReadBigEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

}  // namespace

int ReceivedFrame::close_code() const {
  return payload.size() < 2 ? 1005 : static_cast<int>(ReadBigEndian(payload.substr(0, 2)));
}

std::string ReceivedFrame::close_reason() const {
  return payload.size() < 2 ? "" : payload.substr(2);
}

std::string ReceivedResponse::Header(absl::string_view name) const {
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(line, absl::MaxSplits(": ", 1));
    if (absl::EqualsIgnoreCase(field.first, name)) return std::string(field.second);
  }
  return "";
}

std::string ClientFrame(uint8_t first_byte, absl::string_view payload) {
  constexpr std::array<unsigned char, 4> kMask = {0x37, 0xfa, 0x21, 0x3d};
  std::string frame(1, static_cast<char>(first_byte));
  const size_t size = payload.size();
  int length_bytes = 0;
  if (size < 126) {
    frame.push_back(static_cast<char>(0x80 | size));
  } else {
    length_bytes = size <= 0xffff ? 2 : 8;
    frame.push_back(static_cast<char>(length_bytes == 2 ? 0x80 | 126 : 0x80 | 127));
  }
  for (int shift = 8 * (length_bytes - 1); shift >= 0; shift -= 8) {
    frame.push_back(static_cast<char>((size >> shift) & 0xff));
  }
  frame.append(kMask.begin(), kMask.end());
  for (size_t i = 0; i < size; ++i) {
    frame.push_back(static_cast<char>(static_cast<unsigned char>(payload[i]) ^ kMask[i % 4]));
  }
  return frame;
}

std::string ClosePayload(int code, absl::string_view reason) {
  std::string payload = {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  return absl::StrCat(payload, reason);
}

RawClient::RawClient(uint16_t port, int receive_buffer_bytes, const std::string& from)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (receive_buffer_bytes > 0) {
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  }
  const timeval patience = {kPatienceSeconds, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (!from.empty()) {
    ::inet_pton(AF_INET, from.c_str(), &address.sin_addr);
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return;
  }
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

RawClient::~RawClient() {
  if (fd_ >= 0) ::close(fd_);
}

bool RawClient::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void RawClient::HalfClose() { ::shutdown(fd_, SHUT_WR); }

void RawClient::Abort() {
  const linger at_once = {1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  ::close(fd_);
  fd_ = -1;
}

bool RawClient::Handshake(absl::string_view headers) {
  Send(
      absl::StrCat("GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                   "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                   headers, "\r\n"));
  const ReceivedResponse response = ReadResponse();
  // The answer to that key, from RFC 6455 section 1.3.
  return response.status == 101 &&
         response.Header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
}

bool RawClient::Fill(size_t size) {
  while (input_.size() < size) {
    if (ending_ != Ending::kOpen) return false;
    std::array<char, 65536> bytes;
    const ssize_t received = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (received > 0) {
      input_.append(bytes.data(), static_cast<size_t>(received));
    } else if (received == 0) {
      ending_ = Ending::kClosed;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      ending_ = Ending::kTimedOut;
    } else if (errno != EINTR) {
      ending_ = Ending::kReset;
    }
  }
  return true;
}

std::optional<ReceivedFrame> RawClient::ReadFrame() {
  if (!Fill(2)) return std::nullopt;
  ReceivedFrame frame;
  frame.first_byte = static_cast<uint8_t>(input_[0]);
  size_t length = static_cast<unsigned char>(input_[1]);
  size_t head = 2;
  if (length == 126 || length == 127) {
    head += length == 126 ? 2 : 8;
    if (!Fill(head)) return std::nullopt;
    length = ReadBigEndian(absl::string_view(input_).substr(2, head - 2));
  }
  if (!Fill(head + length)) return std::nullopt;
  frame.payload = input_.substr(head, length);
  input_.erase(0, head + length);
  return frame;
}

ReceivedResponse RawClient::ReadResponse(bool to_head) {
  ReceivedResponse response;
  size_t end = std::string::npos;
  while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
    if (!Fill(input_.size() + 1)) return response;
  }
  response.head = input_.substr(0, end + 2);
  input_.erase(0, end + 4);
  if (!absl::SimpleAtoi(response.head.substr(9, 3), &response.status)) return response;
  size_t length = 0;
  if (!to_head && absl::SimpleAtoi(response.Header("Content-Length"), &length) && Fill(length)) {
    response.body = input_.substr(0, length);
    input_.erase(0, length);
  }
  return response;
}

std::string RawClient::ReadAll() {
  while (Fill(input_.size() + 1)) {
  }
  return std::exchange(input_, {});
}

Ending RawClient::ReadToEnd() {
  do {
    input_.clear();
  } while (Fill(1));
  return ending_;
}

bool RawClient::WaitForInput(std::chrono::milliseconds patience) const {
  if (!input_.empty()) return true;
  pollfd waiting = {fd_, POLLIN, 0};
  return ::poll(&waiting, 1, static_cast<int>(patience.count())) == 1;
}

bool RawClient::WaitForReset() {
  pollfd waiting = {fd_, 0, 0};
  return ::poll(&waiting, 1, kPatienceSeconds * 1000) == 1 && (waiting.revents & POLLERR) != 0;
}

}  // namespace agentdesk::testing
