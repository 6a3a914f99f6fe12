#include "tools/agentdesk-bench/browser.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "absl/strings/match.h"
#include "tools/agentdesk-bench/failure.h"
#include "tools/agentdesk-bench/tls_client.h"

namespace agentdesk::bench {
namespace {

constexpr size_t kReadSize = 256 * 1024;
// The example of RFC 6455 section 1.3: its answer is known, so nothing has to be hashed.
constexpr absl::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr absl::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
// A pong without payload, masked with zeros (RFC 6455 section 5.3).
constexpr absl::string_view kPong("\x8a\x80\0\0\0\0", 6);

enum Opcode : uint8_t { kText = 0x1, kClose = 0x8, kPing = 0x9 };

// The size of the frame that `bytes` begins with; 0: not all of it is there.
size_t FrameSize(absl::string_view bytes, size_t& header) {
  if (bytes.size() < 2) return 0;
  size_t size = static_cast<uint8_t>(bytes[1]);
  if (size > 127) Fail("a server's frame is masked");
  header = size < 126 ? 2 : size == 126 ? 4 : 10;
  if (bytes.size() < header) return 0;
  if (size >= 126) {
    size = 0;
    for (size_t i = 2; i < header; ++i) size = size << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return bytes.size() < header + size ? 0 : header + size;
}

// The value of a text field, where `text` has it.
std::string TextField(absl::string_view text, absl::string_view name) {
  const std::string start = absl::StrCat("\"", name, "\":\"");
  const size_t at = text.find(start);
  if (at == absl::string_view::npos) return "";
  text.remove_prefix(at + start.size());
  return std::string(text.substr(0, text.find('"')));
}

}  // namespace

class BrowserGroup::Browser final : public Watcher {
 public:
  Browser(BrowserGroup& group, int index) : group_(group), index_(index) {}

  bool idle() const { return phase_ == Phase::kIdle; }
  int64_t sequence() const { return sequence_; }

  void Connect() {
    socket_ = bench::StartConnecting(group_.options_.port);
    if (group_.options_.kernel_time) {
      const int on = 1;
      setsockopt(socket_.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
    }
    phase_ = Phase::kConnecting;
    group_.loop_.Watch(socket_.get(), EPOLLOUT, *this);
  }

  void Drop() {
    if (phase_ == Phase::kOpen) --group_.open_;
    phase_ = Phase::kIdle;
    tls_.reset();
    socket_ = Descriptor();
    rest_.clear();
  }

  void OnReady(uint32_t /*events*/) override {
    if (phase_ == Phase::kConnecting) {
      CheckConnected(socket_.get());
      group_.loop_.Change(socket_.get(), EPOLLIN, *this);
      if (group_.options_.tls) tls_ = std::make_unique<TlsClient>(socket_.get());
      phase_ = Phase::kTlsHandshake;
    }
    if (phase_ == Phase::kTlsHandshake) {
      if (tls_ == nullptr || tls_->Connect()) SendHandshake();
      return;
    }
    // Level-triggered: what does not fit into the buffer is reported again, but what TLS has read
    // already is not.
    while (TakeInput() && tls_ != nullptr) continue;
  }

 private:
  enum class Phase : uint8_t { kIdle, kConnecting, kTlsHandshake, kHandshake, kSubscribing, kOpen };

  // False: nothing has come.
  bool TakeInput() {
    std::vector<char>& buffer = group_.buffer_;
    std::copy(rest_.begin(), rest_.end(), buffer.begin());
    int64_t at = 0;
    const ssize_t size = Receive(buffer.data() + rest_.size(), buffer.size() - rest_.size(), at);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (size < 0) FailErrno(absl::StrCat("browser ", index_, " reads"));
    if (size == 0) Fail("browser ", index_, " was disconnected at position ", position_);
    absl::string_view bytes(buffer.data(), rest_.size() + static_cast<size_t>(size));
    if (phase_ == Phase::kHandshake) bytes.remove_prefix(TakeResponse(bytes));
    if (phase_ != Phase::kHandshake) TakeFrames(bytes, at);
    rest_.assign(bytes.data(), bytes.size());
    if (rest_.size() > buffer.size() / 2) Fail("a frame is larger than ", buffer.size() / 2);
    return true;
  }

  ssize_t Receive(char* to, size_t size, int64_t& at) {
    if (!group_.options_.kernel_time) {
      at = 0;
      if (tls_ != nullptr) return tls_->Receive(to, size);
      return recv(socket_.get(), to, size, 0);
    }
    iovec part{.iov_base = to, .iov_len = size};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(timespec))> control;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t received = recvmsg(socket_.get(), &message, 0);
    const cmsghdr* header = received > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (header == nullptr || header->cmsg_type != SCM_TIMESTAMPNS) {
      at = NowNs();
      return received;
    }
    timespec time{};
    std::memcpy(&time, CMSG_DATA(header), sizeof(time));
    at = int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
    return received;
  }

  void SendHandshake() {
    std::string target = "/ws";
    if (group_.options_.v1) {
      absl::StrAppend(&target, sequence_ == 0
                                   ? "?live=1"
                                   : absl::StrCat("?after=", sequence_, "&desk=", group_.desk_id_));
    }
    const std::string request = absl::StrCat(
        "GET ", target, " HTTP/1.1\r\nHost: 127.0.0.1:", group_.options_.port,
        "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: ",
        kKey, group_.options_.v1 ? "\r\nSec-WebSocket-Protocol: agentdesk.v1" : "", "\r\n\r\n");
    Send(request);
    phase_ = Phase::kHandshake;
  }

  void Send(absl::string_view bytes) {
    const ssize_t sent = tls_ != nullptr
                             ? tls_->Send(bytes)
                             : send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes.size())) FailErrno("a browser sends");
  }

  // The size of the handshake's response, 0 while it is not complete.
  size_t TakeResponse(absl::string_view bytes) {
    const size_t end = bytes.find("\r\n\r\n");
    if (end == absl::string_view::npos) return 0;
    const absl::string_view head = bytes.substr(0, end);
    if (!absl::StartsWith(head, "HTTP/1.1 101 ") || !absl::StrContains(head, kAccept)) {
      Fail("the handshake was refused: ", bytes);
    }
    phase_ = group_.options_.v1 ? Phase::kSubscribing : Phase::kOpen;
    if (phase_ == Phase::kOpen) group_.OnOpen();
    return end + 4;
  }

  void TakeFrames(absl::string_view& bytes, int64_t at) {
    size_t header = 0;
    while (const size_t size = FrameSize(bytes, header)) {
      const auto opcode = static_cast<Opcode>(bytes[0] & 0x0f);
      const absl::string_view payload = bytes.substr(header, size - header);
      if (opcode == kText) {
        TakeText(payload, at);
      } else if (opcode == kPing) {
        Send(kPong);
      } else {
        Fail("browser ", index_, " was closed at position ", position_, ": ",
             payload.size() < 2 ? payload : payload.substr(2));
      }
      bytes.remove_prefix(size);
    }
  }

  void TakeText(absl::string_view text, int64_t at) {
    if (group_.options_.v1 && !TakeV1(text)) return;
    group_.ledger_.Take(position_++, text, index_, at);
    ++group_.deliveries_;
    if (group_.options_.v1) ++sequence_;
  }

  // False: it is no event.
  bool TakeV1(absl::string_view text) {
    if (absl::StartsWith(text, R"({"type":"hello")")) {
      group_.desk_id_ = TextField(text, "desk");
      return false;
    }
    if (absl::StartsWith(text, R"({"type":"position")")) return false;
    if (absl::StartsWith(text, R"({"type":"subscribed","up_to":)")) {
      int64_t up_to = 0;
      if (sscanf(text.data(), R"({"type":"subscribed","up_to":%ld)", &up_to) != 1) {
        Fail("not understood: ", text);
      }
      if (sequence_ != 0 && up_to != sequence_) Fail("resumed at ", up_to, " and not ", sequence_);
      sequence_ = up_to;
      phase_ = Phase::kOpen;
      group_.OnOpen();
      return false;
    }
    if (phase_ != Phase::kOpen || absl::StartsWith(text, R"({"type":"gap")")) {
      Fail("browser ", index_, " got ", text);
    }
    return true;
  }

  BrowserGroup& group_;
  const int index_;
  Descriptor socket_;
  std::unique_ptr<TlsClient> tls_;
  Phase phase_ = Phase::kIdle;
  std::string rest_;      // of a frame that has not come whole
  int64_t position_ = 0;  // of the next message in the ledger
  int64_t sequence_ = 0;  // of the last event; 0: never connected
};

BrowserGroup::BrowserGroup(EventLoop& loop, BrowserOptions options)
    : loop_(loop), options_(options), ledger_(options.count), buffer_(2 * kReadSize) {
  for (int i = 0; i < options_.count; ++i) browsers_.push_back(std::make_unique<Browser>(*this, i));
}

BrowserGroup::~BrowserGroup() = default;

void BrowserGroup::StartConnecting() {
  next_ = 0;
  ConnectMore();
}

void BrowserGroup::Connect() {
  StartConnecting();
  loop_.RunUntil([this] { return open_ == options_.count; }, "connection of all browsers");
}

void BrowserGroup::ConnectMore() {
  for (; next_ < browsers_.size() && connecting_ < options_.connecting; ++next_) {
    if (!browsers_[next_]->idle()) continue;
    ++connecting_;
    browsers_[next_]->Connect();
  }
}

void BrowserGroup::OnOpen() {
  ++open_;
  --connecting_;
  ConnectMore();
}

int64_t BrowserGroup::sequence(int count) const {
  int64_t lowest = INT64_MAX;
  for (int i = 0; i < count; ++i) {
    lowest = std::min(lowest, browsers_[static_cast<size_t>(i)]->sequence());
  }
  return lowest;
}

void BrowserGroup::Drop(int first) {
  for (int i = first; i < options_.count; ++i) browsers_[static_cast<size_t>(i)]->Drop();
}

void BrowserGroup::WaitFor(int64_t messages, double seconds) {
  loop_.RunUntil([&] { return ledger_.complete() >= messages; },
                 absl::StrCat("delivery of message ", messages, " to all browsers"), seconds);
}

}  // namespace agentdesk::bench
