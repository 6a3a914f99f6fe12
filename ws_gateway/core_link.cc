#include "ws_gateway/core_link.h"

#include "core_service/client/channel.h"

namespace agentdesk::gateway {

CoreLink::CoreLink(const std::string& target)
    : subscriptions_(client::MakeChannel(target, client::ChannelUse::kSubscription)),
      endings_(/*threads=*/1, /*queue_limit=*/65536) {
  const std::shared_ptr<grpc::Channel> calls = client::MakeChannel(target);
  tickets_ = v1::TicketService::NewStub(calls);
  sessions_ = v1::SessionService::NewStub(calls);
  events_ = v1::EventService::NewStub(calls);
}

CoreLink::~CoreLink() {
  MutexLock lock(mutex_);
  ending_ = true;
  for (grpc::ClientContext* context : calls_) context->TryCancel();
  while (!calls_.empty()) left_.Wait(mutex_);
}

bool CoreLink::Enter(grpc::ClientContext& context) {
  MutexLock lock(mutex_);
  if (ending_) return false;
  calls_.insert(&context);
  return true;
}

void CoreLink::Leave(grpc::ClientContext& context) {
  MutexLock lock(mutex_);
  calls_.erase(&context);
  if (calls_.empty()) left_.NotifyAll();
}

}  // namespace agentdesk::gateway
