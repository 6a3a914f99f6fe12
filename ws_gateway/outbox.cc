#include "ws_gateway/outbox.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace agentdesk::gateway {
namespace {

// Small events: 64 of them fill a good part of a socket buffer, and the array stays on the stack.
constexpr size_t kMaxGathered = 64;
// Written entries at the front are kept until there are this many, so that removing them is cheap.
constexpr size_t kCompactAfter = 64;
// An empty outbox keeps room for this many, so that a lone message does not allocate.
constexpr size_t kKeptCapacity = 4;
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;

}  // namespace

size_t Outbox::WriteThrough(int fd, const Frames& frames, int64_t mark) {
  if (!entries_.empty()) return 0;
  const ssize_t sent = ::send(fd, frames.bytes.data(), frames.bytes.size(), kSendFlags);
  if (sent < 0) return 0;
  const auto written = static_cast<size_t>(sent);
  if (written == frames.bytes.size()) written_mark_ = std::max(written_mark_, mark);
  return written;
}

void Outbox::Append(Frames frames, int64_t mark, Clock::time_point now, size_t written) {
  if (frames.bytes.size() == written) return;
  queued_bytes_ += frames.bytes.size() - written;
  if (written > 0) written_ = written;
  entries_.push_back(Entry{std::move(frames), mark, now});
}

std::error_code Outbox::Flush(int fd) {
  while (!entries_.empty()) {
    std::array<iovec, kMaxGathered> parts;
    const size_t count = std::min(kMaxGathered, entries_.size() - head_);
    size_t offered = 0;
    for (size_t i = 0; i < count; ++i) {
      absl::string_view bytes = entries_[head_ + i].frames.bytes;
      if (i == 0) bytes.remove_prefix(written_);
      parts[i].iov_base = const_cast<char*>(bytes.data());
      parts[i].iov_len = bytes.size();
      offered += bytes.size();
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(fd, &message, kSendFlags);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
      return std::error_code(errno, std::generic_category());
    }
    Advance(static_cast<size_t>(sent));
    // A part means that the socket is full: the next call would only say so.
    if (static_cast<size_t>(sent) < offered) return {};
  }
  return {};
}

std::error_code Outbox::Flush(TlsSession& tls) {
  std::array<char, TlsSession::kMaxRecord> copy;
  TlsSession::Outcome outcome = tls.Flush();
  while (outcome == TlsSession::Outcome::kDone && !entries_.empty()) {
    const absl::string_view record = Front(copy.data(), copy.size());
    outcome = tls.Write(record);
    if (outcome != TlsSession::Outcome::kDone) break;
    Advance(record.size());
    outcome = tls.Flush();
  }
  if (outcome == TlsSession::Outcome::kBroken) return std::make_error_code(std::errc::broken_pipe);
  return {};
}

absl::string_view Outbox::Front(char* copy, size_t room) const {
  absl::string_view bytes = entries_[head_].frames.bytes;
  bytes.remove_prefix(written_);
  if (bytes.size() >= room || head_ + 1 == entries_.size()) return bytes.substr(0, room);
  size_t size = 0;
  for (size_t i = head_; i < entries_.size() && size < room; ++i) {
    if (i > head_) bytes = entries_[i].frames.bytes;
    size += bytes.copy(copy + size, room - size);
  }
  return {copy, size};
}

void Outbox::Advance(size_t bytes) {
  queued_bytes_ -= bytes;
  while (bytes > 0) {
    Entry& front = entries_[head_];
    const size_t rest = front.frames.bytes.size() - written_;
    if (bytes < rest) {
      written_ += bytes;
      break;
    }
    bytes -= rest;
    written_ = 0;
    written_mark_ = std::max(written_mark_, front.mark);
    front.frames = Frames{};
    ++head_;
  }
  if (head_ == entries_.size()) {
    Clear();
  } else if (head_ >= kCompactAfter && head_ >= entries_.size() / 2) {
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

void Outbox::DropUnstarted() {
  if (written_ == 0) {
    Clear();
    return;
  }
  Entry& front = entries_[head_];
  const size_t end = FrameEnd(front.frames.bytes, written_);
  if (end < front.frames.bytes.size()) {
    front.frames.bytes = front.frames.bytes.substr(0, end);
    front.mark = 0;
  }
  entries_.resize(head_ + 1);
  queued_bytes_ = end - written_;
  // The last write may have ended exactly where a frame does.
  if (queued_bytes_ == 0) Clear();
}

void Outbox::Clear() {
  // clear() alone would keep the memory of the worst burst for as long as the connection lives.
  if (entries_.capacity() > kKeptCapacity) {
    std::vector<Entry>().swap(entries_);
  } else {
    entries_.clear();
  }
  head_ = 0;
  written_ = 0;
  queued_bytes_ = 0;
}

}  // namespace agentdesk::gateway
