#include "agentdesk/v1/agent.grpc.pb.h"
#include "core_service/rpc/claim_reactor.h"
#include "core_service/rpc/receive_input_reactor.h"
#include "core_service/rpc/services.h"
#include "core_service/rpc/unary_call.h"

namespace agentdesk::rpc {
namespace {

using Context = grpc::CallbackServerContext;
using Bytes = grpc::ByteBuffer;

using RawService = v1::AgentService::WithRawCallbackMethod_ClaimJob<
    v1::AgentService::WithRawCallbackMethod_RenewLease<
        v1::AgentService::WithRawCallbackMethod_ReportActivity<
            v1::AgentService::WithRawCallbackMethod_AskQuestion<
                v1::AgentService::WithRawCallbackMethod_WithdrawQuestion<
                    v1::AgentService::WithRawCallbackMethod_ReceiveInput<
                        v1::AgentService::WithRawCallbackMethod_ReleaseJob<
                            v1::AgentService::WithRawCallbackMethod_CompleteJob<
                                v1::AgentService::WithRawCallbackMethod_FailJob<
                                    v1::AgentService::Service>>>>>>>>>;

class AgentService final : public RawService {
 public:
  AgentService(desk::Desk& desk, LiveCalls& calls) : desk_(desk), calls_(calls) {}

  grpc::ServerUnaryReactor* ClaimJob(Context* context, const Bytes* request,
                                     Bytes* response) override {
    return ClaimReactor::Start(desk_, calls_, context, *request, response);
  }
  grpc::ServerUnaryReactor* RenewLease(Context* context, const Bytes* request,
                                       Bytes* response) override {
    return Execute<v1::RenewLeaseRequest, v1::RenewLeaseResponse>(desk_, calls_, context, request,
                                                                  response);
  }
  grpc::ServerUnaryReactor* ReportActivity(Context* context, const Bytes* request,
                                           Bytes* response) override {
    return Execute<v1::ReportActivityRequest, v1::ReportActivityResponse>(desk_, calls_, context,
                                                                          request, response);
  }
  grpc::ServerUnaryReactor* AskQuestion(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Execute<v1::AskQuestionRequest, v1::AskQuestionResponse>(desk_, calls_, context, request,
                                                                    response);
  }
  grpc::ServerUnaryReactor* WithdrawQuestion(Context* context, const Bytes* request,
                                             Bytes* response) override {
    return Execute<v1::WithdrawQuestionRequest, v1::WithdrawQuestionResponse>(
        desk_, calls_, context, request, response);
  }
  grpc::ServerWriteReactor<Bytes>* ReceiveInput(Context* context, const Bytes* request) override {
    return ReceiveInputReactor::Start(desk_, calls_, context, *request);
  }
  grpc::ServerUnaryReactor* ReleaseJob(Context* context, const Bytes* request,
                                       Bytes* response) override {
    return Execute<v1::ReleaseJobRequest, v1::ReleaseJobResponse>(desk_, calls_, context, request,
                                                                  response);
  }
  grpc::ServerUnaryReactor* CompleteJob(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Execute<v1::CompleteJobRequest, v1::CompleteJobResponse>(desk_, calls_, context, request,
                                                                    response);
  }
  grpc::ServerUnaryReactor* FailJob(Context* context, const Bytes* request,
                                    Bytes* response) override {
    return Execute<v1::FailJobRequest, v1::FailJobResponse>(desk_, calls_, context, request,
                                                            response);
  }

 private:
  desk::Desk& desk_;
  LiveCalls& calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAgentService(desk::Desk& desk, LiveCalls& calls) {
  return std::make_unique<AgentService>(desk, calls);
}

}  // namespace agentdesk::rpc
