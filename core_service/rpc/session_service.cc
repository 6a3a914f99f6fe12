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
  explicit SessionService(const Backend& backend) : backend_(backend) {}

  grpc::ServerUnaryReactor* GetSession(Context* context, const Bytes* request,
                                       Bytes* response) override {
    return Read<v1::GetSessionRequest, v1::GetSessionResponse>(backend_, context, request,
                                                               response);
  }
  grpc::ServerUnaryReactor* ListSessions(Context* context, const Bytes* request,
                                         Bytes* response) override {
    return Read<v1::ListSessionsRequest, v1::ListSessionsResponse>(backend_, context, request,
                                                                   response);
  }
  grpc::ServerUnaryReactor* ListQuestions(Context* context, const Bytes* request,
                                          Bytes* response) override {
    return Read<v1::ListQuestionsRequest, v1::ListQuestionsResponse>(backend_, context, request,
                                                                     response);
  }
  grpc::ServerUnaryReactor* GetQuestion(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Read<v1::GetQuestionRequest, v1::GetQuestionResponse>(backend_, context, request,
                                                                 response);
  }
  grpc::ServerUnaryReactor* SubmitResponse(Context* context, const Bytes* request,
                                           Bytes* response) override {
    return Execute<v1::SubmitResponseRequest, v1::SubmitResponseResponse>(backend_, context,
                                                                          request, response);
  }
  grpc::ServerUnaryReactor* SendMessage(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Execute<v1::SendMessageRequest, v1::SendMessageResponse>(backend_, context, request,
                                                                    response);
  }

 private:
  const Backend backend_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSessionService(const Backend& backend) {
  return std::make_unique<SessionService>(backend);
}

}  // namespace agentdesk::rpc
