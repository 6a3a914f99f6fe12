#include "agentdesk/v1/event.grpc.pb.h"
#include "core_service/rpc/services.h"
#include "core_service/rpc/subscribe_reactor.h"
#include "core_service/rpc/unary_call.h"

namespace agentdesk::rpc {
namespace {

using Context = grpc::CallbackServerContext;
using Bytes = grpc::ByteBuffer;

using RawService = v1::EventService::WithRawCallbackMethod_Subscribe<
    v1::EventService::WithRawCallbackMethod_ListEvents<
        v1::EventService::WithRawCallbackMethod_GetDesk<v1::EventService::Service>>>;

class EventService final : public RawService {
 public:
  explicit EventService(const Backend& backend) : backend_(backend) {}

  grpc::ServerWriteReactor<Bytes>* Subscribe(Context* context, const Bytes* request) override {
    return SubscribeReactor::Start(backend_, context, *request);
  }
  grpc::ServerUnaryReactor* ListEvents(Context* context, const Bytes* request,
                                       Bytes* response) override {
    return Read<v1::ListEventsRequest, v1::ListEventsResponse>(backend_, context, request,
                                                               response);
  }
  grpc::ServerUnaryReactor* GetDesk(Context* context, const Bytes* request,
                                    Bytes* response) override {
    auto* const reactor = new UnaryReactor(backend_.calls);
    RunUnary<v1::GetDeskRequest, v1::GetDeskResponse>(
        backend_, reactor, *context, *request, response,
        [this](const desk::Caller&, const v1::GetDeskRequest&, Reply<v1::GetDeskResponse> reply) {
          reply(backend_.desk.GetDesk());
        });
    return reactor;
  }

 private:
  const Backend backend_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeEventService(const Backend& backend) {
  return std::make_unique<EventService>(backend);
}

}  // namespace agentdesk::rpc
