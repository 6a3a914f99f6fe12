#include "core_service/rpc/receive_input_reactor.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/timestamp.h"
#include "core_service/rpc/message_bytes.h"

namespace agentdesk::rpc {

grpc::ServerWriteReactor<grpc::ByteBuffer>* ReceiveInputReactor::Start(
    const Backend& backend, grpc::CallbackServerContext* context, const grpc::ByteBuffer& request) {
  const auto reactor = std::make_shared<ReceiveInputReactor>(backend.desk, backend.calls, context);
  if (reactor->Enter()) {
    const absl::StatusOr<desk::Caller> caller =
        reactor->Admit(backend, v1::ReceiveInputRequest::descriptor()->full_name());
    absl::Status status = caller.status();
    if (status.ok()) status = reactor->Begin(*caller, request);
    if (!status.ok()) reactor->Finish(status);
  }
  return reactor.get();
}

absl::Status ReceiveInputReactor::Begin(const desk::Caller& caller, const grpc::ByteBuffer& bytes) {
  v1::ReceiveInputRequest request;
  if (absl::Status status = Parse(bytes, request); !status.ok()) return status;
  return desk_.PostInput([self = Self(), caller, request = std::move(request)](
                             store::Store& store) { self->Open(caller, request, store); });
}

void ReceiveInputReactor::Open(const desk::Caller& caller, const v1::ReceiveInputRequest& request,
                               store::Store& store) {
  absl::StatusOr<std::unique_ptr<desk::AgentInput>> input = absl::UnknownError("");
  try {
    input = desk::AgentInput::Open(desk_, caller, request, store);
  } catch (const std::exception& error) {
    input = absl::InternalError(absl::StrCat("reading the input: ", error.what()));
  }
  if (!input.ok()) return Finish(input.status());
  MutexLock lock(mutex_);
  if (finished()) return;
  input_ = *std::move(input);
  read_up_to_ = written_up_to_ = request.after_sequence();
  more_ = true;
  PumpIfIdleLocked();
  // The worker learns at once that its lease holds.
  if (can_write()) WriteProgressLocked();
}

void ReceiveInputReactor::Read(desk::AgentInput& input, store::Store& store) {
  try {
    TakeRead(input.Next(Self(), store));
  } catch (const std::exception& error) {
    TakeRead(absl::InternalError(absl::StrCat("reading the input: ", error.what())));
  }
}

void ReceiveInputReactor::TakeRead(absl::StatusOr<Batch> batch) {
  MutexLock lock(mutex_);
  reading_ = false;
  if (finished()) return input_->Forget(Self());
  if (!batch.ok()) return FinishLocked(batch.status());
  // An event may have come after the input was found empty and before this point.
  more_ = more_ || !batch->waiting;
  ended_ = batch->ended;
  inputs_ = std::move(batch->inputs);
  read_up_to_ = std::max(read_up_to_, batch->up_to);
  PumpIfIdleLocked();
}

void ReceiveInputReactor::OnEvents() {
  MutexLock lock(mutex_);
  more_ = true;
  PumpIfIdleLocked();
}

void ReceiveInputReactor::PumpLocked() {
  if (!inputs_.empty()) {
    const v1::ReceiveInputResponse input = std::move(inputs_.front());
    inputs_.pop_front();
    written_up_to_ = std::max(written_up_to_, input.sequence());
    return WriteLocked(Encode(input));
  }
  if (ended_) return FinishLocked(absl::OkStatus());
  if (input_ == nullptr || reading_ || !more_) return;
  more_ = false;
  if (input_->Skip(Self())) {
    read_up_to_ = std::max(read_up_to_, input_->position());
    return;
  }
  reading_ = true;
  const absl::Status posted = desk_.PostInput(
      [self = Self(), input = input_](store::Store& store) { self->Read(*input, store); });
  if (posted.ok()) return;
  // Too much waits: the next tick tries again.
  reading_ = false;
  more_ = true;
}

void ReceiveInputReactor::ProgressLocked(bool idle) {
  PumpLocked();
  if (idle && can_write() && input_ != nullptr) WriteProgressLocked();
}

void ReceiveInputReactor::WriteProgressLocked() {
  v1::ReceiveInputResponse progress;
  written_up_to_ = std::max(written_up_to_, read_up_to_);
  progress.set_sequence(written_up_to_);
  *progress.mutable_time() = ToProto(desk_.clock().Now());
  WriteLocked(Encode(progress));
}

void ReceiveInputReactor::LeaveLocked() {
  // While a thread reads, the input is that thread's.
  if (input_ != nullptr && !reading_) input_->Forget(Self());
  inputs_.clear();
}

std::string ReceiveInputReactor::ResumeLocked() const {
  return absl::StrCat("Call again after the last sequence that was received, ", written_up_to_,
                      " at the latest.");
}

}  // namespace agentdesk::rpc
