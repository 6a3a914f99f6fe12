#include "core_service/pulse.h"

#include "absl/status/status.h"

namespace agentdesk {

bool Pulse::Beats() {
  if (answered_->writer != asked_ || answered_->reader != asked_) return false;
  const int64_t question = ++asked_;
  // Whatever the writer answers, it goes on.
  desk_.Probe(
      [answered = answered_, question](const absl::Status&) { answered->writer = question; });
  desk_.ProbeReads([answered = answered_, question](const absl::Status& read) {
    if (read.ok()) answered->reader = question;
  });
  return true;
}

}  // namespace agentdesk
