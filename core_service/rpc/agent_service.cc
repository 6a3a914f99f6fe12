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
  explicit AgentService(const Backend& backend) : backend_(backend) {}

  grpc::ServerUnaryReactor* ClaimJob(Context* context, const Bytes* request,
                                     Bytes* response) override {
    return ClaimReactor::Start(backend_, context, *request, response);
  }
  grpc::ServerUnaryReactor* RenewLease(Context* context, const Bytes* request,
                                       Bytes* response) override {
    return Execute<v1::RenewLeaseRequest, v1::RenewLeaseResponse>(backend_, context, request,
                                                                  response);
  }
  grpc::ServerUnaryReactor* ReportActivity(Context* context, const Bytes* request,
                                           Bytes* response) override {
    return Execute<v1::ReportActivityRequest, v1::ReportActivityResponse>(backend_, context,
                                                                          request, response);
  }
  grpc::ServerUnaryReactor* AskQuestion(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Execute<v1::AskQuestionRequest, v1::AskQuestionResponse>(backend_, context, request,
                                                                    response);
  }
  grpc::ServerUnaryReactor* WithdrawQuestion(Context* context, const Bytes* request,
                                             Bytes* response) override {
    return Execute<v1::WithdrawQuestionRequest, v1::WithdrawQuestionResponse>(backend_, context,
                                                                              request, response);
  }
  grpc::ServerWriteReactor<Bytes>* ReceiveInput(Context* context, const Bytes* request) override {
    return ReceiveInputReactor::Start(backend_, context, *request);
  }
  grpc::ServerUnaryReactor* ReleaseJob(Context* context, const Bytes* request,
                                       Bytes* response) override {
    return Execute<v1::ReleaseJobRequest, v1::ReleaseJobResponse>(backend_, context, request,
                                                                  response);
  }
  grpc::ServerUnaryReactor* CompleteJob(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Execute<v1::CompleteJobRequest, v1::CompleteJobResponse>(backend_, context, request,
                                                                    response);
  }
  grpc::ServerUnaryReactor* FailJob(Context* context, const Bytes* request,
                                    Bytes* response) override {
    return Execute<v1::FailJobRequest, v1::FailJobResponse>(backend_, context, request, response);
  }

 private:
  const Backend backend_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAgentService(const Backend& backend) {
  return std::make_unique<AgentService>(backend);
}

}  // namespace agentdesk::rpc
