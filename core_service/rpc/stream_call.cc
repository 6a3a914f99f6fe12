#include "core_service/rpc/stream_call.h"

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/base/log.h"
#include "core_service/base/token_verifier.h"
#include "core_service/rpc/grpc_status.h"
#include "grpc/grpc.h"

namespace agentdesk::rpc {
namespace {

absl::Status Threw(const std::exception& error) {
  LogError("a stream threw", {{"error", error.what()}});
  return absl::InternalError("the stream failed inside the core");
}

}  // namespace

bool StreamCall::Enter() {
  self_ = shared_from_this();
  calls_.BeginStream();
  const bool taken = calls_.Add(self_);
  if (!taken) Drain();
  return taken;
}

void StreamCall::Pump() {
  MutexLock lock(mutex_);
  PumpIfIdleLocked();
}

void StreamCall::PumpIfIdleLocked() {
  if (!can_write()) return;
  try {
    PumpLocked();
  } catch (const std::exception& error) {
    FinishLocked(Threw(error));
  }
}

void StreamCall::Finish(const absl::Status& status) {
  MutexLock lock(mutex_);
  FinishLocked(status);
}

absl::StatusOr<desk::Caller> StreamCall::Admit(const Backend& backend, absl::string_view request) {
  absl::StatusOr<desk::Caller> caller = backend.access.Admit(*context_, request);
  if (!caller.ok()) return caller;
  absl::StatusOr<CallLimits::Place> place = backend.limits.EnterStream(caller->identity);
  if (!place.ok()) return place.status();
  MutexLock lock(mutex_);
  ends_with_certificate_ = caller->expires_at < absl::InfiniteFuture() &&
                           caller->expires_at == backend.access.CertificateEnd(*context_);
  ends_at_ = calls_.Now() + (caller->expires_at - backend.desk.clock().Now());
  if (!finished_) place_.emplace(*std::move(place));
  return caller;
}

void StreamCall::WriteLocked(grpc::ByteBuffer message) {
  buffer_.Swap(&message);
  writing_ = true;
  write_started_ = calls_.Now();
  StartWrite(&buffer_);
}

void StreamCall::FinishLocked(const absl::Status& status) {
  if (finished_) return;
  finished_ = true;
  LeaveLocked();
  place_.reset();
  calls_.Remove(this);
  calls_.observer().Ended(call_, status);
  grpc::ServerWriteReactor<grpc::ByteBuffer>::Finish(ToGrpc(status));
}

void StreamCall::OnWriteDone(bool ok) {
  MutexLock lock(mutex_);
  writing_ = false;
  last_write_time_ = calls_.Now() - write_started_;
  if (!ok) return FinishLocked(absl::CancelledError("the client is gone"));
  PumpIfIdleLocked();
}

void StreamCall::OnCancel() { Finish(absl::CancelledError("the client cancelled")); }

void StreamCall::OnDone() {
  calls_.EndStream();
  // May destroy this.
  const std::shared_ptr<StreamCall> last = std::move(self_);
}

void StreamCall::OnTick(absl::Duration now) {
  MutexLock lock(mutex_);
  if (finished_) return;
  try {
    TickLocked(now);
  } catch (const std::exception& error) {
    FinishLocked(Threw(error));
  }
}

void StreamCall::CutLocked(const absl::Status& status) {
  // The status of Finish would wait behind the stuck write; a cancel with a status overtakes it,
  // and it frees what the write holds.
  if (writing_) {
    grpc_call_cancel_with_status(context_->c_call(),
                                 static_cast<grpc_status_code>(status.raw_code()),
                                 std::string(status.message()).c_str(), nullptr);
  }
  FinishLocked(status);
}

void StreamCall::TickLocked(absl::Duration now) {
  if (now >= ends_at_) {
    return CutLocked(ErrorWithReason(
        absl::StatusCode::kUnauthenticated,
        ends_with_certificate_ ? kCertificateExpired : kTokenExpired,
        absl::StrCat(ends_with_certificate_ ? "the client certificate" : "the token",
                     " has expired; come back with a fresh one. ", ResumeLocked())));
  }
  if (const absl::Status stay = CheckStayLocked(); !stay.ok()) return CutLocked(stay);
  const absl::Duration age = now - write_started_;
  if (!writing_) return ProgressLocked(age >= kProgressAge);
  if (age < kMaxWrite) return;
  const std::string text = absl::StrCat("the client has not read for ",
                                        absl::ToInt64Seconds(kMaxWrite), " s. ", ResumeLocked());
  CutLocked(ErrorWithReason(absl::StatusCode::kUnavailable, "slow_reader", text));
}

void StreamCall::Drain() {
  MutexLock lock(mutex_);
  try {
    // A last word, so that the client goes on from as late as it can.
    if (can_write()) ProgressLocked(true);
  } catch (const std::exception& error) {
    FinishLocked(Threw(error));
  }
  if (finished_) return;
  FinishLocked(Draining(ResumeLocked()));
}

}  // namespace agentdesk::rpc
