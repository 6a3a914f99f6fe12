#include "core_service/desk/desk_metrics.h"

#include <algorithm>

#include "core_service/base/timestamp.h"
#include "core_service/domain/ticket.h"
#include "core_service/store/event_block.h"

namespace agentdesk::desk {
namespace {

// From one command in a batch to a full one.
std::vector<double> BatchBounds() { return {1, 2, 4, 8, 16, 32, 64, 128, 256}; }

}  // namespace

DeskMetrics::DeskMetrics(Metrics& metrics, Clock& clock)
    : clock_(clock),
      batch_commands_(metrics.AddHistogram("agentdesk_committer_batch_commands",
                                           "Commands decided in one transaction.", BatchBounds())),
      commit_seconds_(metrics.AddHistogram(
          "agentdesk_commit_seconds",
          "Time from the last decision of a batch until it was durable.", LatencyBounds())),
      overloaded_(
          metrics.AddCounter("agentdesk_committer_overloaded_total",
                             "Commands that were refused since too many were under way already.")),
      leases_expired_(metrics.AddCounter("agentdesk_leases_expired_total",
                                         "Leases that ran out before their job was given back.")),
      deadlines_missed_(metrics.AddCounter("agentdesk_question_deadlines_missed_total",
                                           "Questions that expired without an answer.")) {
  for (int type = 1; type < v1::EventType_ARRAYSIZE; ++type) {
    events_[static_cast<size_t>(type)] = &metrics.AddCounter(
        "agentdesk_events_total", "Events appended to the log since the start, by type.",
        {{"type", EnumLabel(v1::EventType_Name(type), "EVENT_TYPE_")}});
  }
  for (int outcome = 1; outcome < v1::ResponseOutcome_ARRAYSIZE; ++outcome) {
    responses_[static_cast<size_t>(outcome)] = &metrics.AddCounter(
        "agentdesk_responses_total", "Responses of humans that were judged, by outcome.",
        {{"outcome", EnumLabel(v1::ResponseOutcome_Name(outcome), "RESPONSE_OUTCOME_")}});
  }
  for (int number = 1; number < v1::JobStatus_ARRAYSIZE; ++number) {
    const auto status = static_cast<v1::JobStatus>(number);
    const Metrics::Labels labels = {
        {"status", EnumLabel(v1::JobStatus_Name(status), "JOB_STATUS_")}};
    if (domain::IsLive(status)) {
      live_jobs_[static_cast<size_t>(number)] =
          &metrics.AddGauge("agentdesk_jobs", "Jobs that have not ended, by status.", labels);
    } else {
      ended_jobs_[static_cast<size_t>(number)] = &metrics.AddCounter(
          "agentdesk_jobs_ended_total", "Jobs that ended since the start, by how.", labels);
    }
  }
  metrics.ReadGauge("agentdesk_questions_open", "Questions that wait for a human.", {},
                    [this] { return OpenQuestions(); });
  metrics.ReadGauge("agentdesk_question_oldest_open_age_seconds",
                    "For how long the oldest open question has been waiting; 0: there is none.", {},
                    [this] { return OldestAgeSeconds(); });
}

absl::Status DeskMetrics::Load(store::View& view, absl::FunctionRef<void(const v1::Job&)> live) {
  store::PageRequest page;
  page.size = 1000;
  for (size_t status = 0; status < live_jobs_.size(); ++status) {
    if (live_jobs_[status] == nullptr) continue;
    do {
      const absl::StatusOr<store::Page<store::JobRecord>> jobs =
          view.ListJobs("", static_cast<v1::JobStatus>(status), page);
      if (!jobs.ok()) return jobs.status();
      live_jobs_[status]->Increment(static_cast<double>(jobs->rows.size()));
      for (const store::JobRecord& record : jobs->rows) live(record.job());
      page.after = jobs->next;
    } while (!page.after.empty());
  }
  do {
    const absl::StatusOr<store::Page<store::QuestionRecord>> questions =
        view.ListQuestions(v1::QUESTION_STATE_OPEN, "", page);
    if (!questions.ok()) return questions.status();
    MutexLock lock(mutex_);
    for (const store::QuestionRecord& record : questions->rows) CountQuestion(record.question());
    page.after = questions->next;
  } while (!page.after.empty());
  return absl::OkStatus();
}

void DeskMetrics::Applied(const domain::Change& change) {
  for (const v1::Event& event : change.events) {
    if (Metrics::Counter* counter = events_[static_cast<size_t>(store::TypeOf(event))]) {
      counter->Increment();
    }
  }
  if (change.job.has_value()) CountJob(change.job_was, change.job->job().status());
  if (change.questions.empty()) return;
  MutexLock lock(mutex_);
  for (const domain::QuestionRecord& record : change.questions) CountQuestion(record.question());
}

void DeskMetrics::CountJob(v1::JobStatus was, v1::JobStatus is) {
  if (was == is) return;
  if (Metrics::Gauge* before = live_jobs_[static_cast<size_t>(was)]) before->Decrement();
  if (Metrics::Gauge* now = live_jobs_[static_cast<size_t>(is)]) now->Increment();
  if (Metrics::Counter* ended = ended_jobs_[static_cast<size_t>(is)]) ended->Increment();
}

void DeskMetrics::CountQuestion(const v1::Question& question) {
  OpenQuestion entry(FromProto(question.create_time()), question.question_id());
  if (question.state() == v1::QUESTION_STATE_OPEN) {
    open_.insert(std::move(entry));
  } else {
    open_.erase(entry);
  }
}

double DeskMetrics::OpenQuestions() const {
  MutexLock lock(mutex_);
  return static_cast<double>(open_.size());
}

double DeskMetrics::OldestAgeSeconds() const {
  MutexLock lock(mutex_);
  if (open_.empty()) return 0;
  return std::max(0.0, absl::ToDoubleSeconds(clock_.Now() - open_.begin()->first));
}

void DeskMetrics::Committed(size_t commands, absl::Duration took) {
  batch_commands_.Observe(static_cast<double>(commands));
  commit_seconds_.Observe(absl::ToDoubleSeconds(took));
}

void DeskMetrics::Judged(v1::ResponseOutcome outcome) {
  if (Metrics::Counter* counter = responses_[static_cast<size_t>(outcome)]) counter->Increment();
}

}  // namespace agentdesk::desk
