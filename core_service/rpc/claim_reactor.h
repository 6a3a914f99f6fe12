#ifndef AGENTDESK_CORE_SERVICE_RPC_CLAIM_REACTOR_H_
#define AGENTDESK_CORE_SERVICE_RPC_CLAIM_REACTOR_H_

#include <memory>

#include "core_service/desk/desk.h"
#include "core_service/rpc/access.h"
#include "core_service/rpc/live_calls.h"
#include "core_service/rpc/unary_call.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"

namespace agentdesk::rpc {

// One ClaimJob call, which may wait for a job: calls the claim off when the caller has gone or the
// server drains, so that no job is handed to nobody. Its methods come on gRPC's threads and on that
// of LiveCalls, also at once: what they share is constant by then or, as the claim, thread-safe.
class ClaimReactor final : public UnaryReactor, public LiveCall {
 public:
  // Answers a call; the reactor owns itself.
  static grpc::ServerUnaryReactor* Start(const Backend& backend,
                                         grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer& request,
                                         grpc::ByteBuffer* response);
  explicit ClaimReactor(LiveCalls& calls) : UnaryReactor(calls), calls_(calls) {}

  void OnCancel() override { CallOff(); }
  void OnDone() override;
  void OnTick(absl::Duration /*now*/) override {}
  void Drain() override { CallOff(); }

 private:
  bool InternalInlineable() override { return false; }
  void CallOff();

  LiveCalls& calls_;
  std::shared_ptr<ClaimReactor> self_;  // gRPC's hold, dropped by OnDone
  // Set before Start returns, constant afterwards: OnCancel and OnDone come later, and LiveCalls
  // knows the call only once this is set. Null where the claim was never made.
  std::unique_ptr<desk::WaitingClaim> claim_;
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_CLAIM_REACTOR_H_
