#include "core_service/rpc/backup_reactor.h"

#include <openssl/evp.h>

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/log.h"
#include "core_service/base/timestamp.h"
#include "core_service/rpc/message_bytes.h"

namespace agentdesk::rpc {

void BackupReactor::FreeHash::operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }

grpc::ServerWriteReactor<grpc::ByteBuffer>* BackupReactor::Start(
    const Backend& backend, grpc::CallbackServerContext* context, const grpc::ByteBuffer& bytes) {
  const auto reactor = std::make_shared<BackupReactor>(backend.desk, backend.calls, context);
  if (!reactor->Enter()) return reactor.get();
  const absl::StatusOr<desk::Caller> caller =
      reactor->Admit(backend, v1::BackupRequest::descriptor()->full_name());
  v1::BackupRequest request;
  absl::Status status = caller.status();
  if (status.ok()) status = Parse(bytes, request);
  if (!status.ok()) {
    reactor->Finish(status);
    return reactor.get();
  }
  MutexLock lock(reactor->mutex_);
  reactor->begun_ = true;
  reactor->PumpIfIdleLocked();
  return reactor.get();
}

BackupReactor::BackupReactor(desk::Desk& desk, LiveCalls& calls,
                             grpc::CallbackServerContext* context)
    : StreamCall(calls, *v1::BackupRequest::descriptor(), context),
      desk_(desk),
      hash_(EVP_MD_CTX_new()) {
  EVP_DigestInit_ex(hash_.get(), EVP_sha256(), nullptr);
}

void BackupReactor::PumpLocked() {
  if (!begun_) return;
  if (next_ != nullptr) {
    const std::unique_ptr<Piece> piece = std::move(next_);
    last_ = piece->last;
    return WriteLocked(Encode(piece->response));
  }
  if (last_) return FinishLocked(absl::OkStatus());
  if (!working_) StartWorkLocked();
}

void BackupReactor::ProgressLocked(bool idle) {
  PumpLocked();
  if (idle && can_write()) WriteLocked(Encode(v1::BackupResponse()));
}

void BackupReactor::StartWorkLocked() {
  working_ = true;
  auto self = std::static_pointer_cast<BackupReactor>(shared_from_this());
  const absl::Status posted =
      desk_.PostRead([self = std::move(self)](store::Store& store) { self->Work(store); });
  // Too much waits: the next tick tries again.
  if (!posted.ok()) working_ = false;
}

void BackupReactor::Work(store::Store& store) {
  absl::StatusOr<Piece> piece = absl::InternalError("the backup failed inside the core");
  try {
    piece = NextPiece(store);
  } catch (const std::exception& error) {
    LogError("a backup threw", {{"error", error.what()}});
  }
  MutexLock lock(mutex_);
  working_ = false;
  if (finished()) {
    // Gone already: nobody else would let go of the disk before gRPC does.
    copy_ = nullptr;
    return;
  }
  if (!piece.ok()) return FinishLocked(piece.status());
  if (piece->response.part_case() == v1::BackupResponse::PART_NOT_SET) return StartWorkLocked();
  next_ = std::make_unique<Piece>(*std::move(piece));
  PumpIfIdleLocked();
}

absl::StatusOr<BackupReactor::Piece> BackupReactor::NextPiece(store::Store& store) {
  Piece piece;
  if (copy_ == nullptr) {
    absl::StatusOr<std::unique_ptr<store::Copy>> copy = store.BeginCopy();
    if (!copy.ok()) return copy.status();
    copy_ = *std::move(copy);
    v1::BackupBegin& begin = *piece.response.mutable_begin();
    begin.set_desk_id(store.desk_id());
    begin.set_sequence(copy_->head());
    *begin.mutable_time() = ToProto(desk_.clock().Now());
    LogInfo("a backup begins", {{"sequence", copy_->head()}});
    return piece;
  }
  absl::StatusOr<std::string> bytes = copy_->Next();
  if (!bytes.ok()) return bytes.status();
  if (copy_->done()) {
    v1::BackupEnd& end = *piece.response.mutable_end();
    end.set_size(size_);
    std::string& digest = *end.mutable_sha256();
    digest.resize(32);
    EVP_DigestFinal_ex(hash_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr);
    piece.last = true;
    LogInfo("a backup was sent", {{"sequence", copy_->head()}, {"bytes", size_}});
  } else if (!bytes->empty()) {
    EVP_DigestUpdate(hash_.get(), bytes->data(), bytes->size());
    size_ += static_cast<int64_t>(bytes->size());
    piece.response.set_data(*std::move(bytes));
  }
  return piece;
}

std::string BackupReactor::ResumeLocked() const { return "Begin the backup again."; }

}  // namespace agentdesk::rpc
