#ifndef AGENTDESK_WS_GATEWAY_OUTBOX_H_
#define AGENTDESK_WS_GATEWAY_OUTBOX_H_

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <vector>

#include "absl/strings/string_view.h"
#include "ws_gateway/frame.h"
#include "ws_gateway/tls_session.h"

namespace agentdesk::gateway {

// What one socket has yet to write, in order, and the gathered write that takes many entries to the
// kernel in one call. Asio would pass at most 16 buffers to a call, so this is ours.
//
// Not thread-safe. Idle, it holds next to no memory beyond itself.
class Outbox {
 public:
  using Clock = std::chrono::steady_clock;

  // Writes frames that need not be kept: to the socket `fd`, where nothing waits, what it takes
  // without blocking. Returns how many bytes; where that is not all, the frames are to be appended,
  // with that number. Whether the socket is broken is then for Flush to tell.
  size_t WriteThrough(int fd, const Frames& frames, int64_t mark);
  // Queues frames, to be written after all that is queued. `mark`: see Socket::Send. `written`:
  // what WriteThrough has written of them.
  void Append(Frames frames, int64_t mark, Clock::time_point now, size_t written = 0);
  // Writes to the socket `fd` what it takes without blocking. Returns an error when the socket is
  // broken; nothing more can be written then. Blocked is no error: see empty().
  std::error_code Flush(int fd);
  // The same by way of TLS, in records as large as they may be: what waits is copied into them.
  // What a record has taken counts as written, as the kernel's own buffer does.
  std::error_code Flush(TlsSession& tls);
  // Keeps the rest of the frame that is partly written, if there is one, and drops all after it.
  // An entry that is cut no longer counts for written_mark().
  void DropUnstarted();
  void Clear();

  bool empty() const { return entries_.empty(); }
  size_t queued_bytes() const { return queued_bytes_; }
  // What limits count: the bytes, or 128 for each entry where that is more, since many tiny frames
  // (pongs, for a client that pings and does not read) cost more to keep than their bytes.
  size_t cost() const { return std::max(queued_bytes_, 128 * (entries_.size() - head_)); }
  // See Socket::written_mark.
  int64_t written_mark() const { return written_mark_; }
  // When the oldest byte that waits was appended. Not for an empty outbox.
  Clock::time_point oldest() const { return entries_[head_].since; }

 private:
  struct Entry {
    Frames frames;
    int64_t mark;
    Clock::time_point since;
  };

  // The front as one piece of up to `room`, which is copied to `copy` where it is of several
  // entries.
  absl::string_view Front(char* copy, size_t room) const;
  // Removes `bytes` from the front.
  void Advance(size_t bytes);

  // A vector and not a deque, which would cost half a kilobyte for each idle connection.
  std::vector<Entry> entries_;
  size_t head_ = 0;     // the first entry that is not written
  size_t written_ = 0;  // bytes of that entry that are written
  size_t queued_bytes_ = 0;
  int64_t written_mark_ = 0;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_OUTBOX_H_
