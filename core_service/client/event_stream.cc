#include "core_service/client/event_stream.h"

#include <algorithm>
#include <utility>

#include "core_service/base/clock.h"
#include "core_service/base/error.h"
#include "core_service/base/uuid.h"
#include "core_service/client/rpc_status.h"
#include "grpc/support/time.h"
#include "grpcpp/alarm.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/async_stream.h"

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

// One attempt. Of its operations one at a time is under way, and none while the consumer has a
// batch, since the next read is asked for later and on any thread.
class EventStream::Call final : public CompletionThread::Operation {
 public:
  explicit Call(EventStream& stream) : stream_(stream) {}

  void Start(v1::EventService::Stub& stub, const v1::SubscribeRequest& request,
             std::shared_ptr<Call> self) {
    self_ = std::move(self);
    PrepareCall(stream_.options_.labels, absl::InfiniteDuration(), context_);
    reader_ = stub.PrepareAsyncSubscribe(&context_, request, &stream_.thread_.queue());
    step_ = &Call::OnStarted;
    reader_->StartCall(this);
  }
  void Read() {
    batch_ = std::make_unique<v1::SubscribeResponse>();
    step_ = &Call::OnRead;
    reader_->Read(batch_.get(), this);
  }
  std::unique_ptr<v1::SubscribeResponse> TakeBatch() { return std::move(batch_); }
  void Cancel() { context_.TryCancel(); }
  // Asks for how it ended. Only once, and no Read after it.
  void Finish() {
    step_ = &Call::OnFinished;
    reader_->Finish(&status_, this);
  }

 private:
  void OnCompleted(bool ok) override { (this->*step_)(ok); }
  void OnStarted(bool ok) { ok ? Read() : Finish(); }
  void OnRead(bool ok) { stream_.OnRead(*this, ok); }
  void OnFinished(bool /*ok*/) {
    const std::shared_ptr<Call> self = std::move(self_);
    stream_.OnCallDone(FromRpc(status_));
  }

  EventStream& stream_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReader<v1::SubscribeResponse>> reader_;
  void (Call::*step_)(bool ok) = nullptr;  // what follows the operation that is under way
  std::unique_ptr<v1::SubscribeResponse> batch_;
  grpc::Status status_;
  std::shared_ptr<Call> self_;  // until it has finished
};

class EventStream::Timer final : public CompletionThread::Operation {
 public:
  Timer(EventStream& stream, void (EventStream::*then)()) : stream_(stream), then_(then) {}

  void Start(absl::Duration delay, std::shared_ptr<Timer> self) {
    self_ = std::move(self);
    alarm_.Set(&stream_.thread_.queue(),
               gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                            gpr_time_from_micros(absl::ToInt64Microseconds(delay), GPR_TIMESPAN)),
               this);
  }
  void Cancel() { alarm_.Cancel(); }

 private:
  void OnCompleted(bool fired) override {
    const std::shared_ptr<Timer> self = std::move(self_);
    fired ? (stream_.*then_)() : stream_.Leave();
  }

  EventStream& stream_;
  void (EventStream::*const then_)();
  grpc::Alarm alarm_;
  std::shared_ptr<Timer> self_;  // until it has fired or was cancelled
};

EventStream::EventStream(const std::shared_ptr<grpc::Channel>& channel, CompletionThread& thread,
                         EventStreamOptions options, Consumer& consumer)
    : stub_(v1::EventService::NewStub(channel)),
      thread_(thread),
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
    if (held_by_consumer) call->Finish();
  }
  MutexLock lock(mutex_);
  while (under_way_ > 0) left_.Wait(mutex_);
}

// Consumes one count of under_way_, which the call takes over.
void EventStream::StartCall() {
  std::shared_ptr<Call> call;
  v1::SubscribeRequest request;
  {
    MutexLock lock(mutex_);
    if (!stopping_) {
      request = Request();
      call = std::make_shared<Call>(*this);
      call_ = call;
      reading_ = true;
      reading_since_ = Clock::Real().Monotonic();
      SetTimer(options_.silence, &EventStream::CheckSilence);
    }
  }
  if (call == nullptr) return Leave();
  call->Start(*stub_, request, call);
}

void EventStream::OnRead(Call& call, bool ok) {
  std::unique_ptr<v1::SubscribeResponse> batch;
  {
    MutexLock lock(mutex_);
    if (ok && !stopping_) {
      reading_ = false;
      batch = call.TakeBatch();
      Advance(*batch);
      // That it waits for its snapshot is no sign that the next try will fare better.
      const bool waits = start_.kind == StreamStart::Kind::kSnapshot && !batch->has_snapshot();
      if (!waits) backoff_ = options_.first_backoff;
    }
  }
  if (batch == nullptr) return call.Finish();
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
      absl::Duration delay = backoff_ * IdSource::Real().Fraction();
      if (absl::IsResourceExhausted(status)) {
        delay = std::max(delay, DetailOf(status).retry_after.value_or(absl::ZeroDuration()));
      }
      SetTimer(delay, &EventStream::StartCall);
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
  timer_ = std::make_shared<Timer>(*this, then);
  timer_->Start(delay, timer_);
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
