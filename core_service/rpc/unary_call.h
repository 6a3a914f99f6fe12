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
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"

namespace agentdesk::rpc {

// gRPC's side of one unary call. The call counts as under way until its answer has been written.
class UnaryReactor : public grpc::ServerUnaryReactor {
 public:
  explicit UnaryReactor(LiveCalls& calls) : calls_(calls), counted_(calls.BeginShort()) {}

  // False while the server drains: the call is to be refused.
  bool counted() const { return counted_; }
  // gRPC's last word, while it still keeps the server.
  void OnDone() override {
    EndCount();
    delete this;
  }

 protected:
  void EndCount() {
    if (counted_) calls_.EndShort();
  }

 private:
  // As gRPC's own default reactor, which does not tell when it is done: what happens here is not
  // worth a change of thread.
  bool InternalInlineable() override { return true; }

  LiveCalls& calls_;
  const bool counted_;
};

// The duty to finish one unary call, exactly once: it is a desk::Done, and where it is dropped
// uncalled (an exception on the way) the caller still gets an answer.
template <typename Response>
class Reply {
 public:
  Reply(CallObserver& observer, CallObserver::Call call, grpc::ServerUnaryReactor* reactor,
        grpc::ByteBuffer* response)
      : observer_(observer), call_(std::move(call)), reactor_(reactor), response_(response) {}
  Reply(Reply&& other) noexcept
      : observer_(other.observer_),
        call_(std::move(other.call_)),
        reactor_(std::exchange(other.reactor_, nullptr)),
        response_(other.response_) {}
  Reply& operator=(Reply&&) = delete;
  ~Reply() { Finish(absl::InternalError("the call was dropped; its outcome is unknown")); }

  void operator()(absl::StatusOr<Response> result) {
    if (result.ok()) *response_ = Encode(*result);
    Finish(result.status());
  }

 private:
  void Finish(const absl::Status& status) {
    grpc::ServerUnaryReactor* reactor = std::exchange(reactor_, nullptr);
    if (reactor == nullptr) return;
    observer_.Ended(call_, status);
    reactor->Finish(ToGrpc(status));
  }

  CallObserver& observer_;
  CallObserver::Call call_;
  grpc::ServerUnaryReactor* reactor_;
  grpc::ByteBuffer* response_;
};

// Admits and parses a call and hands it to `run(Caller, Request, Reply<Response>)`, which may
// answer later from any thread; a call that is refused or cannot be parsed is answered here.
template <typename Request, typename Response, typename Run>
void RunUnary(const Backend& backend, UnaryReactor* reactor,
              const grpc::CallbackServerContext& context, const grpc::ByteBuffer& bytes,
              grpc::ByteBuffer* response, Run run) {
  Reply<Response> reply(backend.calls.observer(),
                        {backend.calls.observer().Find(*Request::descriptor()), backend.calls.Now(),
                         TraceOf(context.client_metadata())},
                        reactor, response);
  try {
    if (!reactor->counted()) return reply(Draining("Call again."));
    absl::StatusOr<desk::Caller> caller =
        backend.access.Admit(context, Request::descriptor()->full_name());
    if (!caller.ok()) return reply(caller.status());
    absl::Status room = backend.limits.TakeCall(caller->identity);
    if (!room.ok()) return reply(room);
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
  auto* const reactor = new UnaryReactor(backend.calls);
  RunUnary<Request, Response>(
      backend, reactor, *context, *bytes, response,
      [&desk = backend.desk](desk::Caller caller, Request request, Reply<Response> reply) {
        desk.Execute(std::move(caller), std::move(request), std::move(reply));
      });
  return reactor;
}

template <typename Request, typename Response>
grpc::ServerUnaryReactor* Read(const Backend& backend, grpc::CallbackServerContext* context,
                               const grpc::ByteBuffer* bytes, grpc::ByteBuffer* response) {
  auto* const reactor = new UnaryReactor(backend.calls);
  RunUnary<Request, Response>(
      backend, reactor, *context, *bytes, response,
      [&desk = backend.desk](const desk::Caller& caller, Request request, Reply<Response> reply) {
        desk.Read(caller, request, std::move(reply));
      });
  return reactor;
}

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_UNARY_CALL_H_
