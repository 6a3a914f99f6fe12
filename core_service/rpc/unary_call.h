#ifndef AGENTDESK_CORE_SERVICE_RPC_UNARY_CALL_H_
#define AGENTDESK_CORE_SERVICE_RPC_UNARY_CALL_H_

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core_service/base/log.h"
#include "core_service/desk/desk.h"
#include "core_service/rpc/access.h"
#include "core_service/rpc/grpc_status.h"
#include "core_service/rpc/live_calls.h"
#include "core_service/rpc/message_bytes.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"

namespace agentdesk::rpc {

// The duty to finish one unary call, exactly once: it is a desk::Done, and where it is dropped
// uncalled (an exception on the way) the caller still gets an answer. The call counts as under way
// until then.
template <typename Response>
class Reply {
 public:
  Reply(LiveCalls& calls, CallObserver::Call call, grpc::ServerUnaryReactor* reactor,
        grpc::ByteBuffer* response)
      : calls_(calls),
        call_(std::move(call)),
        reactor_(reactor),
        response_(response),
        counted_(calls.BeginShort()) {}
  Reply(Reply&& other) noexcept
      : calls_(other.calls_),
        call_(std::move(other.call_)),
        reactor_(std::exchange(other.reactor_, nullptr)),
        response_(other.response_),
        counted_(other.counted_) {}
  Reply& operator=(Reply&&) = delete;
  ~Reply() { Finish(absl::InternalError("the call was dropped; its outcome is unknown")); }

  // False while the server drains: the call is to be refused.
  bool counted() const { return counted_; }

  void operator()(absl::StatusOr<Response> result) {
    if (result.ok()) *response_ = Encode(*result);
    Finish(result.status());
  }

 private:
  void Finish(const absl::Status& status) {
    grpc::ServerUnaryReactor* reactor = std::exchange(reactor_, nullptr);
    if (reactor == nullptr) return;
    calls_.observer().Ended(call_, status);
    // The server, and so `calls_`, may be gone once the last call has finished.
    if (counted_) calls_.EndShort();
    reactor->Finish(ToGrpc(status));
  }

  LiveCalls& calls_;
  CallObserver::Call call_;
  grpc::ServerUnaryReactor* reactor_;
  grpc::ByteBuffer* response_;
  const bool counted_;
};

// Admits and parses a call and hands it to `run(Caller, Request, Reply<Response>)`, which may
// answer later from any thread; a call that is refused or cannot be parsed is answered here.
template <typename Request, typename Response, typename Run>
void RunUnary(const Backend& backend, grpc::ServerUnaryReactor* reactor,
              const grpc::CallbackServerContext& context, const grpc::ByteBuffer& bytes,
              grpc::ByteBuffer* response, Run run) {
  Reply<Response> reply(backend.calls,
                        {backend.calls.observer().Find(*Request::descriptor()), backend.calls.Now(),
                         TraceOf(context.client_metadata())},
                        reactor, response);
  try {
    if (!reply.counted()) return reply(Draining("Call again."));
    absl::StatusOr<desk::Caller> caller =
        backend.access.Admit(context, Request::descriptor()->full_name());
    if (!caller.ok()) return reply(caller.status());
    Request request;
    if (absl::Status status = Parse(bytes, request); !status.ok()) return reply(status);
    run(*std::move(caller), std::move(request), std::move(reply));
  } catch (const std::exception& error) {
    LogError("a call threw",
             {{"request", Request::descriptor()->full_name()}, {"error", error.what()}});
  }
}

template <typename Request, typename Response>
grpc::ServerUnaryReactor* Execute(const Backend& backend, grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* bytes, grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  RunUnary<Request, Response>(
      backend, reactor, *context, *bytes, response,
    absl::Status room = backend.limits.TakeCall(caller->identity);
    if (!room.ok()) return reply(room);
      [&desk = backend.desk](desk::Caller caller, Request request, Reply<Response> reply) {
        desk.Execute(std::move(caller), std::move(request), std::move(reply));
      });
  return reactor;
}

template <typename Request, typename Response>
grpc::ServerUnaryReactor* Read(const Backend& backend, grpc::CallbackServerContext* context,
                               const grpc::ByteBuffer* bytes, grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  RunUnary<Request, Response>(
      backend, reactor, *context, *bytes, response,
      [&desk = backend.desk](const desk::Caller& caller, Request request, Reply<Response> reply) {
        desk.Read(caller, request, std::move(reply));
      });
  return reactor;
}

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_UNARY_CALL_H_
