#include "core_service/pulse.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/uuid.h"

namespace agentdesk {

bool Pulse::Beats() {
  if (answered_->writer != asked_ || answered_->reader != asked_) return false;
  const int64_t question = ++asked_;
  // The lease of a job that cannot exist: the writer decides on it, and nothing changes.
  v1::RenewLeaseRequest request;
  request.set_job_id(absl::StrCat("job-", Uuid{}.ToString()));
  desk_.Execute(desk::Caller{}, std::move(request),
                [answered = answered_, question](const absl::StatusOr<v1::RenewLeaseResponse>&) {
                  answered->writer = question;
                });
  desk_.ProbeReads([answered = answered_, question](const absl::Status& read) {
    if (read.ok()) answered->reader = question;
  });
  return true;
}

}  // namespace agentdesk
