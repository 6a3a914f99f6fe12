#include "core_service/client/event_stream.h"

#include <algorithm>
#include <utility>

#include "core_service/base/clock.h"
#include "core_service/base/uuid.h"
#include "core_service/client/rpc_status.h"
#include "grpc/support/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"

namespace agentdesk::client {
namespace {

// Whether the core has said no, so that the same request would be refused again.
bool IsRefusal(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

}  // namespace

// One attempt. It holds the call open (AddHold) while no read is under way, since the next read is
// asked for from outside its reactions.
class EventStream::Call final : public grpc::ClientReadReactor<v1::SubscribeResponse> {
 public:
  Call(EventStream& stream, v1::SubscribeRequest request)
      : stream_(stream), request_(std::move(request)) {}

  void Start(v1::EventService::Stub& stub, std::shared_ptr<Call> self) {
    self_ = std::move(self);
    PrepareCall(stream_.options_.labels, absl::InfiniteDuration(), context_);
    stub.async()->Subscribe(&context_, &request_, this);
    AddHold();
    Read();
    StartCall();
  }
  void Read() {
    batch_ = std::make_unique<v1::SubscribeResponse>();
    StartRead(batch_.get());
  }
  std::unique_ptr<v1::SubscribeResponse> TakeBatch() { return std::move(batch_); }
  void Cancel() { context_.TryCancel(); }
  // Lets the call end. Only once, and no Read after it.
  void Release() { RemoveHold(); }

 private:
  void OnReadDone(bool ok) override { stream_.OnRead(*this, ok); }
  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<Call> self = std::move(self_);
    stream_.OnCallDone(FromRpc(status));
  }

  EventStream& stream_;
  const v1::SubscribeRequest request_;
  grpc::ClientContext context_;
  std::unique_ptr<v1::SubscribeResponse> batch_;
  std::shared_ptr<Call> self_;  // until OnDone
};

EventStream::EventStream(const std::shared_ptr<grpc::Channel>& channel, EventStreamOptions options,
                         Consumer& consumer)
    : stub_(v1::EventService::NewStub(channel)),
      options_(std::move(options)),
      consumer_(consumer),
      start_(options_.start),
      backoff_(options_.first_backoff) {
  {
    MutexLock lock(mutex_);
    ++under_way_;
  }
  StartCall();
}

EventStream::~EventStream() {
  std::shared_ptr<Call> call;
  bool held_by_consumer = false;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    call = call_;
    held_by_consumer = call != nullptr && !reading_;
    if (timer_ != nullptr) timer_->Cancel();
  }
  if (call != nullptr) {
    call->Cancel();
    if (held_by_consumer) call->Release();
  }
  MutexLock lock(mutex_);
  while (under_way_ > 0) left_.Wait(mutex_);
}

// Consumes one count of under_way_, which the call takes over.
void EventStream::StartCall() {
  std::shared_ptr<Call> call;
  {
    MutexLock lock(mutex_);
    if (!stopping_) {
      call = std::make_shared<Call>(*this, Request());
      call_ = call;
      reading_ = true;
      reading_since_ = Clock::Real().Monotonic();
      SetTimer(options_.silence, &EventStream::CheckSilence);
    }
  }
  if (call == nullptr) return Leave();
  call->Start(*stub_, call);
}

void EventStream::OnRead(Call& call, bool ok) {
  std::unique_ptr<v1::SubscribeResponse> batch;
  {
    MutexLock lock(mutex_);
    if (ok && !stopping_) {
      reading_ = false;
      backoff_ = options_.first_backoff;
      batch = call.TakeBatch();
      Advance(*batch);
    }
  }
  if (batch == nullptr) return call.Release();
  consumer_.OnBatch(std::move(batch));
}

void EventStream::Next() {
  std::shared_ptr<Call> call;
  {
    MutexLock lock(mutex_);
    if (stopping_ || call_ == nullptr || reading_) return;
    reading_ = true;
    reading_since_ = Clock::Real().Monotonic();
    call = call_;
  }
  call->Read();
}

void EventStream::OnCallDone(const absl::Status& status) {
  bool stopping = false;
  {
    MutexLock lock(mutex_);
    call_.reset();
    if (timer_ != nullptr) timer_->Cancel();
    stopping = stopping_;
  }
  if (!stopping) {
    bool goes_on = true;
    if (IsRefusal(status.code())) {
      std::optional<StreamStart> start = consumer_.OnRefused(status);
      goes_on = start.has_value();
      MutexLock lock(mutex_);
      if (goes_on) start_ = *std::move(start);
    } else {
      consumer_.OnInterrupted(status);
    }
    MutexLock lock(mutex_);
    if (goes_on && !stopping_) {
      SetTimer(backoff_ * IdSource::Real().Fraction(), &EventStream::StartCall);
      backoff_ = std::min(backoff_ * 2, options_.max_backoff);
    }
  }
  Leave();
}

void EventStream::CheckSilence() {
  std::shared_ptr<Call> dead;
  {
    MutexLock lock(mutex_);
    if (!stopping_ && call_ != nullptr) {
      const absl::Duration silent =
          reading_ ? Clock::Real().Monotonic() - reading_since_ : absl::ZeroDuration();
      if (silent >= options_.silence) {
        dead = call_;
      } else {
        SetTimer(options_.silence - silent, &EventStream::CheckSilence);
      }
    }
  }
  if (dead != nullptr) dead->Cancel();
  Leave();
}

void EventStream::SetTimer(absl::Duration delay, void (EventStream::*then)()) {
  ++under_way_;
  timer_ = std::make_unique<grpc::Alarm>();
  timer_->Set(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                           gpr_time_from_micros(absl::ToInt64Microseconds(delay), GPR_TIMESPAN)),
              [this, then](bool fired) {
                if (!fired) return Leave();
                (this->*then)();
              });
}

void EventStream::Advance(const v1::SubscribeResponse& batch) {
  if (batch.has_snapshot() && batch.snapshot().more()) return;
  // Until the last part of a snapshot there is no position to go on from.
  if (start_.kind == StreamStart::Kind::kSnapshot && !batch.has_snapshot()) return;
  start_.kind = StreamStart::Kind::kAfter;
  start_.after = {batch.desk_id(), batch.up_to_sequence()};
}

v1::SubscribeRequest EventStream::Request() const {
  v1::SubscribeRequest request;
  switch (start_.kind) {
    case StreamStart::Kind::kAfter:
      request.set_after_sequence(start_.after.sequence);
      request.set_desk_id(start_.after.desk_id);
      break;
    case StreamStart::Kind::kLive:
      request.set_live(true);
      break;
    case StreamStart::Kind::kSnapshot:
      request.set_snapshot(true);
      break;
  }
  *request.mutable_filter() = options_.filter;
  return request;
}

void EventStream::Leave() {
  MutexLock lock(mutex_);
  if (--under_way_ == 0) left_.NotifyAll();
}

}  // namespace agentdesk::client
