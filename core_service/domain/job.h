#ifndef AGENTDESK_CORE_SERVICE_DOMAIN_JOB_H_
#define AGENTDESK_CORE_SERVICE_DOMAIN_JOB_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentdesk/v1/agent.pb.h"
#include "core_service/domain/change.h"

namespace agentdesk::domain {

// Checks a claim and fills in its defaults.
absl::StatusOr<v1::ClaimJobRequest> Normalize(v1::ClaimJobRequest request);

// What can be checked of a call without the desk: InvalidArgument. The functions of this header
// check it too; by itself it lets the desk refuse bad input before it looks anything up.
absl::Status Validate(const v1::RenewLeaseRequest& request);
absl::Status Validate(const v1::ReceiveInputRequest& request);
absl::Status Validate(const v1::ReportActivityRequest& request);
absl::Status Validate(const v1::ReleaseJobRequest& request);
absl::Status Validate(const v1::CompleteJobRequest& request);
absl::Status Validate(const v1::FailJobRequest& request);

// FailedPrecondition (`lease_lost`) unless `token` is the token of the job's live lease.
absl::Status CheckLease(const JobRecord& job, int64_t token);

// What the tokens of a desk have above the sequence of the `agent_started` that began the lease. A
// restored log gives out sequences a second time, and the worker that got one before the machine
// was lost must not pass for the one that has it now. So from bit 48 on a token says how often the
// desk was restored and, since a backup may be restored more than once, in the 12 bits below that a
// part of its id. 36 bits are left, for as many events of 256 bytes as SQLite's largest file holds.
// 0 for a desk that was never restored.
int64_t LeaseEpoch(int64_t restores, absl::string_view desk_id);

// The sequence of the `agent_started` that began the lease.
int64_t LeaseStart(int64_t token);

// Gives the job, which must be claimable, to a worker. The token is greater than that of any claim
// before. The response's `lease_expires_at` and the job's are now + the term; `desk_id` is left to
// the caller.
Decision<v1::ClaimJobResponse> ClaimJob(const v1::ClaimJobRequest& request,
                                        const TicketState& state, const Context& context);

// The calls of the worker that holds the job. FailedPrecondition (`lease_lost`) unless the ticket's
// latest job is the one that the request names, held by its token.

// Stores what the agent said and did. `known_keys` are those of the request's keys that the session
// has already: what carries one is left out, and so is a repeat of a key within the request.
absl::StatusOr<Decision<v1::ReportActivityResponse>> ReportActivity(
    const v1::ReportActivityRequest& request, const std::vector<std::string>& known_keys,
    const TicketState& state, const Context& context);

// Each ends the attempt; where cancel is in the log it ends the job as cancelled instead. Open
// questions stay open until the job ends.

// Gives the job back, which counts as no failure. With `input_after_sequence` it is parked, unless
// the session has input after that position: then it is offered again at once.
absl::StatusOr<Decision<v1::ReleaseJobResponse>> ReleaseJob(const v1::ReleaseJobRequest& request,
                                                            const TicketState& state,
                                                            const Context& context);
// Completes the job. A job that ends as cancelled keeps the summary and the result.
absl::StatusOr<Decision<v1::CompleteJobResponse>> CompleteJob(const v1::CompleteJobRequest& request,
                                                              const TicketState& state,
                                                              const Context& context);
// Counts the attempt as failed: the job is offered again after a while, or fails for good when it
// may not be retried or no attempt is left.
absl::StatusOr<Decision<v1::FailJobResponse>> FailJob(const v1::FailJobRequest& request,
                                                      const TicketState& state,
                                                      const Context& context);

// The lease ran out: the attempt is over, and counts as failed unless a question of the session is
// open. It is offered again after a while in either case. The job must have a lease.
Change LoseLease(const TicketState& state, const Context& context);

// The time of a delayed job has come: it becomes claimable. Appends no event: it was `queued`
// already.
Change BecomeClaimable(const JobRecord& job);

// How long a job waits after its n-th failed attempt (n from 1): 1 s, doubling to 5 min, of which
// `fraction` in [0, 1) takes away up to half, so that jobs which failed together do not return
// together.
absl::Duration Backoff(int failed_attempts, double fraction);

}  // namespace agentdesk::domain

#endif  // AGENTDESK_CORE_SERVICE_DOMAIN_JOB_H_
