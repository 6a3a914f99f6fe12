#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_LEASE_CALLS_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_LEASE_CALLS_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agentdesk/v1/agent.pb.h"
#include "agentdesk/v1/event.pb.h"

namespace agentdesk::worker {

// Called on the worker's thread, never from within the call that it is given to.
template <typename Response>
using Done = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

// What one attempt asks of the core, under its lease. Job, lease and request id are filled in.
//
// While the core cannot be reached, or has too much to do, a call is repeated with growing waits
// under the same request id, so that it takes effect once. Destroying this calls off all that is
// under way: no `done` is called after it.
class LeaseCalls {
 public:
  virtual ~LeaseCalls() = default;

  // One try only: its failure is how an attempt notices that the core is away.
  virtual void Renew(Done<v1::RenewLeaseResponse> done) = 0;

  virtual void Call(v1::ReportActivityRequest request, Done<v1::ReportActivityResponse> done) = 0;
  virtual void Call(v1::AskQuestionRequest request, Done<v1::AskQuestionResponse> done) = 0;
  virtual void Call(v1::WithdrawQuestionRequest request,
                    Done<v1::WithdrawQuestionResponse> done) = 0;
  virtual void Call(v1::ReleaseJobRequest request, Done<v1::ReleaseJobResponse> done) = 0;
  virtual void Call(v1::CompleteJobRequest request, Done<v1::CompleteJobResponse> done) = 0;
  virtual void Call(v1::FailJobRequest request, Done<v1::FailJobResponse> done) = 0;
  virtual void Call(v1::ListEventsRequest request, Done<v1::ListEventsResponse> done) = 0;

  // Input for the agent, one at a time, the next after NextInput. The stream comes back by itself
  // and goes on after the last one handed over. At most one stream.
  virtual void ReceiveInput(int64_t after_sequence,
                            absl::AnyInvocable<void(v1::ReceiveInputResponse)> on_input) = 0;
  virtual void NextInput() = 0;
};

// Whether the core said that the attempt is over for this worker: the lease is lost, or the job is
// not known any more.
bool IsLeaseLost(const absl::Status& status);
// Whether the core could not be asked, could not do it now or failed over it: then the outcome is
// unknown and the same call may be repeated under the same request id.
bool IsTransient(const absl::Status& status);

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_LEASE_CALLS_H_
