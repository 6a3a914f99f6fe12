#include "core_service/domain/job.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "core_service/domain/limits.h"
#include "core_service/domain/text.h"
#include "core_service/domain/timing.h"
#include "core_service/domain/transition.h"

namespace agentdesk::domain {
namespace {

constexpr char kDefaultQueue[] = "default";
// Of a lease token, from the lowest bit on.
constexpr int kSequenceBits = 36;
constexpr int kDeskBits = 12;
constexpr int kRestoresShift = kSequenceBits + kDeskBits;
constexpr char kLostLease[] = "the worker lost its lease";

bool IsCancelling(const TicketState& state) {
  return state.job.job().status() == v1::JOB_STATUS_CANCELLING;
}

absl::Status CheckMessage(absl::string_view path, const v1::AgentMessage& message) {
  absl::Status status =
      CheckBytes(absl::StrCat(path, ".content"), message.content(), 1, kMaxContentBytes);
  status.Update(CheckCharacters(absl::StrCat(path, ".key"), message.key(), 0, kMaxKeyCharacters));
  return status;
}

absl::Status CheckToolCall(absl::string_view path, const v1::ToolCall& call) {
  const auto field = [path](absl::string_view name) { return absl::StrCat(path, ".", name); };
  absl::Status status =
      CheckCharacters(field("tool_name"), call.tool_name(), 1, kMaxWorkerCharacters);
  status.Update(CheckCharacters(field("title"), call.title(), 0, kMaxTitleCharacters));
  status.Update(CheckBytes(field("content"), call.content(), 0, kMaxContentBytes));
  status.Update(
      CheckCharacters(field("output_type"), call.output_type(), 0, kMaxOutputTypeCharacters));
  status.Update(CheckCharacters(field("key"), call.key(), 0, kMaxKeyCharacters));
  if (call.truncated() && call.size() <= 0) {
    status.Update(InvalidField(field("size"), "must be the true size where `truncated` is set"));
  }
  if (!call.truncated() && call.size() != 0) {
    status.Update(InvalidField(field("size"), "must be 0 where `truncated` is not set"));
  }
  return status;
}

absl::Status CheckActivity(int index, const v1::Activity& activity) {
  const std::string path = absl::StrCat("activities[", index, "]");
  switch (activity.kind_case()) {
    case v1::Activity::kMessage:
      return CheckMessage(absl::StrCat(path, ".message"), activity.message());
    case v1::Activity::kToolCall:
      return CheckToolCall(absl::StrCat(path, ".tool_call"), activity.tool_call());
    default:
      return InvalidField(path, "must have `message` or `tool_call`");
  }
}

const std::string& KeyOf(const v1::Activity& activity) {
  return activity.has_message() ? activity.message().key() : activity.tool_call().key();
}

// How long a job waits before it is offered again: the longer, the more attempts went wrong.
absl::Duration WaitOf(const JobRecord& record, const Context& context) {
  return Backoff(record.job().failed_attempts() + record.lost_attempts(), context.ids->Fraction());
}

// Counts the attempt as failed: the job is offered again after a while, or fails for good when it
// may not be retried or no attempt is left.
void CountFailure(v1::RequeueReason reason, absl::string_view error, bool retryable,
                  const Context& context, Transition& transition) {
  v1::Job& job = *transition.MutableJob().mutable_job();
  job.set_failed_attempts(job.failed_attempts() + 1);
  if (retryable && job.failed_attempts() < transition.ticket().ticket().max_attempts()) {
    transition.Requeue(reason, error, context.now + WaitOf(transition.job(), context));
  } else {
    transition.FailForGood(error);
  }
}

template <typename Response>
Decision<Response> EndOfAttempt(Transition& transition) {
  Decision<Response> decision;
  *decision.response.mutable_job() = transition.job().job();
  decision.response.set_sequence(transition.sequence());
  decision.change = transition.Take();
  return decision;
}

}  // namespace

absl::StatusOr<v1::ClaimJobRequest> Normalize(v1::ClaimJobRequest request) {
  if (request.queues().empty()) request.add_queues(kDefaultQueue);
  if (!request.has_lease_duration()) *request.mutable_lease_duration() = ToProto(kDefaultLease);

  absl::Status status;
  if (request.queues_size() > kMaxQueuesInClaim) {
    status = InvalidField("queues", absl::StrCat("must have at most ", kMaxQueuesInClaim,
                                                 " entries, has ", request.queues_size()));
  }
  for (int i = 0; i < request.queues_size() && status.ok(); ++i) {
    status = CheckQueue(absl::StrCat("queues[", i, "]"), request.queues(i));
  }
  status.Update(CheckCharacters("worker", request.worker(), 1, kMaxWorkerCharacters));
  status.Update(CheckDuration("wait", request.wait(), absl::ZeroDuration(), kMaxClaimWait));
  status.Update(CheckDuration("lease_duration", request.lease_duration(), kMinLease, kMaxLease));
  status.Update(CheckRequestId(request.request_id()));
  if (!status.ok()) return status;

  absl::flat_hash_set<std::string> seen;
  std::vector<std::string> queues;
  for (const std::string& queue : request.queues()) {
    if (seen.insert(queue).second) queues.push_back(queue);
  }
  request.mutable_queues()->Assign(queues.begin(), queues.end());
  *request.mutable_lease_duration() =
      ToProto(absl::Trunc(FromProto(request.lease_duration()), absl::Milliseconds(1)));
  return request;
}

absl::Status CheckLease(const JobRecord& job, int64_t token) {
  if (token != 0 && token == job.lease_token()) return absl::OkStatus();
  return ErrorWithReason(
      absl::StatusCode::kFailedPrecondition, "lease_lost",
      "the lease is lost: it ran out, or the attempt has ended. Stop the agent; nothing that this "
      "attempt does counts any more");
}

int64_t LeaseEpoch(int64_t restores, absl::string_view desk_id) {
  if (restores == 0) return 0;
  // The end of an id is random.
  const uint64_t desk =
      Uuid::Parse(desk_id).value_or(Uuid{}).low & ((uint64_t{1} << kDeskBits) - 1);
  return (restores << kRestoresShift) | (static_cast<int64_t>(desk) << kSequenceBits);
}

int64_t LeaseStart(int64_t token) { return token & ((int64_t{1} << kSequenceBits) - 1); }

Decision<v1::ClaimJobResponse> ClaimJob(const v1::ClaimJobRequest& request,
                                        const TicketState& state, const Context& context) {
  Transition transition(state, context);
  const absl::Duration term = FromProto(request.lease_duration());
  JobRecord& record = transition.MutableJob();
  record.set_lease_token(context.lease_epoch | context.next_sequence);
  record.set_lease_ms(absl::ToInt64Milliseconds(term));
  record.set_claimable(false);
  v1::Job& job = *record.mutable_job();
  job.set_attempt(job.attempt() + 1);
  job.set_worker(request.worker());
  job.clear_next_attempt_at();
  *job.mutable_lease_expires_at() = ToProto(context.now + term);
  transition.SetStatus(v1::JOB_STATUS_RUNNING);
  v1::AgentStarted& started = *transition.AppendOfJob().mutable_agent_started();
  started.set_ticket_name(transition.ticket().ticket().ticket_name());
  started.set_worker(request.worker());

  Decision<v1::ClaimJobResponse> decision;
  v1::ClaimJobResponse& response = decision.response;
  *response.mutable_job() = job;
  *response.mutable_ticket() = transition.ticket().ticket();
  *response.mutable_session() = transition.ticket().session();
  response.set_lease_token(record.lease_token());
  *response.mutable_lease_duration() = request.lease_duration();
  *response.mutable_lease_expires_at() = job.lease_expires_at();
  response.set_reason(record.start_reason());
  response.set_checkpoint_json(transition.ticket().checkpoint_json());
  response.set_sequence(transition.sequence());
  decision.change = transition.Take();
  return decision;
}

absl::Status Validate(const v1::RenewLeaseRequest& request) {
  return CheckPresent("job_id", request.job_id());
}

absl::Status Validate(const v1::ReceiveInputRequest& request) {
  absl::Status status = CheckPresent("job_id", request.job_id());
  if (request.after_sequence() < 0) {
    status.Update(InvalidField("after_sequence", "must not be negative"));
  }
  return status;
}

absl::Status Validate(const v1::ReportActivityRequest& request) {
  absl::Status status = CheckPresent("job_id", request.job_id());
  if (request.activities_size() > kMaxActivitiesInReport) {
    status.Update(
        InvalidField("activities", absl::StrCat("must have at most ", kMaxActivitiesInReport,
                                                " entries, has ", request.activities_size())));
  }
  for (int i = 0; i < request.activities_size() && status.ok(); ++i) {
    status = CheckActivity(i, request.activities(i));
  }
  status.Update(CheckJson("checkpoint_json", request.checkpoint_json()));
  status.Update(CheckRequestId(request.request_id()));
  return status;
}

absl::Status Validate(const v1::ReleaseJobRequest& request) {
  absl::Status status = CheckPresent("job_id", request.job_id());
  if (request.has_run_after()) status.Update(CheckTimestamp("run_after", request.run_after()));
  if (request.input_after_sequence() < 0) {
    status.Update(InvalidField("input_after_sequence", "must not be negative"));
  }
  status.Update(CheckRequestId(request.request_id()));
  return status;
}

absl::Status Validate(const v1::CompleteJobRequest& request) {
  absl::Status status = CheckPresent("job_id", request.job_id());
  status.Update(CheckBytes("summary", request.summary(), 0, kMaxSummaryBytes));
  status.Update(CheckJson("result_json", request.result_json()));
  status.Update(CheckRequestId(request.request_id()));
  return status;
}

absl::Status Validate(const v1::FailJobRequest& request) {
  absl::Status status = CheckPresent("job_id", request.job_id());
  status.Update(CheckBytes("error", request.error(), 1, kMaxSummaryBytes));
  status.Update(CheckRequestId(request.request_id()));
  return status;
}

absl::StatusOr<Decision<v1::ReportActivityResponse>> ReportActivity(
    const v1::ReportActivityRequest& request, const std::vector<std::string>& known_keys,
    const TicketState& state, const Context& context) {
  absl::Status status = Validate(request);
  status.Update(CheckHolder(state, request.job_id(), request.lease_token()));
  if (!status.ok()) return status;

  Transition transition(state, context);
  absl::flat_hash_set<std::string> taken(known_keys.begin(), known_keys.end());
  std::vector<std::string> keys;
  for (const v1::Activity& activity : request.activities()) {
    const std::string& key = KeyOf(activity);
    if (!key.empty()) {
      if (!taken.insert(key).second) continue;
      keys.push_back(key);
    }
    v1::Event& event = transition.AppendOfJob();
    if (activity.has_message()) {
      *event.mutable_agent_message() = activity.message();
    } else {
      *event.mutable_tool_call() = activity.tool_call();
    }
  }
  if (request.has_checkpoint_json() &&
      request.checkpoint_json() != transition.ticket().checkpoint_json()) {
    transition.MutableTicket().set_checkpoint_json(request.checkpoint_json());
  }

  Decision<v1::ReportActivityResponse> decision;
  decision.response.set_sequence(transition.sequence());
  decision.change = transition.Take();
  decision.change.activity_keys = std::move(keys);
  decision.response.set_appended(static_cast<int32_t>(decision.change.events.size()));
  return decision;
}

absl::StatusOr<Decision<v1::ReleaseJobResponse>> ReleaseJob(const v1::ReleaseJobRequest& request,
                                                            const TicketState& state,
                                                            const Context& context) {
  absl::Status status = Validate(request);
  if (request.input_after_sequence() >= context.next_sequence) {
    // Parking on a position of the future would sleep over input that comes before it.
    status.Update(InvalidField("input_after_sequence",
                               absl::StrCat("must not lie ahead of the log, whose last event is ",
                                            context.next_sequence - 1)));
  }
  status.Update(CheckHolder(state, request.job_id(), request.lease_token()));
  if (!status.ok()) return status;

  Transition transition(state, context);
  if (IsCancelling(state)) {
    transition.EndCancelled("", "");
  } else if (!request.has_input_after_sequence()) {
    const absl::Time from =
        request.has_run_after() ? FromProto(request.run_after()) : absl::InfinitePast();
    transition.Requeue(v1::REQUEUE_REASON_RELEASED, "", from);
  } else if (state.ticket.last_input_sequence() > request.input_after_sequence()) {
    transition.Requeue(v1::REQUEUE_REASON_INPUT, "", absl::InfinitePast());
  } else {
    transition.Park();
  }
  return EndOfAttempt<v1::ReleaseJobResponse>(transition);
}

absl::StatusOr<Decision<v1::CompleteJobResponse>> CompleteJob(const v1::CompleteJobRequest& request,
                                                              const TicketState& state,
                                                              const Context& context) {
  absl::Status status = Validate(request);
  status.Update(CheckHolder(state, request.job_id(), request.lease_token()));
  if (!status.ok()) return status;

  Transition transition(state, context);
  if (IsCancelling(state)) {
    transition.EndCancelled(request.summary(), request.result_json());
  } else {
    transition.Complete(request.summary(), request.result_json());
  }
  return EndOfAttempt<v1::CompleteJobResponse>(transition);
}

absl::StatusOr<Decision<v1::FailJobResponse>> FailJob(const v1::FailJobRequest& request,
                                                      const TicketState& state,
                                                      const Context& context) {
  absl::Status status = Validate(request);
  status.Update(CheckHolder(state, request.job_id(), request.lease_token()));
  if (!status.ok()) return status;

  Transition transition(state, context);
  if (IsCancelling(state)) {
    transition.EndCancelled("", "");
  } else {
    CountFailure(v1::REQUEUE_REASON_FAILED, request.error(), request.retryable(), context,
                 transition);
  }
  return EndOfAttempt<v1::FailJobResponse>(transition);
}

Change LoseLease(const TicketState& state, const Context& context) {
  Transition transition(state, context);
  if (IsCancelling(state)) {
    transition.EndCancelled("", "");
  } else if (state.open_questions.empty()) {
    CountFailure(v1::REQUEUE_REASON_LEASE_LOST, kLostLease, /*retryable=*/true, context,
                 transition);
  } else {
    JobRecord& record = transition.MutableJob();
    record.set_lost_attempts(record.lost_attempts() + 1);
    transition.Requeue(v1::REQUEUE_REASON_LEASE_LOST, kLostLease,
                       context.now + WaitOf(record, context));
  }
  return transition.Take();
}

Change BecomeClaimable(const JobRecord& job) {
  Change change;
  change.job = job;
  change.job_was = job.job().status();
  change.job->set_claimable(true);
  return change;
}

absl::Duration Backoff(int failed_attempts, double fraction) {
  absl::Duration wait = kFirstBackoff;
  for (int i = 1; i < failed_attempts && wait < kMaxBackoff; ++i) wait *= 2;
  return std::min(wait, kMaxBackoff) * (1 - fraction / 2);
}

}  // namespace agentdesk::domain
