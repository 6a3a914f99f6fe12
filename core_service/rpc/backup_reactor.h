#ifndef AGENTDESK_CORE_SERVICE_RPC_BACKUP_REACTOR_H_
#define AGENTDESK_CORE_SERVICE_RPC_BACKUP_REACTOR_H_

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "agentdesk/v1/admin.pb.h"
#include "core_service/desk/desk.h"
#include "core_service/rpc/access.h"
#include "core_service/rpc/stream_call.h"

namespace agentdesk::rpc {

// AdminService.Backup: the skin of a store::Copy. The work is done in short pieces on the threads
// that read, one at a time, so that a backup takes turns with everybody else's reads, and ends soon
// when its client is gone or the server drains.
class BackupReactor final : public StreamCall {
 public:
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(const Backend& backend,
                                                           grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer& request);
  BackupReactor(desk::Desk& desk, LiveCalls& calls, grpc::CallbackServerContext* context);

 private:
  // What one piece of work came to: the next response, or none yet.
  struct Piece {
    v1::BackupResponse response;
    bool last = false;
  };

  void StartWorkLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // On a thread that reads, which has the copy and the hash to itself meanwhile.
  void Work(store::Store& store) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<Piece> NextPiece(store::Store& store);

  void PumpLocked() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ProgressLocked(bool idle) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string ResumeLocked() const override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  struct FreeHash {
    void operator()(EVP_MD_CTX* context) const;
  };

  desk::Desk& desk_;
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;           // the request was read
  bool working_ ABSL_GUARDED_BY(mutex_) = false;         // a thread is at it, or will be
  bool last_ ABSL_GUARDED_BY(mutex_) = false;            // `end` was written, or is about to be
  std::unique_ptr<Piece> next_ ABSL_GUARDED_BY(mutex_);  // to be written

  // The working thread's.
  std::unique_ptr<store::Copy> copy_;
  const std::unique_ptr<EVP_MD_CTX, FreeHash> hash_;
  int64_t size_ = 0;
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_BACKUP_REACTOR_H_
