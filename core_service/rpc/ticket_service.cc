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
  TicketService(desk::Desk& desk, LiveCalls& calls) : desk_(desk), calls_(calls) {}

  grpc::ServerUnaryReactor* CreateTicket(Context* context, const Bytes* request,
                                         Bytes* response) override {
    return Execute<v1::CreateTicketRequest, v1::CreateTicketResponse>(desk_, calls_, context,
                                                                      request, response);
  }
  grpc::ServerUnaryReactor* GetTicket(Context* context, const Bytes* request,
                                      Bytes* response) override {
    return Read<v1::GetTicketRequest, v1::GetTicketResponse>(desk_, calls_, context, request,
                                                             response);
  }
  grpc::ServerUnaryReactor* ListTickets(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Read<v1::ListTicketsRequest, v1::ListTicketsResponse>(desk_, calls_, context, request,
                                                                 response);
  }
  grpc::ServerUnaryReactor* CancelTicket(Context* context, const Bytes* request,
                                         Bytes* response) override {
    return Execute<v1::CancelTicketRequest, v1::CancelTicketResponse>(desk_, calls_, context,
                                                                      request, response);
  }
  grpc::ServerUnaryReactor* RetryTicket(Context* context, const Bytes* request,
                                        Bytes* response) override {
    return Execute<v1::RetryTicketRequest, v1::RetryTicketResponse>(desk_, calls_, context, request,
                                                                    response);
  }
  grpc::ServerUnaryReactor* GetJob(Context* context, const Bytes* request,
                                   Bytes* response) override {
    return Read<v1::GetJobRequest, v1::GetJobResponse>(desk_, calls_, context, request, response);
  }
  grpc::ServerUnaryReactor* ListJobs(Context* context, const Bytes* request,
                                     Bytes* response) override {
    return Read<v1::ListJobsRequest, v1::ListJobsResponse>(desk_, calls_, context, request,
                                                           response);
  }

 private:
  desk::Desk& desk_;
  LiveCalls& calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeTicketService(desk::Desk& desk, LiveCalls& calls) {
  return std::make_unique<TicketService>(desk, calls);
}

}  // namespace agentdesk::rpc
