#include "tools/agentdesk-worker/core_lease_calls.h"

#include <algorithm>
#include <utility>

#include "core_service/base/clock.h"
#include "core_service/base/log.h"
#include "grpcpp/support/client_callback.h"

namespace agentdesk::worker {
namespace {

namespace asio = boost::asio;
using Events = class v1::EventService::Stub::async;

// A core that is alive answers much sooner; one that is not is asked again.
constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kReadTimeout = absl::Seconds(30);

}  // namespace

std::string NewRequestId() { return IdSource::Real().NewUuid(Clock::Real().Now()).ToString(); }

// One call of ReceiveInput. Its reactions come on threads of gRPC and go to the worker's; all else
// happens there. It is held open (AddHold) until the worker lets go of it.
class CoreLeaseCalls::InputStream final : public grpc::ClientReadReactor<v1::ReceiveInputResponse>,
                                          public std::enable_shared_from_this<InputStream> {
 public:
  InputStream(CoreLeaseCalls& owner, v1::ReceiveInputRequest request)
      : owner_(&owner),
        io_(owner.io_),
        work_(owner.io_.get_executor()),
        request_(std::move(request)) {
    client::PrepareCall(owner.labels_, absl::InfiniteDuration(), context_);
  }

  void Start(v1::AgentService::Stub& stub) {
    self_ = shared_from_this();
    stub.async()->ReceiveInput(&context_, &request_, this);
    AddHold();
    Read();
    StartCall();
  }
  void Read() {
    reading_ = true;
    StartRead(&response_);
  }
  // The owner does not want it any more.
  void Drop() {
    owner_ = nullptr;
    context_.TryCancel();
    if (!reading_ && !std::exchange(released_, true)) RemoveHold();
  }

 private:
  void OnReadDone(bool ok) override {
    asio::post(io_, [self = shared_from_this(), ok] { self->Handle(ok); });
  }
  void OnDone(const grpc::Status& status) override {
    asio::post(io_, [self = std::move(self_), status = client::FromRpc(status)] {
      self->work_.reset();
      if (self->owner_ != nullptr) self->owner_->OnStreamEnd(status);
    });
  }
  void Handle(bool ok) {
    reading_ = false;
    if (ok && owner_ != nullptr) return owner_->OnInput(std::move(response_));
    if (!std::exchange(released_, true)) RemoveHold();
  }

  CoreLeaseCalls* owner_;  // null: dropped
  asio::io_context& io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  const v1::ReceiveInputRequest request_;
  grpc::ClientContext context_;
  v1::ReceiveInputResponse response_;
  bool reading_ = false;
  bool released_ = false;
  std::shared_ptr<InputStream> self_;  // until OnDone
};

CoreLeaseCalls::CoreLeaseCalls(asio::io_context& io, std::shared_ptr<const CoreStubs> stubs,
                               client::CallLabels labels, const v1::ClaimJobResponse& claim)
    : io_(io),
      stubs_(std::move(stubs)),
      labels_(labels),
      job_id_(claim.job().job_id()),
      lease_token_(claim.lease_token()),
      calls_(io, std::move(labels)),
      reopen_(io) {}

CoreLeaseCalls::~CoreLeaseCalls() {
  if (stream_ != nullptr) stream_->Drop();
}

template <typename Request>
Request CoreLeaseCalls::Signed(Request request) const {
  request.set_job_id(job_id_);
  request.set_lease_token(lease_token_);
  return request;
}

void CoreLeaseCalls::Renew(Done<v1::RenewLeaseResponse> done) {
  calls_.Once<v1::RenewLeaseRequest, v1::RenewLeaseResponse>(
      stubs_->agents->async(), &Agents::RenewLease, Signed(v1::RenewLeaseRequest()), kCallTimeout,
      std::move(done));
}

template <typename Request, typename Response>
void CoreLeaseCalls::Write(CoreCalls::Method<Agents, Request, Response> method, Request request,
                           Done<Response> done) {
  request = Signed(std::move(request));
  request.set_request_id(NewRequestId());
  calls_.UntilAnswered<Request, Response>(stubs_->agents->async(), method, std::move(request),
                                          kCallTimeout, std::move(done));
}

void CoreLeaseCalls::Call(v1::ReportActivityRequest request,
                          Done<v1::ReportActivityResponse> done) {
  Write<v1::ReportActivityRequest, v1::ReportActivityResponse>(&Agents::ReportActivity,
                                                               std::move(request), std::move(done));
}

void CoreLeaseCalls::Call(v1::AskQuestionRequest request, Done<v1::AskQuestionResponse> done) {
  Write<v1::AskQuestionRequest, v1::AskQuestionResponse>(&Agents::AskQuestion, std::move(request),
                                                         std::move(done));
}

void CoreLeaseCalls::Call(v1::WithdrawQuestionRequest request,
                          Done<v1::WithdrawQuestionResponse> done) {
  Write<v1::WithdrawQuestionRequest, v1::WithdrawQuestionResponse>(
      &Agents::WithdrawQuestion, std::move(request), std::move(done));
}

void CoreLeaseCalls::Call(v1::ReleaseJobRequest request, Done<v1::ReleaseJobResponse> done) {
  Write<v1::ReleaseJobRequest, v1::ReleaseJobResponse>(&Agents::ReleaseJob, std::move(request),
                                                       std::move(done));
}

void CoreLeaseCalls::Call(v1::CompleteJobRequest request, Done<v1::CompleteJobResponse> done) {
  Write<v1::CompleteJobRequest, v1::CompleteJobResponse>(&Agents::CompleteJob, std::move(request),
                                                         std::move(done));
}

void CoreLeaseCalls::Call(v1::FailJobRequest request, Done<v1::FailJobResponse> done) {
  Write<v1::FailJobRequest, v1::FailJobResponse>(&Agents::FailJob, std::move(request),
                                                 std::move(done));
}

void CoreLeaseCalls::Call(v1::ListEventsRequest request, Done<v1::ListEventsResponse> done) {
  calls_.UntilAnswered<v1::ListEventsRequest, v1::ListEventsResponse>(
      stubs_->events->async(), &Events::ListEvents, std::move(request), kReadTimeout,
      std::move(done));
}

void CoreLeaseCalls::ReceiveInput(int64_t after_sequence,
                                  absl::AnyInvocable<void(v1::ReceiveInputResponse)> on_input) {
  after_sequence_ = after_sequence;
  on_input_ = std::move(on_input);
  OpenStream();
}

void CoreLeaseCalls::NextInput() {
  if (stream_ != nullptr) stream_->Read();
}

void CoreLeaseCalls::OpenStream() {
  v1::ReceiveInputRequest request = Signed(v1::ReceiveInputRequest());
  request.set_after_sequence(after_sequence_);
  stream_ = std::make_shared<InputStream>(*this, std::move(request));
  stream_->Start(*stubs_->agents);
}

void CoreLeaseCalls::OnInput(v1::ReceiveInputResponse input) {
  backoff_.Reset();
  after_sequence_ = std::max(after_sequence_, input.sequence());
  on_input_(std::move(input));
}

void CoreLeaseCalls::OnStreamEnd(const absl::Status& status) {
  stream_.reset();
  if (IsLeaseLost(status)) {
    v1::ReceiveInputResponse lost;
    lost.set_sequence(after_sequence_);
    lost.mutable_lease_lost()->set_message(std::string(status.message()));
    return on_input_(std::move(lost));
  }
  if (!status.ok() && !IsTransient(status)) {
    LogError("cannot receive input", {{"job_id", job_id_}, {"error", status}});
  }
  reopen_.expires_after(absl::ToChronoMilliseconds(backoff_.Next()));
  reopen_.async_wait([this, alive = std::weak_ptr<void>(alive_)](const auto& error) {
    if (!error && !alive.expired()) OpenStream();
  });
}

}  // namespace agentdesk::worker
