#include "tools/agentdesk-webhooks/cursor_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core_service/base/uuid.h"

namespace agentdesk::webhooks {
namespace {

absl::Status SystemError(absl::string_view doing, absl::string_view path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", doing, " ", path));
}

absl::Status SyncAndClose(int file, bool sound, const std::string& path) {
  absl::Status status =
      sound && fsync(file) == 0 ? absl::OkStatus() : SystemError("make durable", path);
  close(file);
  return status;
}

absl::Status SyncDirectory(const std::string& path) {
  const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return SystemError("open", path);
  return SyncAndClose(directory, true, path);
}

std::string Parent(const std::string& path) {
  const std::filesystem::path whole = std::filesystem::absolute(path);
  return (whole.has_filename() ? whole : whole.parent_path()).parent_path();
}

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return SyncDirectory(Parent(path));
  if (errno == EEXIST) return absl::OkStatus();
  if (errno != ENOENT) return SystemError("make the directory", path);
  if (absl::Status status = MakeDirectory(Parent(path)); !status.ok()) return status;
  if (mkdir(path.c_str(), 0700) != 0) return SystemError("make the directory", path);
  return SyncDirectory(Parent(path));
}

}  // namespace

absl::StatusOr<std::optional<Position>> CursorFile::Read() const {
  std::ifstream file(path_);
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    return SystemError("read", path_);
  }
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> parts =
      absl::StrSplit(absl::StripAsciiWhitespace(line), ' ', absl::SkipWhitespace());
  Position position;
  if (parts.size() == 2 && Uuid::Parse(parts[0]).has_value() &&
      absl::SimpleAtoi(parts[1], &position.sequence) && position.sequence >= 0) {
    position.desk_id = Uuid::Parse(parts[0])->ToString();
    return position;
  }
  return absl::DataLossError(absl::StrCat(
      path_, " must hold `DESK SEQUENCE`; remove it to begin with what happens from now on"));
}

absl::Status CursorFile::Write(const Position& position) const {
  const std::string next = absl::StrCat(path_, ".next");
  const std::string line = absl::StrCat(position.desk_id, " ", position.sequence, "\n");
  const int file = open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return SystemError("make", next);
  const bool written = write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  if (absl::Status status = SyncAndClose(file, written, next); !status.ok()) return status;
  if (std::rename(next.c_str(), path_.c_str()) != 0) return SystemError("make", path_);
  return SyncDirectory(Parent(path_));
}

absl::Status CheckDirectory(const std::string& directory) {
  std::string nearest = directory;  // that exists
  while (access(nearest.c_str(), F_OK) != 0 && errno == ENOENT) nearest = Parent(nearest);
  if (access(absl::StrCat(nearest, "/.").c_str(), W_OK | X_OK) == 0) return absl::OkStatus();
  return SystemError("make files in", nearest);
}

absl::Status HoldDirectory(const std::string& directory) {
  if (absl::Status status = MakeDirectory(directory); !status.ok()) return status;
  const std::string path = absl::StrCat(directory, "/lock");
  const int lock = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return SystemError("open", path);
  if (flock(lock, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  close(lock);
  return absl::FailedPreconditionError(
      absl::StrCat("another agentdesk-webhooks holds ", directory));
}

}  // namespace agentdesk::webhooks
