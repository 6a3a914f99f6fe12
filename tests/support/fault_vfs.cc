#include "tests/support/fault_vfs.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"

namespace agentdesk::testing {
namespace {

constexpr int64_t kSectorBytes = 512;

std::string UniqueName() {
  static std::atomic<int> count = 0;
  return absl::StrCat("fault-", ++count);
}

}  // namespace

// SQLite's methods of a file and of the layer, in terms of the real ones.
struct FaultFileMethods {
  // SQLite allocates this with room for the real file behind it.
  struct File {
    sqlite3_file base;
    FaultVfs* vfs;
    std::string* path;
    sqlite3_file* real;
    bool syncs_directory;  // at its next sync, as the system's layer does for a new journal
  };

  static File& Of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static sqlite3_file* Real(sqlite3_file* file) { return Of(file).real; }
  static FaultVfs& Layer(sqlite3_vfs* vfs) { return *static_cast<FaultVfs*>(vfs->pAppData); }

  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    FaultVfs& layer = Layer(vfs);
    file->pMethods = nullptr;
    if (int code = layer.Before(FaultVfs::Operation::kOpen, SQLITE_CANTOPEN); code != SQLITE_OK) {
      return code;
    }
    File& opened = Of(file);
    opened.real = reinterpret_cast<sqlite3_file*>(&opened + 1);
    const int code = layer.base_->xOpen(layer.base_, name, opened.real, flags, out);
    if (code != SQLITE_OK) {
      if (opened.real->pMethods != nullptr) opened.real->pMethods->xClose(opened.real);
      return code;
    }
    opened.vfs = &layer;
    opened.path = new std::string(name == nullptr ? "" : name);
    opened.syncs_directory = (flags & SQLITE_OPEN_CREATE) != 0 &&
                             (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
    file->pMethods = &kMethods;
    return SQLITE_OK;
  }
  static int Delete(sqlite3_vfs* vfs, const char* name, int sync_directory) {
    FaultVfs& layer = Layer(vfs);
    if (int code = layer.Before(FaultVfs::Operation::kWrite, SQLITE_IOERR_DELETE);
        code != SQLITE_OK) {
      return code;
    }
    const int code = layer.base_->xDelete(layer.base_, name, sync_directory);
    if (code == SQLITE_OK) {
      layer.Record(name, {FaultVfs::Change::Kind::kDelete, 0, {}});
      if (sync_directory != 0) layer.DirectorySynced();
    }
    return code;
  }

  static int Close(sqlite3_file* file) {
    delete Of(file).path;
    return Real(file)->pMethods->xClose(Real(file));
  }
  static int Read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
    if (Of(file).vfs->power_is_cut()) return SQLITE_IOERR_READ;
    return Real(file)->pMethods->xRead(Real(file), to, size, offset);
  }
  static int Write(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
    FaultVfs& layer = *Of(file).vfs;
    if (int code = layer.Before(FaultVfs::Operation::kWrite, SQLITE_IOERR_WRITE);
        code != SQLITE_OK) {
      return code;
    }
    const int code = Real(file)->pMethods->xWrite(Real(file), from, size, offset);
    if (code == SQLITE_OK) {
      layer.Record(*Of(file).path,
                   {FaultVfs::Change::Kind::kWrite, offset,
                    std::string(static_cast<const char*>(from), static_cast<size_t>(size))});
    }
    return code;
  }
  static int Truncate(sqlite3_file* file, sqlite3_int64 size) {
    FaultVfs& layer = *Of(file).vfs;
    if (int code = layer.Before(FaultVfs::Operation::kWrite, SQLITE_IOERR_TRUNCATE);
        code != SQLITE_OK) {
      return code;
    }
    const int code = Real(file)->pMethods->xTruncate(Real(file), size);
    if (code == SQLITE_OK) {
      layer.Record(*Of(file).path, {FaultVfs::Change::Kind::kTruncate, size, {}});
    }
    return code;
  }
  // The real file is not synced: that it outlives the process is all that tests need of it.
  static int Sync(sqlite3_file* file, int) {
    FaultVfs& layer = *Of(file).vfs;
    layer.Stall();
    if (int code = layer.Before(FaultVfs::Operation::kSync, SQLITE_IOERR_FSYNC);
        code != SQLITE_OK) {
      layer.SyncFailed(*Of(file).path);
      return code;
    }
    layer.Synced(*Of(file).path);
    if (std::exchange(Of(file).syncs_directory, false)) layer.DirectorySynced();
    return SQLITE_OK;
  }
  static int FileSize(sqlite3_file* file, sqlite3_int64* size) {
    return Real(file)->pMethods->xFileSize(Real(file), size);
  }
  static int Lock(sqlite3_file* file, int level) {
    return Real(file)->pMethods->xLock(Real(file), level);
  }
  static int Unlock(sqlite3_file* file, int level) {
    return Real(file)->pMethods->xUnlock(Real(file), level);
  }
  static int CheckReservedLock(sqlite3_file* file, int* held) {
    return Real(file)->pMethods->xCheckReservedLock(Real(file), held);
  }
  static int FileControl(sqlite3_file* file, int operation, void* argument) {
    return Real(file)->pMethods->xFileControl(Real(file), operation, argument);
  }
  static int SectorSize(sqlite3_file* file) {
    return Real(file)->pMethods->xSectorSize(Real(file));
  }
  static int DeviceCharacteristics(sqlite3_file* file) {
    return Real(file)->pMethods->xDeviceCharacteristics(Real(file));
  }
  static int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** to) {
    return Real(file)->pMethods->xShmMap(Real(file), page, size, extend, to);
  }
  static int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
    return Real(file)->pMethods->xShmLock(Real(file), offset, count, flags);
  }
  static void ShmBarrier(sqlite3_file* file) { Real(file)->pMethods->xShmBarrier(Real(file)); }
  static int ShmUnmap(sqlite3_file* file, int remove) {
    return Real(file)->pMethods->xShmUnmap(Real(file), remove);
  }

  // Version 2: without memory-mapped reads and writes, which could not be watched.
  static constexpr sqlite3_io_methods kMethods = {2,
                                                  Close,
                                                  Read,
                                                  Write,
                                                  Truncate,
                                                  Sync,
                                                  FileSize,
                                                  Lock,
                                                  Unlock,
                                                  CheckReservedLock,
                                                  FileControl,
                                                  SectorSize,
                                                  DeviceCharacteristics,
                                                  ShmMap,
                                                  ShmLock,
                                                  ShmBarrier,
                                                  ShmUnmap,
                                                  nullptr,
                                                  nullptr};
};

FaultVfs::FaultVfs() : name_(UniqueName()), base_(sqlite3_vfs_find(nullptr)), vfs_(*base_) {
  vfs_.pNext = nullptr;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.szOsFile = static_cast<int>(sizeof(FaultFileMethods::File)) + base_->szOsFile;
  vfs_.xOpen = FaultFileMethods::Open;
  vfs_.xDelete = FaultFileMethods::Delete;
  sqlite3_vfs_register(&vfs_, 0);
}

FaultVfs::~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }

void FaultVfs::FailAt(Operation operation, int64_t n, Failure failure, bool sticky) {
  MutexLock lock(mutex_);
  const auto kind = static_cast<size_t>(operation);
  faults_[kind] = {counts_[kind] + n, failure, sticky};
}

int64_t FaultVfs::Count(Operation operation) const {
  MutexLock lock(mutex_);
  return counts_[static_cast<size_t>(operation)];
}

bool FaultVfs::failed() const {
  MutexLock lock(mutex_);
  return failed_;
}

void FaultVfs::CutPowerAt(int64_t n) {
  MutexLock lock(mutex_);
  power_lasts_ = n - 1;
}

bool FaultVfs::power_is_cut() const {
  MutexLock lock(mutex_);
  return power_is_cut_;
}

void FaultVfs::StartAgain() {
  MutexLock lock(mutex_);
  power_lasts_ = INT64_MAX;
  power_is_cut_ = false;
  faults_ = {};
}

void FaultVfs::StallNextSync(std::function<void()> stall) {
  MutexLock lock(mutex_);
  stall_ = std::move(stall);
}

void FaultVfs::Stall() {
  std::function<void()> stall;
  {
    MutexLock lock(mutex_);
    stall = std::exchange(stall_, nullptr);
  }
  if (stall) stall();
}

int FaultVfs::Before(Operation operation, int io_error_code) {
  MutexLock lock(mutex_);
  const auto kind = static_cast<size_t>(operation);
  const int64_t count = ++counts_[kind];
  if (operation != Operation::kOpen && power_lasts_-- <= 0) power_is_cut_ = true;
  if (power_is_cut_) {
    errno = EIO;
    return io_error_code;
  }
  const Fault& fault = faults_[kind];
  if (fault.at == 0 || count < fault.at || (count > fault.at && !fault.sticky)) return SQLITE_OK;
  failed_ = true;
  if (fault.failure == Failure::kIoError) {
    errno = EIO;
    return io_error_code;
  }
  errno = ENOSPC;
  return operation == Operation::kWrite ? SQLITE_FULL : io_error_code;
}

void FaultVfs::Record(const std::string& path, Change change) {
  MutexLock lock(mutex_);
  disks_[path].unsynced.push_back(std::move(change));
}

void FaultVfs::Synced(const std::string& path) {
  MutexLock lock(mutex_);
  Disk& disk = disks_[path];
  disk.exists = true;
  for (const Change& change : disk.unsynced) Apply(disk, change);
  disk.unsynced.clear();
}

void FaultVfs::SyncFailed(const std::string& path) {
  MutexLock lock(mutex_);
  if (!power_is_cut_) disks_[path].unsynced.clear();
}

void FaultVfs::DirectorySynced() {
  MutexLock lock(mutex_);
  for (auto& [path, disk] : disks_) {
    const auto last =
        std::find_if(disk.unsynced.rbegin(), disk.unsynced.rend(),
                     [](const Change& change) { return change.kind == Change::Kind::kDelete; });
    if (last != disk.unsynced.rend()) {
      Apply(disk, *last);
      disk.unsynced.erase(disk.unsynced.begin(), last.base());
    }
    // Its name is there for sure, whatever it holds.
    if (!disk.unsynced.empty()) disk.exists = true;
  }
}

void FaultVfs::Apply(Disk& disk, const Change& change) {
  const auto offset = static_cast<size_t>(change.offset);
  switch (change.kind) {
    case Change::Kind::kWrite:
      disk.exists = true;
      disk.bytes.resize(std::max(disk.bytes.size(), offset + change.bytes.size()), '\0');
      disk.bytes.replace(offset, change.bytes.size(), change.bytes);
      break;
    case Change::Kind::kTruncate:
      disk.exists = true;
      disk.bytes.resize(offset, '\0');
      break;
    case Change::Kind::kDelete:
      disk.exists = false;
      disk.bytes.clear();
      break;
  }
}

FaultVfs::Disk FaultVfs::AfterLoss(Disk disk, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto one_in = [&random](uint64_t n) { return random() % n == 0; };
  std::vector<Change> unsynced = std::move(disk.unsynced);
  disk.unsynced.clear();

  // A file that was deleted and made again is two files: writes to one never reach the other.
  const auto is_delete = [](const Change& change) { return change.kind == Change::Kind::kDelete; };
  for (auto found = std::find_if(unsynced.begin(), unsynced.end(), is_delete);
       found != unsynced.end(); found = std::find_if(unsynced.begin(), unsynced.end(), is_delete)) {
    if (one_in(2)) {
      unsynced.erase(found, unsynced.end());
    } else {
      Apply(disk, *found);
      unsynced.erase(unsynced.begin(), found + 1);
    }
  }

  // None of them, all, the first few, or any.
  enum { kNone, kAll, kFirst, kAny } const arrived = static_cast<decltype(kNone)>(random() % 4);
  size_t first = unsynced.size();
  if (arrived == kNone) first = 0;
  if (arrived == kFirst && !unsynced.empty()) first = random() % unsynced.size();
  for (size_t i = 0; i < unsynced.size(); ++i) {
    const bool torn = (arrived == kFirst && i == first) || (arrived == kAny && one_in(4));
    if (!torn && (i >= first || (arrived == kAny && one_in(2)))) continue;
    const Change& change = unsynced[i];
    if (!torn || change.kind != Change::Kind::kWrite) {
      Apply(disk, change);
      continue;
    }
    const auto end = change.offset + static_cast<int64_t>(change.bytes.size());
    for (int64_t at = change.offset; at < end;) {
      const int64_t next = std::min(end, (at / kSectorBytes + 1) * kSectorBytes);
      if (one_in(2)) {
        Apply(disk, {Change::Kind::kWrite, at,
                     change.bytes.substr(static_cast<size_t>(at - change.offset),
                                         static_cast<size_t>(next - at))});
      }
      at = next;
    }
  }
  return disk;
}

void FaultVfs::WriteDiskAfterLoss(const std::string& directory, uint64_t seed) const {
  MutexLock lock(mutex_);
  for (const auto& [path, disk] : disks_) {
    const std::string name = path.substr(path.rfind('/') + 1);
    // Each file its own choice, the same on every run.
    uint64_t of_file = seed;
    for (char c : name) of_file = of_file * 1099511628211u + static_cast<unsigned char>(c);
    const Disk after = AfterLoss(disk, of_file);
    if (!after.exists) continue;
    std::ofstream out(absl::StrCat(directory, "/", name), std::ios::binary);
    out.write(after.bytes.data(), static_cast<std::streamsize>(after.bytes.size()));
  }
}

}  // namespace agentdesk::testing
