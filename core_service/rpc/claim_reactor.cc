#include "core_service/rpc/claim_reactor.h"

#include <utility>

namespace agentdesk::rpc {

grpc::ServerUnaryReactor* ClaimReactor::Start(const Backend& backend,
                                              grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer& request,
                                              grpc::ByteBuffer* response) {
  const auto reactor = std::make_shared<ClaimReactor>(backend.calls);
  reactor->self_ = reactor;
  RunUnary<v1::ClaimJobRequest, v1::ClaimJobResponse>(
      backend, reactor.get(), *context, request, response,
      [&](desk::Caller caller, v1::ClaimJobRequest claim, Reply<v1::ClaimJobResponse> reply) {
        reactor->claim_ = backend.desk.Claim(std::move(caller), std::move(claim), std::move(reply));
      });
  if (reactor->claim_ != nullptr && !backend.calls.Add(reactor)) reactor->CallOff();
  return reactor.get();
}

void ClaimReactor::CallOff() {
  if (claim_ != nullptr) claim_->Cancel();
}

void ClaimReactor::OnDone() {
  calls_.Remove(this);
  EndCount();
  // May destroy this.
  const std::shared_ptr<ClaimReactor> last = std::move(self_);
}

}  // namespace agentdesk::rpc
