#include "tools/agentdesk-webhooks/cursor_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
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
  const std::string parent = path_.substr(0, path_.rfind('/'));
  const int directory = open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return SystemError("open", parent);
  return SyncAndClose(directory, true, parent);
}

absl::Status HoldDirectory(const std::string& directory) {
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return SystemError("make the directory", directory);
  }
  const std::string path = absl::StrCat(directory, "/lock");
  const int lock = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return SystemError("open", path);
  if (flock(lock, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  close(lock);
  return absl::FailedPreconditionError(
      absl::StrCat("another agentdesk-webhooks holds ", directory));
}

}  // namespace agentdesk::webhooks
