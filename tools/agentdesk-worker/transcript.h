#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_TRANSCRIPT_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_TRANSCRIPT_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agentdesk/v1/event.pb.h"

namespace agentdesk::worker {

// What a session's events were before an attempt: the last of them for the agent's `start`, all of
// them in a temporary file, one JSON object a line. The file goes with this object.
class Transcript {
 public:
  struct Limits {
    size_t events = 200;
    size_t bytes = 256 * 1024;
  };

  // Makes the file in `directory`, readable for this user alone.
  static absl::StatusOr<std::unique_ptr<Transcript>> Create(const std::string& directory,
                                                            Limits limits);
  ~Transcript();
  Transcript(const Transcript&) = delete;
  Transcript& operator=(const Transcript&) = delete;

  // Appends events, in the order of the log.
  absl::Status Append(const google::protobuf::RepeatedPtrField<v1::Event>& events);

  const std::string& file() const { return file_; }
  std::vector<std::string> Last() const { return {last_.begin(), last_.end()}; }

 private:
  Transcript(std::string file, int descriptor, Limits limits);

  const std::string file_;
  const int descriptor_;
  const Limits limits_;
  std::deque<std::string> last_;
  size_t last_bytes_ = 0;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_TRANSCRIPT_H_
