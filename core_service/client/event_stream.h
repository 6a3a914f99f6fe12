#ifndef AGENTDESK_CORE_SERVICE_CLIENT_EVENT_STREAM_H_
#define AGENTDESK_CORE_SERVICE_CLIENT_EVENT_STREAM_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agentdesk/v1/event.grpc.pb.h"
#include "core_service/base/mutex.h"
#include "core_service/client/channel.h"
#include "core_service/client/completion_thread.h"
#include "grpcpp/channel.h"

namespace agentdesk::client {

// A place in the log of one desk.
struct Position {
  std::string desk_id;
  int64_t sequence = 0;
};

// Where a stream begins.
struct StreamStart {
  enum class Kind { kAfter, kLive, kSnapshot };
  Kind kind = Kind::kLive;
  Position after;  // with kAfter; its desk may stay empty for sequence 0
};

struct EventStreamOptions {
  StreamStart start;
  v1::EventFilter filter;
  CallLabels labels = {};
  // Waits between attempts grow from the first to the second, with full jitter.
  absl::Duration first_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(1);
  // The core speaks at least every 15 s. Silence for longer than this means a dead path.
  absl::Duration silence = absl::Seconds(30);
};

// A subscription to the core's events that survives the loss of the connection and of the core: it
// comes back by itself and goes on exactly after the last position that it handed over.
//
// Next() is thread-safe. The consumer is called on the completion thread.
class EventStream {
 public:
  class Consumer {
   public:
    virtual ~Consumer() = default;

    // Events, a part of a snapshot, or only how far the stream is complete. The next batch comes
    // after EventStream::Next, which may be called from here and later, from any thread: until then
    // no more than gRPC's window is on its way. It never comes before this has returned.
    virtual void OnBatch(std::unique_ptr<v1::SubscribeResponse> batch) = 0;
    // The stream broke or could not begin; it will be tried again. Where a snapshot was not
    // complete, it begins anew.
    virtual void OnInterrupted(const absl::Status& status) = 0;
    // The core refuses what was asked: OutOfRange (with the reason `compacted`, `other_desk` or
    // `ahead`, see base/error.h), InvalidArgument, PermissionDenied and the like. Returns where to
    // begin instead, tried after the usual wait, or nothing to end the stream.
    virtual std::optional<StreamStart> OnRefused(const absl::Status& status) = 0;
  };

  // Begins at once. `thread` and `consumer` must outlive the stream.
  EventStream(const std::shared_ptr<grpc::Channel>& channel, CompletionThread& thread,
              EventStreamOptions options, Consumer& consumer);
  // Ends the stream; returns when no call to the consumer is under way or will come. Not on the
  // completion thread.
  ~EventStream() ABSL_LOCKS_EXCLUDED(mutex_);
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;

  // The consumer is ready for the batch after the one that it was handed. Exactly once for each.
  void Next() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Call;
  class Timer;

  void StartCall() ABSL_LOCKS_EXCLUDED(mutex_);
  void OnRead(Call& call, bool ok) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCallDone(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  void CheckSilence() ABSL_LOCKS_EXCLUDED(mutex_);
  // Calls `then` after `delay`.
  void SetTimer(absl::Duration delay, void (EventStream::*then)())
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Advance(const v1::SubscribeResponse& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::SubscribeRequest Request() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The end of a call or timer; after it, nothing of the stream may be touched.
  void Leave() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::unique_ptr<v1::EventService::Stub> stub_;
  CompletionThread& thread_;
  const EventStreamOptions options_;
  Consumer& consumer_;

  Mutex mutex_;
  Condition left_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Calls and timers whose last callback has not returned.
  int under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  StreamStart start_ ABSL_GUARDED_BY(mutex_);
  absl::Duration backoff_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Call> call_ ABSL_GUARDED_BY(mutex_);  // null between attempts
  // False while the consumer has a batch and the call is held for it. Stays true when the last read
  // has failed: then OnRead has let go of the call.
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration reading_since_ ABSL_GUARDED_BY(mutex_);
  // The wait for the next attempt, or during a call the watch for silence.
  std::shared_ptr<Timer> timer_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace agentdesk::client

#endif  // AGENTDESK_CORE_SERVICE_CLIENT_EVENT_STREAM_H_
