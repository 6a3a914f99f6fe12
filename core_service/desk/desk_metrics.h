#ifndef AGENTDESK_CORE_SERVICE_DESK_DESK_METRICS_H_
#define AGENTDESK_CORE_SERVICE_DESK_DESK_METRICS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/session.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "core_service/base/clock.h"
#include "core_service/base/metrics.h"
#include "core_service/base/mutex.h"
#include "core_service/domain/change.h"
#include "core_service/store/store.h"

namespace agentdesk::desk {

// What the desk counts while it works: filled by the writer, for which a change costs some
// additions and a batch three observations. Jobs and open questions are counted once at the start
// and kept current from then on, so that nobody has to ask the store for them.
//
// Changes are counted when they are applied. One whose transaction then fails is counted although
// it may not exist, but the process ends there.
class DeskMetrics {
 public:
  // Both must outlive it.
  DeskMetrics(Metrics& metrics, Clock& clock);

  // What there is at the start of the desk. Also passes each job that has not ended to `live`.
  absl::Status Load(store::View& view, absl::FunctionRef<void(const v1::Job&)> live);

  // By the writer, in order.
  void Applied(const domain::Change& change) ABSL_LOCKS_EXCLUDED(mutex_);
  void Committed(size_t commands, absl::Duration took);
  void LeaseExpired() { leases_expired_.Increment(); }
  void DeadlineMissed() { deadlines_missed_.Increment(); }

  // By any thread.
  void Refused() { overloaded_.Increment(); }
  void Judged(v1::ResponseOutcome outcome);

 private:
  using OpenQuestion = std::pair<absl::Time, std::string>;  // asked at, id

  void CountJob(v1::JobStatus was, v1::JobStatus is);
  void CountQuestion(const v1::Question& question) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double OpenQuestions() const ABSL_LOCKS_EXCLUDED(mutex_);
  double OldestAgeSeconds() const ABSL_LOCKS_EXCLUDED(mutex_);

  Clock& clock_;
  Metrics::Histogram& batch_commands_;
  Metrics::Histogram& commit_seconds_;
  Metrics::Counter& overloaded_;
  Metrics::Counter& leases_expired_;
  Metrics::Counter& deadlines_missed_;
  // By number; null where there is none to count.
  std::array<Metrics::Counter*, v1::EventType_ARRAYSIZE> events_{};
  std::array<Metrics::Counter*, v1::ResponseOutcome_ARRAYSIZE> responses_{};
  std::array<Metrics::Gauge*, v1::JobStatus_ARRAYSIZE> live_jobs_{};
  std::array<Metrics::Counter*, v1::JobStatus_ARRAYSIZE> ended_jobs_{};

  mutable Mutex mutex_;
  absl::btree_set<OpenQuestion> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace agentdesk::desk

#endif  // AGENTDESK_CORE_SERVICE_DESK_DESK_METRICS_H_
