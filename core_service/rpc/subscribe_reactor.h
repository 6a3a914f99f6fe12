#ifndef AGENTDESK_CORE_SERVICE_RPC_SUBSCRIBE_REACTOR_H_
#define AGENTDESK_CORE_SERVICE_RPC_SUBSCRIBE_REACTOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core_service/desk/desk.h"
#include "core_service/events/subscription.h"
#include "core_service/rpc/access.h"
#include "core_service/rpc/stream_call.h"

namespace agentdesk::rpc {

// One Subscribe stream: a cursor in the log that is read whenever the write before has been taken.
// Events go out in batches, as the bytes that the log holds; nothing is encoded or copied for a
// stream of its own.
//
// The size of its batches follows how fast they are taken, so that a write over a slow line ends
// well within kMaxWrite.
class SubscribeReactor final : public StreamCall, public events::Waiter {
 public:
  // Answers a call; the reactor owns itself.
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(const Backend& backend,
                                                           grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer& request);
  SubscribeReactor(desk::Desk& desk, LiveCalls& calls, grpc::CallbackServerContext* context)
      : StreamCall(calls, *v1::SubscribeRequest::descriptor(), context), desk_(desk) {}

  void OnEvents() override { Pump(); }
  std::optional<int64_t> position() override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Batch = events::Subscription::Batch;
  using Parts = std::shared_ptr<const desk::SnapshotParts>;
  static constexpr size_t kMinBatchBytes = 16 * 1024;

  absl::Status Begin(const desk::Caller& caller, const grpc::ByteBuffer& bytes)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void AwaitSnapshot(const desk::Caller& caller, events::Filter filter) ABSL_LOCKS_EXCLUDED(mutex_);
  bool WantsSnapshot() ABSL_LOCKS_EXCLUDED(mutex_);
  void BeginWithSnapshot(const desk::Caller& caller, events::Filter filter,
                         absl::StatusOr<Parts> parts) ABSL_LOCKS_EXCLUDED(mutex_);
  void FollowLocked(const desk::Caller& caller, events::Filter filter, int64_t after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // On a thread that reads.
  void ReadStore(events::Subscription& cursor, store::Store& store) ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeRead(absl::StatusOr<Batch> batch) ABSL_LOCKS_EXCLUDED(mutex_);

  void PumpLocked() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ProgressLocked(bool idle) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LeaveLocked() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckStayLocked() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string ResumeLocked() const override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void WritePartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteBatchLocked(const Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteProgressLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReadAheadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartReadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FitBatchesLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FinishUnservedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // desk_id, up_to_sequence and time of a response, as bytes that follow its events.
  grpc::Slice PositionLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<SubscribeReactor> Self() {
    return std::static_pointer_cast<SubscribeReactor>(shared_from_this());
  }

  desk::Desk& desk_;
  std::string identity_ ABSL_GUARDED_BY(mutex_);  // of the caller, once the start is settled
  // From when a snapshot was asked for until all of it has been written.
  bool snapshot_open_ ABSL_GUARDED_BY(mutex_) = false;
  Parts snapshot_ ABSL_GUARDED_BY(mutex_);  // while parts of it are still to be written
  size_t next_part_ ABSL_GUARDED_BY(mutex_) = 0;
  // Not there until the start is settled. While reading_ it belongs to the thread that reads.
  std::shared_ptr<events::Subscription> cursor_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Batch> read_ ABSL_GUARDED_BY(mutex_);  // to be written next
  size_t batch_bytes_ ABSL_GUARDED_BY(mutex_) = kMinBatchBytes;
  int64_t complete_up_to_ ABSL_GUARDED_BY(mutex_) = 0;  // all that passes has been written
  int64_t told_up_to_ ABSL_GUARDED_BY(mutex_) = 0;      // what the client knows of that
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_SUBSCRIBE_REACTOR_H_
