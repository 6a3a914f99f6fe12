#ifndef AGENTDESK_CORE_SERVICE_RPC_UNARY_CALL_H_
#define AGENTDESK_CORE_SERVICE_RPC_UNARY_CALL_H_

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core_service/base/log.h"
#include "core_service/desk/desk.h"
#include "core_service/rpc/caller.h"
#include "core_service/rpc/grpc_status.h"
#include "core_service/rpc/message_bytes.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"

namespace agentdesk::rpc {

// The duty to finish one unary call, exactly once: it is a desk::Done, and where it is dropped
// uncalled (an exception on the way) the caller still gets an answer.
template <typename Response>
class Reply {
 public:
  Reply(grpc::ServerUnaryReactor* reactor, grpc::ByteBuffer* response)
      : reactor_(reactor), response_(response) {}
  Reply(Reply&& other) noexcept
      : reactor_(std::exchange(other.reactor_, nullptr)), response_(other.response_) {}
  Reply& operator=(Reply&&) = delete;
  ~Reply() { Finish(absl::InternalError("the call was dropped; its outcome is unknown")); }

  void operator()(absl::StatusOr<Response> result) {
    if (result.ok()) *response_ = Encode(*result);
    Finish(result.status());
  }

 private:
  void Finish(const absl::Status& status) {
    // Once Finish is called the reactor may be gone.
    grpc::ServerUnaryReactor* reactor = std::exchange(reactor_, nullptr);
    if (reactor != nullptr) reactor->Finish(ToGrpc(status));
  }

  grpc::ServerUnaryReactor* reactor_;
  grpc::ByteBuffer* response_;
};

// Parses a call and hands it to `run(Caller, Request, Reply<Response>)`, which may answer later
// from any thread; a call that cannot be parsed is answered here.
template <typename Request, typename Response, typename Run>
void RunUnary(grpc::ServerUnaryReactor* reactor, const grpc::CallbackServerContext& context,
              const grpc::ByteBuffer& bytes, grpc::ByteBuffer* response, Run run) {
  Reply<Response> reply(reactor, response);
  try {
    Request request;
    absl::Status status = Parse(bytes, request);
    absl::StatusOr<desk::Caller> caller = CallerOf(context.client_metadata());
    if (status.ok()) status = caller.status();
    if (!status.ok()) return reply(status);
    run(*std::move(caller), std::move(request), std::move(reply));
  } catch (const std::exception& error) {
    LogError("a call threw",
             {{"request", Request::descriptor()->full_name()}, {"error", error.what()}});
  }
}

template <typename Request, typename Response>
grpc::ServerUnaryReactor* Execute(desk::Desk& desk, grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* bytes, grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  RunUnary<Request, Response>(reactor, *context, *bytes, response,
                              [&desk](desk::Caller caller, Request request, Reply<Response> reply) {
                                desk.Execute(std::move(caller), std::move(request),
                                             std::move(reply));
                              });
  return reactor;
}

template <typename Request, typename Response>
grpc::ServerUnaryReactor* Read(desk::Desk& desk, grpc::CallbackServerContext* context,
                               const grpc::ByteBuffer* bytes, grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  RunUnary<Request, Response>(
      reactor, *context, *bytes, response,
      [&desk](const desk::Caller& caller, Request request, Reply<Response> reply) {
        desk.Read(caller, std::move(request), std::move(reply));
      });
  return reactor;
}

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_UNARY_CALL_H_
