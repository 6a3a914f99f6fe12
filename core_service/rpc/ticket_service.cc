#include "agentdesk/v1/ticket.grpc.pb.h"
#include "core_service/rpc/services.h"
#include "core_service/rpc/unary_call.h"

namespace agentdesk::rpc {
namespace {

using Context = grpc::CallbackServerContext;
using Bytes = grpc::ByteBuffer;

using RawService = v1::TicketService::WithRawCallbackMethod_CreateTicket<
    v1::TicketService::WithRawCallbackMethod_GetTicket<
        v1::TicketService::WithRawCallbackMethod_ListTickets<
            v1::TicketService::WithRawCallbackMethod_CancelTicket<
                v1::TicketService::WithRawCallbackMethod_RetryTicket<
                    v1::TicketService::WithRawCallbackMethod_GetJob<
                        v1::TicketService::WithRawCallbackMethod_ListJobs<
                            v1::TicketService::Service>>>>>>>;

class TicketService final : public RawService {
 public:
  explicit TicketService(const Backend& backend) : backend_(backend) {}

  grpc::ServerUnaryReactor* CreateTicket(Context* context, const Bytes* request,
                                         Bytes* response) override {
    return Execute<v1::CreateTicketRequest, v1::CreateTicketResponse>(backend_, context, request,
                                                                      response);
  }
  grpc::ServerUnaryReactor* GetTicket(Context* context, const Bytes* request,
                                      Bytes* response) override {
    return Read<v1::GetTicketRequest, v1::GetTicketResponse>(backend_, context, request, response);
  }
  grpc::ServerUnaryReactor* ListTickets(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Read<v1::ListTicketsRequest, v1::ListTicketsResponse>(backend_, context, request,
                                                                 response);
  }
  grpc::ServerUnaryReactor* CancelTicket(Context* context, const Bytes* request,
                                         Bytes* response) override {
    return Execute<v1::CancelTicketRequest, v1::CancelTicketResponse>(backend_, context, request,
                                                                      response);
  }
  grpc::ServerUnaryReactor* RetryTicket(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Execute<v1::RetryTicketRequest, v1::RetryTicketResponse>(backend_, context, request,
                                                                    response);
  }
  grpc::ServerUnaryReactor* GetJob(Context* context, const Bytes* request,
                                   Bytes* response) override {
    return Read<v1::GetJobRequest, v1::GetJobResponse>(backend_, context, request, response);
  }
  grpc::ServerUnaryReactor* ListJobs(Context* context, const Bytes* request,
                                     Bytes* response) override {
    return Read<v1::ListJobsRequest, v1::ListJobsResponse>(backend_, context, request, response);
  }

 private:
  const Backend backend_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeTicketService(const Backend& backend) {
  return std::make_unique<TicketService>(backend);
}

}  // namespace agentdesk::rpc
