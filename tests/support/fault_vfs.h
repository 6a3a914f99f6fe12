#ifndef AGENTDESK_TESTS_SUPPORT_FAULT_VFS_H_
#define AGENTDESK_TESTS_SUPPORT_FAULT_VFS_H_

#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "core_service/base/mutex.h"

namespace agentdesk::testing {

// A file layer of SQLite over the system's own, with two kinds of fault: an operation that fails,
// and a loss of power. For the second it keeps, beside the real files, what the disk is bound to
// hold (the state of the last sync) and what was written since; after a loss any part of the latter
// may have arrived. Writes within one file arrive in any order when they do not overlap, and may be
// cut or torn at sectors; that a file was made or deleted is sure once the directory was synced,
// which SQLite does with the first sync of a journal. What a sync has failed for never arrives, as
// on Linux: later reads see it, later syncs pass it over. SQLite's shared-memory file is not kept:
// it is made anew. Nothing is synced to the real disk. Registers itself under name() while it
// lives. Thread-safe.
class FaultVfs {
 public:
  enum class Operation { kOpen, kWrite, kSync };
  enum class Failure { kIoError, kNoSpace };
  static constexpr int kOperations = 3;

  FaultVfs();
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  const std::string& name() const { return name_; }

  // Makes the `n`-th operation of this kind from now on fail, counted from 1, and with `sticky`
  // every one of the kind after it. Truncation and deletion count as writes.
  void FailAt(Operation operation, int64_t n, Failure failure, bool sticky);
  // How many operations of this kind there were.
  int64_t Count(Operation operation) const;
  // Calls `stall` in place of the next sync, which goes on when it returns: a disk that is slow for
  // as long as the test wants.
  void StallNextSync(std::function<void()> stall);
  // Whether an operation was made to fail.
  bool failed() const;

  // Cuts the power before the `n`-th write or sync from now on: from there on nothing works.
  void CutPowerAt(int64_t n);
  bool power_is_cut() const;
  // Makes everything work again: only the process had ended, and another one starts. It finds all
  // that was written; what the disk would hold after a loss of power stays what it was.
  void StartAgain();
  // Writes into a directory what the disk holds after the loss; the choice follows from `seed`.
  void WriteDiskAfterLoss(const std::string& directory, uint64_t seed) const;

 private:
  friend struct FaultFileMethods;

  struct Change {
    enum class Kind { kWrite, kTruncate, kDelete } kind;
    int64_t offset = 0;  // for kTruncate: the size
    std::string bytes;
  };
  struct Disk {
    bool exists = false;           // for sure
    std::string bytes;             // for sure
    std::vector<Change> unsynced;  // perhaps
  };
  struct Fault {
    int64_t at = 0;  // 0: none
    Failure failure = Failure::kIoError;
    bool sticky = false;
  };

  void Stall();
  // Counts an operation. SQLITE_OK: go on.
  int Before(Operation operation, int io_error_code);
  void Record(const std::string& path, Change change);
  void Synced(const std::string& path);
  void SyncFailed(const std::string& path);
  void DirectorySynced();

  static void Apply(Disk& disk, const Change& change);
  static Disk AfterLoss(Disk disk, uint64_t seed);

  const std::string name_;
  sqlite3_vfs* const base_;
  sqlite3_vfs vfs_;

  mutable Mutex mutex_;
  std::map<std::string, Disk> disks_ ABSL_GUARDED_BY(mutex_);
  std::array<int64_t, kOperations> counts_ ABSL_GUARDED_BY(mutex_) = {};
  std::array<Fault, kOperations> faults_ ABSL_GUARDED_BY(mutex_) = {};
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> stall_ ABSL_GUARDED_BY(mutex_);
  int64_t power_lasts_ ABSL_GUARDED_BY(mutex_) = INT64_MAX;  // in writes and syncs
  bool power_is_cut_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace agentdesk::testing

#endif  // AGENTDESK_TESTS_SUPPORT_FAULT_VFS_H_
