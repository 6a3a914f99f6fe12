#include "tools/agentdesk-worker/transcript.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "tools/event_json.h"

namespace agentdesk::worker {

absl::StatusOr<std::unique_ptr<Transcript>> Transcript::Create(const std::string& directory,
                                                               Limits limits) {
  std::string path = absl::StrCat(directory, "/agentdesk-transcript-XXXXXX");
  const int descriptor = mkostemp(path.data(), O_CLOEXEC);
  if (descriptor < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make a file in ", directory));
  }
  return absl::WrapUnique(new Transcript(std::move(path), descriptor, limits));
}

Transcript::Transcript(std::string file, int descriptor, Limits limits)
    : file_(std::move(file)), descriptor_(descriptor), limits_(limits) {}

Transcript::~Transcript() {
  close(descriptor_);
  unlink(file_.c_str());
}

absl::Status Transcript::Append(const google::protobuf::RepeatedPtrField<v1::Event>& events) {
  std::string lines;
  for (const v1::Event& event : events) {
    std::string json = tools::ToJson(event);
    absl::StrAppend(&lines, json, "\n");
    last_bytes_ += json.size();
    last_.push_back(std::move(json));
    while (last_.size() > limits_.events || last_bytes_ > limits_.bytes) {
      last_bytes_ -= last_.front().size();
      last_.pop_front();
      if (last_.empty()) break;
    }
  }
  for (absl::string_view rest = lines; !rest.empty();) {
    const ssize_t written = write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", file_));
    rest.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace agentdesk::worker
