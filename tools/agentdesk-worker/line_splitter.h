#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_LINE_SPLITTER_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_LINE_SPLITTER_H_

#include <cstddef>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace agentdesk::worker {

// Puts a stream of bytes together into lines, holding at most `max_bytes` of an unfinished one.
class LineSplitter {
 public:
  explicit LineSplitter(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Calls `on_line` for each line that is complete, without its line break, and `on_too_long` once
  // for each longer than the limit, with its first `max_bytes`; the rest of that line is dropped.
  void Feed(absl::string_view bytes, absl::FunctionRef<void(absl::string_view)> on_line,
            absl::FunctionRef<void(absl::string_view)> on_too_long) {
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      const absl::string_view part = bytes.substr(0, end);
      if (!dropping_ && line_.size() + part.size() > max_bytes_) {
        line_.append(part.data(), max_bytes_ - line_.size());
        on_too_long(line_);
        dropping_ = true;
        std::string().swap(line_);
      }
      if (!dropping_) line_.append(part.data(), part.size());
      if (end == absl::string_view::npos) return;
      if (!dropping_) on_line(line_);
      dropping_ = false;
      line_.clear();
      bytes.remove_prefix(end + 1);
    }
  }
  // The stream has ended: what is left is a line too.
  void Finish(absl::FunctionRef<void(absl::string_view)> on_line) {
    if (!line_.empty()) on_line(line_);
    line_.clear();
  }

 private:
  const size_t max_bytes_;
  std::string line_;
  bool dropping_ = false;
};

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_LINE_SPLITTER_H_
