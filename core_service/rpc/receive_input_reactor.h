#ifndef AGENTDESK_CORE_SERVICE_RPC_RECEIVE_INPUT_REACTOR_H_
#define AGENTDESK_CORE_SERVICE_RPC_RECEIVE_INPUT_REACTOR_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core_service/desk/agent_input.h"
#include "core_service/desk/desk.h"
#include "core_service/rpc/access.h"
#include "core_service/rpc/stream_call.h"

namespace agentdesk::rpc {

// One ReceiveInput stream: whenever the log has grown and all that came before is written, goes
// past what is for others, and has a thread that reads turn the rest into input.
class ReceiveInputReactor final : public StreamCall, public events::Waiter {
 public:
  // Answers a call; the reactor owns itself.
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(const Backend& backend,
                                                           grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer& request);
  ReceiveInputReactor(desk::Desk& desk, LiveCalls& calls, grpc::CallbackServerContext* context)
      : StreamCall(calls, *v1::ReceiveInputRequest::descriptor(), context), desk_(desk) {}

  void OnEvents() override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Batch = desk::AgentInput::Batch;

  absl::Status Begin(const desk::Caller& caller, const grpc::ByteBuffer& bytes)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // These two on a thread that reads.
  void Open(const desk::Caller& caller, const v1::ReceiveInputRequest& request, store::Store& store)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Read(desk::AgentInput& input, store::Store& store) ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeRead(absl::StatusOr<Batch> batch) ABSL_LOCKS_EXCLUDED(mutex_);

  void PumpLocked() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ProgressLocked(bool idle) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LeaveLocked() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string ResumeLocked() const override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteProgressLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<ReceiveInputReactor> Self() {
    return std::static_pointer_cast<ReceiveInputReactor>(shared_from_this());
  }

  desk::Desk& desk_;
  // Not there until it is open. While reading_ it belongs to the thread that reads.
  std::shared_ptr<desk::AgentInput> input_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool more_ ABSL_GUARDED_BY(mutex_) = false;  // there may be something to read
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<v1::ReceiveInputResponse> inputs_ ABSL_GUARDED_BY(mutex_);  // to be written
  int64_t read_up_to_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t written_up_to_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_RECEIVE_INPUT_REACTOR_H_
