#include "ws_gateway/core_link.h"

#include <algorithm>
#include <thread>

#include "core_service/client/channel.h"

namespace agentdesk::gateway {

CoreLink::CoreLink(const std::string& target, const client::CoreTls& tls,
                   const std::string& token_file, SpanExporter* spans)
    : spans_(spans),
      tls_(tls),
      channel_(client::MakeChannel(target, client::ChannelUse::kSubscription, tls)),
      token_(token_file.empty() ? nullptr
                                : std::make_shared<client::BearerToken>(token_file, Clock::Real())),
      tickets_(v1::TicketService::NewStub(channel_)),
      sessions_(v1::SessionService::NewStub(channel_)),
      events_(v1::EventService::NewStub(channel_)),
      feed_work_(std::clamp(static_cast<int>(std::thread::hardware_concurrency()) / 2, 1, 16),
                 /*queue_limit=*/65536) {}

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
