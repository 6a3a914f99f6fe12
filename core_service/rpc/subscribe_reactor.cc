#include "core_service/rpc/subscribe_reactor.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/rpc/message_bytes.h"
#include "grpcpp/support/slice.h"

namespace agentdesk::rpc {
namespace {

constexpr size_t kMaxBatchBytes = 256 * 1024;
constexpr absl::Duration kQuickWrite = absl::Seconds(1);
constexpr absl::Duration kSlowWrite = absl::Seconds(5);
// More pieces than this (a filter that lets every other event pass) cost more by reference, each
// with two allocations, than the bytes do when they are copied.
constexpr size_t kMaxPieces = 32;

events::Subscription::Limits LimitsOf(size_t batch_bytes) {
  events::Subscription::Limits limits;
  limits.max_bytes = batch_bytes;
  return limits;
}

using Owner = std::shared_ptr<const void>;

grpc::Slice SliceOf(const events::Piece& piece) {
  return grpc::Slice(
      const_cast<char*>(piece.bytes.data()), piece.bytes.size(),
      [](void* owner) { delete static_cast<Owner*>(owner); }, new Owner(piece.owner));
}

grpc::Slice CopyOf(const std::vector<events::Piece>& pieces) {
  size_t size = 0;
  for (const events::Piece& piece : pieces) size += piece.bytes.size();
  grpc::Slice slice(size);
  auto* to = const_cast<uint8_t*>(slice.begin());
  for (const events::Piece& piece : pieces)
    to = std::copy(piece.bytes.begin(), piece.bytes.end(), to);
  return slice;
}

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* SubscribeReactor::Start(
    const Backend& backend, grpc::CallbackServerContext* context, const grpc::ByteBuffer& request) {
  const auto reactor = std::make_shared<SubscribeReactor>(backend.desk, backend.calls, context);
  if (reactor->Enter()) {
    const absl::StatusOr<desk::Caller> caller =
        reactor->Admit(backend, v1::SubscribeRequest::descriptor()->full_name());
    absl::Status status = caller.status();
    if (status.ok()) status = reactor->Begin(*caller, request);
    if (!status.ok()) reactor->Finish(status);
  }
  return reactor.get();
}

absl::Status SubscribeReactor::Begin(const desk::Caller& caller, const grpc::ByteBuffer& bytes) {
  v1::SubscribeRequest request;
  if (absl::Status status = Parse(bytes, request); !status.ok()) return status;
  absl::StatusOr<events::Filter> filter = events::Filter::Create(request.filter());
  if (!filter.ok()) return filter.status();
  int64_t after = request.after_sequence();
  switch (request.start_case()) {
    case v1::SubscribeRequest::kSnapshot:
      if (!request.snapshot()) return InvalidField("snapshot", "must be true where it is set");
      AwaitSnapshot(caller, *std::move(filter));
      return absl::OkStatus();
    case v1::SubscribeRequest::kLive:
      if (!request.live()) return InvalidField("live", "must be true where it is set");
      after = desk_.log().head();
      break;
    case v1::SubscribeRequest::kAfterSequence:
    case v1::SubscribeRequest::START_NOT_SET:
      if (after < 0) return InvalidField("after_sequence", "must be 0 or more");
      if (absl::Status status = desk_.CheckPosition(request.desk_id(), after); !status.ok()) {
        return status;
      }
      break;
  }
  MutexLock lock(mutex_);
  if (!finished()) FollowLocked(caller, *std::move(filter), after);
  return absl::OkStatus();
}

void SubscribeReactor::AwaitSnapshot(const desk::Caller& caller, events::Filter filter) {
  {
    MutexLock lock(mutex_);
    if (finished()) return;
    snapshot_open_ = true;
    // The client learns at once that it will be served, though this may take a while.
    WriteProgressLocked();
  }
  const v1::EventFilter tickets = filter.proto();
  desk_.TakeSnapshot(
      caller, tickets,
      [self = Self(), caller, filter = std::move(filter)](absl::StatusOr<Parts> parts) mutable {
        self->BeginWithSnapshot(caller, std::move(filter), std::move(parts));
      },
      [self = Self()] { return self->WantsSnapshot(); });
}

bool SubscribeReactor::WantsSnapshot() {
  MutexLock lock(mutex_);
  return !finished();
}

void SubscribeReactor::BeginWithSnapshot(const desk::Caller& caller, events::Filter filter,
                                         absl::StatusOr<Parts> parts) {
  MutexLock lock(mutex_);
  if (finished()) return;
  if (!parts.ok()) return FinishLocked(parts.status());
  snapshot_ = *std::move(parts);
  FollowLocked(caller, std::move(filter), snapshot_->sequence);
}

void SubscribeReactor::FollowLocked(const desk::Caller& caller, events::Filter filter,
                                    int64_t after) {
  identity_ = caller.identity;
  cursor_ =
      std::make_shared<events::Subscription>(desk_.Subscribe(caller, std::move(filter), after));
  cursor_->set_limits(LimitsOf(batch_bytes_));
  complete_up_to_ = after;
  told_up_to_ = after;
  PumpIfIdleLocked();
  // The client learns at once that it is subscribed, and from where.
  if (can_write()) WriteProgressLocked();
}

void SubscribeReactor::PumpLocked() {
  if (snapshot_ != nullptr) return WritePartLocked();
  if (cursor_ != nullptr) snapshot_open_ = false;
  while (cursor_ != nullptr && !reading_) {
    Batch batch;
    const bool read_ahead = read_.has_value();
    if (read_ahead) {
      batch = *std::move(read_);
      read_.reset();
    } else {
      batch = cursor_->Next(Self());
    }
    switch (batch.found) {
      case events::EventLog::Found::kWaiting:
        return;
      case events::EventLog::Found::kInStore:
        return StartReadLocked();
      case events::EventLog::Found::kCompacted:
        return FinishUnservedLocked();
      case events::EventLog::Found::kEvents:
        complete_up_to_ = batch.up_to;
        if (batch.pieces.empty()) break;
        WriteBatchLocked(batch);
        if (read_ahead) ReadAheadLocked();
        return;
    }
  }
}

void SubscribeReactor::FitBatchesLocked() {
  if (last_write_time() < kQuickWrite) {
    batch_bytes_ = std::min(batch_bytes_ * 2, kMaxBatchBytes);
  } else if (last_write_time() > kSlowWrite) {
    const double fits =
        static_cast<double>(batch_bytes_) * absl::FDivDuration(kSlowWrite, last_write_time());
    batch_bytes_ = std::max(static_cast<size_t>(fits), kMinBatchBytes);
  }
  cursor_->set_limits(LimitsOf(batch_bytes_));
}

// While a batch of the store's is on its way, the next one is read: a replay then takes the longer
// of the two times and not their sum.
void SubscribeReactor::ReadAheadLocked() {
  Batch batch = cursor_->Next(Self());
  if (batch.found == events::EventLog::Found::kInStore) return StartReadLocked();
  if (batch.found != events::EventLog::Found::kWaiting) read_ = std::move(batch);
}

void SubscribeReactor::StartReadLocked() {
  reading_ = true;
  const absl::Status posted = desk_.PostReplay(
      identity_,
      [self = Self(), cursor = cursor_](store::Store& store) { self->ReadStore(*cursor, store); });
  // Too much waits: the next tick tries again. The stream is only late.
  if (!posted.ok()) reading_ = false;
}

void SubscribeReactor::ReadStore(events::Subscription& cursor, store::Store& store) {
  try {
    TakeRead(cursor.ReadStore(store));
  } catch (const std::exception& error) {
    TakeRead(absl::InternalError(absl::StrCat("reading the log: ", error.what())));
  }
}

void SubscribeReactor::TakeRead(absl::StatusOr<Batch> batch) {
  MutexLock lock(mutex_);
  reading_ = false;
  if (finished()) return;
  if (!batch.ok()) return FinishLocked(batch.status());
  read_ = *std::move(batch);
  PumpIfIdleLocked();
}

void SubscribeReactor::ProgressLocked(bool idle) {
  PumpLocked();
  if (!can_write() || (cursor_ == nullptr && !snapshot_open_)) return;
  if (idle || complete_up_to_ > told_up_to_) WriteProgressLocked();
}

void SubscribeReactor::WritePartLocked() {
  v1::SubscribeResponse response;
  response.set_desk_id(desk_.desk_id());
  response.set_up_to_sequence(snapshot_->sequence);
  *response.mutable_time() = ToProto(desk_.clock().Now());
  *response.mutable_snapshot() = snapshot_->parts[next_part_];
  if (++next_part_ == snapshot_->parts.size()) snapshot_ = nullptr;
  WriteLocked(Encode(response));
}

void SubscribeReactor::WriteBatchLocked(const Batch& batch) {
  FitBatchesLocked();
  std::vector<grpc::Slice> slices;
  if (batch.pieces.size() > kMaxPieces) {
    slices.push_back(CopyOf(batch.pieces));
  } else {
    for (const events::Piece& piece : batch.pieces) slices.push_back(SliceOf(piece));
  }
  slices.push_back(PositionLocked());
  WriteLocked(grpc::ByteBuffer(slices.data(), slices.size()));
}

void SubscribeReactor::WriteProgressLocked() {
  const grpc::Slice position = PositionLocked();
  WriteLocked(grpc::ByteBuffer(&position, 1));
}

grpc::Slice SubscribeReactor::PositionLocked() {
  v1::SubscribeResponse response;
  response.set_desk_id(desk_.desk_id());
  response.set_up_to_sequence(complete_up_to_);
  *response.mutable_time() = ToProto(desk_.clock().Now());
  told_up_to_ = complete_up_to_;
  return EncodeSlice(response);
}

void SubscribeReactor::FinishUnservedLocked() {
  const absl::Status status = desk_.CheckPosition(desk_.desk_id(), complete_up_to_);
  FinishLocked(status.ok() ? absl::InternalError("the log lost a position") : status);
}

void SubscribeReactor::LeaveLocked() {
  // While a thread reads, the cursor is that thread's and waits nowhere.
  if (cursor_ != nullptr && !reading_) cursor_->Forget(Self());
  snapshot_ = nullptr;
  read_.reset();
}

absl::Status SubscribeReactor::CheckStayLocked() {
  if (snapshot_ == nullptr || !snapshot_->called_in) return absl::OkStatus();
  return ErrorWithReason(
      absl::StatusCode::kUnavailable, "slow_reader",
      absl::StrCat("others need the memory that this snapshot takes. ", ResumeLocked()));
}

std::optional<int64_t> SubscribeReactor::position() {
  MutexLock lock(mutex_);
  if (cursor_ == nullptr || finished()) return std::nullopt;
  return complete_up_to_;
}

std::string SubscribeReactor::ResumeLocked() const {
  if (cursor_ == nullptr) return "Subscribe again.";
  if (snapshot_open_) {
    return absl::StrCat(
        "Unless the last part of the snapshot was received, take it again; else resume after its "
        "up_to_sequence, ",
        complete_up_to_, ", of desk ", desk_.desk_id(), ".");
  }
  return absl::StrCat("Resume after the last up_to_sequence that was received, ", told_up_to_,
                      " at the latest, of desk ", desk_.desk_id(), ".");
}

}  // namespace agentdesk::rpc
