#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_CORE_CALLS_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_CORE_CALLS_H_

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "core_service/base/error.h"
#include "core_service/base/uuid.h"
#include "core_service/client/channel.h"
#include "core_service/client/rpc_status.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"
#include "tools/agentdesk-worker/lease_calls.h"

namespace agentdesk::worker {

// A random request id.
std::string NewRequestId();

// Waits between tries: from 100 ms, doubling to 1 s, of which chance takes up to half.
class Backoff {
 public:
  absl::Duration Next() {
    const absl::Duration wait = next_ * (1 - IdSource::Real().Fraction() / 2);
    next_ = std::min(next_ * 2, absl::Seconds(1));
    return wait;
  }
  void Reset() { next_ = absl::Milliseconds(100); }

 private:
  absl::Duration next_ = absl::Milliseconds(100);
};

// Unary calls whose answers come back on the thread of an io_context. Destroying it calls off all
// that is under way; the io_context has work until gRPC has let go of each of them.
class CoreCalls {
 public:
  CoreCalls(boost::asio::io_context& io, client::CallLabels labels)
      : group_(std::make_shared<Group>(io, std::move(labels))) {}
  ~CoreCalls() {
    group_->dropped = true;
    for (grpc::ClientContext* context : group_->contexts) context->TryCancel();
    for (boost::asio::steady_timer* timer : group_->timers) timer->cancel();
  }
  CoreCalls(const CoreCalls&) = delete;
  CoreCalls& operator=(const CoreCalls&) = delete;

  // A call of gRPC's callback API, which has an overload for reactors besides.
  template <typename Async, typename Request, typename Response>
  using Method = void (Async::*)(grpc::ClientContext*, const Request*, Response*,
                                 std::function<void(grpc::Status)>);

  // Hears why a try failed that is made again.
  using OnFailedTry = std::function<void(const absl::Status&)>;

  // One try. `async` must live until gRPC has let go of the call.
  template <typename Request, typename Response, typename Async>
  void Once(Async* async, Method<Async, Request, Response> method, Request request,
            absl::Duration timeout, Done<Response> done) {
    Begin<Request, Response>(async, method, std::move(request), timeout, std::move(done), false,
                             nullptr);
  }
  // Tries again until the core has answered.
  template <typename Request, typename Response, typename Async>
  void UntilAnswered(Async* async, Method<Async, Request, Response> method, Request request,
                     absl::Duration timeout, Done<Response> done,
                     OnFailedTry on_failed_try = nullptr) {
    Begin<Request, Response>(async, method, std::move(request), timeout, std::move(done), true,
                             std::move(on_failed_try));
  }

 private:
  struct Group {
    Group(boost::asio::io_context& io_in, client::CallLabels labels_in)
        : io(io_in), labels(std::move(labels_in)) {}
    boost::asio::io_context& io;
    const client::CallLabels labels;
    bool dropped = false;
    absl::flat_hash_set<grpc::ClientContext*> contexts;
    absl::flat_hash_set<boost::asio::steady_timer*> timers;
  };

  template <typename Request, typename Response>
  class Unary;

  template <typename Request, typename Response, typename Async>
  void Begin(Async* async, Method<Async, Request, Response> method, Request request,
             absl::Duration timeout, Done<Response> done, bool again, OnFailedTry on_failed_try) {
    auto call = std::make_shared<Unary<Request, Response>>(
        group_, std::move(request), timeout,
        [async, method](grpc::ClientContext* context, const Request* sent, Response* response,
                        std::function<void(grpc::Status)> on_done) {
          (async->*method)(context, sent, response, std::move(on_done));
        },
        std::move(done), again, std::move(on_failed_try));
    call->Try();
  }

  const std::shared_ptr<Group> group_;
};

template <typename Request, typename Response>
class CoreCalls::Unary : public std::enable_shared_from_this<Unary<Request, Response>> {
 public:
  using Begin = std::function<void(grpc::ClientContext*, const Request*, Response*,
                                   std::function<void(grpc::Status)>)>;

  Unary(std::shared_ptr<Group> group, Request request, absl::Duration timeout, Begin begin,
        Done<Response> done, bool again, OnFailedTry on_failed_try)
      : group_(std::move(group)),
        request_(std::move(request)),
        timeout_(timeout),
        begin_(std::move(begin)),
        done_(std::move(done)),
        again_(again),
        on_failed_try_(std::move(on_failed_try)),
        timer_(group_->io) {}

  void Try() {
    context_ = std::make_unique<grpc::ClientContext>();
    client::PrepareCall(group_->labels, timeout_, *context_);
    group_->contexts.insert(context_.get());
    response_ = Response();
    work_.emplace(group_->io.get_executor());
    begin_(context_.get(), &request_, &response_,
           [self = this->shared_from_this()](const grpc::Status& status) {
             boost::asio::post(self->group_->io, [self, status] { self->OnDone(status); });
           });
  }

 private:
  void OnDone(const grpc::Status& rpc_status) {
    work_.reset();
    group_->contexts.erase(context_.get());
    if (group_->dropped) return;
    const absl::Status status = client::FromRpc(rpc_status);
    if (status.ok()) return done_(std::move(response_));
    if (!again_ || !IsTransient(status)) return done_(status);
    if (on_failed_try_) on_failed_try_(status);
    timer_.expires_after(absl::ToChronoMilliseconds(
        std::max(backoff_.Next(), DetailOf(status).retry_after.value_or(absl::ZeroDuration()))));
    group_->timers.insert(&timer_);
    timer_.async_wait([self = this->shared_from_this()](const boost::system::error_code&) {
      self->group_->timers.erase(&self->timer_);
      if (!self->group_->dropped) self->Try();
    });
  }

  const std::shared_ptr<Group> group_;
  const Request request_;
  const absl::Duration timeout_;
  const Begin begin_;
  Done<Response> done_;
  const bool again_;
  const OnFailedTry on_failed_try_;
  Backoff backoff_;
  boost::asio::steady_timer timer_;
  // While gRPC has the call the io_context must not run out of work.
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  std::unique_ptr<grpc::ClientContext> context_;
  Response response_;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_CORE_CALLS_H_
