#include "core_service/client/awake_pollers.h"

#include <chrono>

#include "absl/synchronization/notification.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"

namespace agentdesk::client {
namespace {

constexpr std::chrono::milliseconds kBeat{250};

// Returns when one of gRPC's threads has run a callback.
void CallNobody(grpc::GenericStub& nobody, const grpc::ByteBuffer& nothing) {
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  absl::Notification done;
  nobody.UnaryCall(&context, "/", {}, &nothing, &response,
                   [&done](const grpc::Status&) { done.Notify(); });
  done.WaitForNotification();
}

}  // namespace

AwakePollers::AwakePollers() {
  thread_ = std::thread([this] { Run(); });
}

AwakePollers::~AwakePollers() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  stopped_.NotifyAll();
  thread_.join();
}

void AwakePollers::Run() {
  // A channel without credentials fails all its calls.
  grpc::GenericStub nobody(grpc::CreateChannel("", nullptr));
  const grpc::Slice empty;
  const grpc::ByteBuffer nothing(&empty, 1);
  while (true) {
    CallNobody(nobody, nothing);
    const auto next = std::chrono::steady_clock::now() + kBeat;
    const MutexLock lock(mutex_);
    while (!stopping_ && std::chrono::steady_clock::now() < next) stopped_.WaitUntil(mutex_, next);
    if (stopping_) return;
  }
}

}  // namespace agentdesk::client
