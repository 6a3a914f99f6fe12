#ifndef AGENTDESK_TOOLS_AGENTDESK_DESK_CONNECTION_H_
#define AGENTDESK_TOOLS_AGENTDESK_DESK_CONNECTION_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agentdesk/v1/admin.grpc.pb.h"
#include "agentdesk/v1/event.grpc.pb.h"
#include "agentdesk/v1/session.grpc.pb.h"
#include "agentdesk/v1/ticket.grpc.pb.h"
#include "core_service/client/channel.h"
#include "grpcpp/channel.h"

namespace agentdesk::cli {

// The core, for a program that makes one call after the other. Calls block.
class DeskConnection {
 public:
  // `token`: what the core wants to know us by; null where it does not.
  DeskConnection(const std::string& target, const std::string& actor,
                 std::shared_ptr<client::BearerToken> token, client::CoreTls tls);

  template <typename Stub, typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

  // One try.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Read(Stub& stub, Method<Stub, Request, Response> method,
                                const Request& request) {
    Response response;
    const absl::Status status = Try([&](grpc::ClientContext& context) {
      response = Response();
      return (stub.*method)(&context, request, &response);
    });
    if (!status.ok()) return status;
    return response;
  }
  // Tries again for up to 10 s while the core cannot be reached. The request id makes sure that it
  // happens once: a random one where `request` has none.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Write(Stub& stub, Method<Stub, Request, Response> method,
                                 Request& request) {
    if (request.request_id().empty()) request.set_request_id(NewRequestId());
    Response response;
    const absl::Status status = TryUntilAnswered([&](grpc::ClientContext& context) {
      response = Response();
      return (stub.*method)(&context, request, &response);
    });
    if (!status.ok()) return WithRequestId(status, request.request_id());
    return response;
  }

  v1::TicketService::Stub& tickets() { return *tickets_; }
  v1::SessionService::Stub& sessions() { return *sessions_; }
  v1::EventService::Stub& events() { return *events_; }
  v1::AdminService::Stub& admin() { return *admin_; }
  // For a call that streams: the caller's labels, and no deadline.
  void PrepareStream(grpc::ClientContext& context) const;
  const std::string& target() const { return target_; }
  const std::shared_ptr<client::BearerToken>& token() const { return labels_.token; }
  const client::CoreTls& tls() const { return tls_; }

 private:
  using Call = absl::FunctionRef<grpc::Status(grpc::ClientContext&)>;

  static std::string NewRequestId();
  // An error that remembers the call's request id, for who wants to repeat it.
  static absl::Status WithRequestId(const absl::Status& status, const std::string& request_id);
  absl::Status Try(Call call);
  absl::Status TryUntilAnswered(Call call);

  const std::string target_;
  const client::CallLabels labels_;
  const client::CoreTls tls_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::TicketService::Stub> tickets_;
  const std::unique_ptr<v1::SessionService::Stub> sessions_;
  const std::unique_ptr<v1::EventService::Stub> events_;
  const std::unique_ptr<v1::AdminService::Stub> admin_;
};

}  // namespace agentdesk::cli

#endif  // AGENTDESK_TOOLS_AGENTDESK_DESK_CONNECTION_H_
