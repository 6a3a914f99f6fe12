#include "agentdesk/v1/session.grpc.pb.h"
#include "core_service/rpc/services.h"
#include "core_service/rpc/unary_call.h"

namespace agentdesk::rpc {
namespace {

using Context = grpc::CallbackServerContext;
using Bytes = grpc::ByteBuffer;

using RawService = v1::SessionService::WithRawCallbackMethod_GetSession<
    v1::SessionService::WithRawCallbackMethod_ListSessions<
        v1::SessionService::WithRawCallbackMethod_ListQuestions<
            v1::SessionService::WithRawCallbackMethod_GetQuestion<
                v1::SessionService::WithRawCallbackMethod_SubmitResponse<
                    v1::SessionService::WithRawCallbackMethod_SendMessage<
                        v1::SessionService::Service>>>>>>;

class SessionService final : public RawService {
 public:
  SessionService(desk::Desk& desk, LiveCalls& calls) : desk_(desk), calls_(calls) {}

  grpc::ServerUnaryReactor* GetSession(Context* context, const Bytes* request,
                                       Bytes* response) override {
    return Read<v1::GetSessionRequest, v1::GetSessionResponse>(desk_, calls_, context, request,
                                                               response);
  }
  grpc::ServerUnaryReactor* ListSessions(Context* context, const Bytes* request,
                                         Bytes* response) override {
    return Read<v1::ListSessionsRequest, v1::ListSessionsResponse>(desk_, calls_, context, request,
                                                                   response);
  }
  grpc::ServerUnaryReactor* ListQuestions(Context* context, const Bytes* request,
                                          Bytes* response) override {
    return Read<v1::ListQuestionsRequest, v1::ListQuestionsResponse>(desk_, calls_, context,
                                                                     request, response);
  }
  grpc::ServerUnaryReactor* GetQuestion(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Read<v1::GetQuestionRequest, v1::GetQuestionResponse>(desk_, calls_, context, request,
                                                                 response);
  }
  grpc::ServerUnaryReactor* SubmitResponse(Context* context, const Bytes* request,
                                           Bytes* response) override {
    return Execute<v1::SubmitResponseRequest, v1::SubmitResponseResponse>(desk_, calls_, context,
                                                                          request, response);
  }
  grpc::ServerUnaryReactor* SendMessage(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Execute<v1::SendMessageRequest, v1::SendMessageResponse>(desk_, calls_, context, request,
                                                                    response);
  }

 private:
  desk::Desk& desk_;
  LiveCalls& calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSessionService(desk::Desk& desk, LiveCalls& calls) {
  return std::make_unique<SessionService>(desk, calls);
}

}  // namespace agentdesk::rpc
