#ifndef AGENTDESK_CORE_SERVICE_RPC_STREAM_CALL_H_
#define AGENTDESK_CORE_SERVICE_RPC_STREAM_CALL_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core_service/base/mutex.h"
#include "core_service/desk/desk.h"
#include "core_service/rpc/access.h"
#include "core_service/rpc/call_limits.h"
#include "core_service/rpc/caller.h"
#include "core_service/rpc/live_calls.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"

namespace agentdesk::rpc {

// What every server stream of ours has in common: one write in flight, Finish exactly once, a limit
// on how long a write may be stuck, and progress when there is nothing else to say. What there is
// to say is pulled from the derived class whenever a write could start, so a slow reader is merely
// late.
//
// Lock order: mutex_ before that of LiveCalls and of the event log. gRPC keeps the call until
// OnDone; everyone else who may call in (the log, the ticker, a reading thread) must hold a
// shared_ptr.
class StreamCall : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                   public LiveCall,
                   public std::enable_shared_from_this<StreamCall> {
 public:
  // No write of a stream may be under way for so long.
  static constexpr absl::Duration kMaxWrite = absl::Seconds(60);
  // A stream that has sent nothing for so long sends progress at the next tick, which comes within
  // the 15 s that the protos promise.
  static constexpr absl::Duration kProgressAge = absl::Seconds(9);

  void OnWriteDone(bool ok) final ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCancel() final ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDone() final;
  void OnTick(absl::Duration now) final ABSL_LOCKS_EXCLUDED(mutex_);
  void Drain() final ABSL_LOCKS_EXCLUDED(mutex_);

 protected:
  // `request`: the type of the method's request.
  StreamCall(LiveCalls& calls, const google::protobuf::Descriptor& request,
             grpc::CallbackServerContext* context)
      : calls_(calls),
        call_{calls.observer().Find(request), calls.Now(), TraceOf(context->client_metadata())},
        context_(context) {}

  // Call first, once. False: the server drains, and the call is finished.
  [[nodiscard]] bool Enter() ABSL_LOCKS_EXCLUDED(mutex_);
  // Starts the next write if none is in flight; to be called whenever there may be something new.
  void Pump() ABSL_LOCKS_EXCLUDED(mutex_);
  void Finish(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  // On whose behalf the call is made, if it may be and its identity has room for one more stream
  // (Access::Admit, CallLimits::EnterStream). The stream has a place then until it finishes, and
  // ends with Unauthenticated (`token_expired`, `certificate_expired`) at the first tick after its
  // token, or the certificate that it counts on, has.
  absl::StatusOr<desk::Caller> Admit(const Backend& backend, absl::string_view request)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Starts a write, or finishes, or arranges that Pump is called when there is more. Called only
  // while no write is in flight and the call is not finished.
  virtual void PumpLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  // Called at each tick under the same conditions, with `idle` when a word is due in any case:
  // after a long silence and before a drain. May also take up what had to be put off.
  virtual void ProgressLocked(bool idle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  // Called once, before the call finishes: the place to leave waiting lists.
  virtual void LeaveLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {}
  // Called at each tick, also while a write is under way: an error ends the call at once.
  virtual absl::Status CheckStayLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return absl::OkStatus();
  }
  // What the client needs to know to go on elsewhere, for the text of UNAVAILABLE.
  virtual std::string ResumeLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;

  void WriteLocked(grpc::ByteBuffer message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Calls PumpLocked if a write may start.
  void PumpIfIdleLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool finished() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return finished_; }
  bool can_write() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !writing_ && !finished_; }
  // How long the last completed write took.
  absl::Duration last_write_time() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return last_write_time_;
  }

  Mutex mutex_;

 private:
  void TickLocked(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the call also where a write is stuck.
  void CutLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  LiveCalls& calls_;
  const CallObserver::Call call_;
  grpc::CallbackServerContext* const context_;
  std::shared_ptr<StreamCall> self_;  // gRPC's hold; set before any reaction, dropped by OnDone
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ByteBuffer buffer_ ABSL_GUARDED_BY(mutex_);  // the write in flight
  absl::Duration write_started_ ABSL_GUARDED_BY(mutex_);
  absl::Duration last_write_time_ ABSL_GUARDED_BY(mutex_);
  absl::Duration ends_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  bool ends_with_certificate_ ABSL_GUARDED_BY(mutex_) = false;  // and not with a token
  std::optional<CallLimits::Place> place_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_STREAM_CALL_H_
