#ifndef AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_CURSOR_FILE_H_
#define AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_CURSOR_FILE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace agentdesk::webhooks {

// A position in a log.
struct Position {
  std::string desk_id;
  int64_t sequence = 0;

  friend bool operator==(const Position&, const Position&) = default;
};

// Where one endpoint has arrived, in a file that people can read and change while nothing runs:
// `DESK SEQUENCE`. Everything up to there was taken by the endpoint.
class CursorFile {
 public:
  explicit CursorFile(std::string path) : path_(std::move(path)) {}

  // Nothing where there is no file. DataLoss where it cannot be understood.
  absl::StatusOr<std::optional<Position>> Read() const;
  // Durable when this returns OK; after a crash the file has the old position or the new one.
  absl::Status Write(const Position& position) const;

  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

// Whether `directory` can be written to, or be made.
absl::Status CheckDirectory(const std::string& directory);
// Makes `directory` and those above it where they are missing, for this user alone, and holds it
// until the process ends. FailedPrecondition: another process does.
absl::Status HoldDirectory(const std::string& directory);

}  // namespace agentdesk::webhooks

#endif  // AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_CURSOR_FILE_H_
