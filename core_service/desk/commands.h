#ifndef AGENTDESK_CORE_SERVICE_DESK_COMMANDS_H_
#define AGENTDESK_CORE_SERVICE_DESK_COMMANDS_H_

#include <atomic>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "core_service/desk/committer.h"
#include "core_service/desk/desk.h"

namespace agentdesk::desk {

// The commands of the desk: what each loads, which rule of the domain decides it, and, where it
// carries a request id, how a repeat is recognised and answered. Instantiated for every pair of
// Desk::Execute.
template <typename Request, typename Response>
std::unique_ptr<Command> MakeCommand(Caller caller, Request request, Done<Response> done);

// A claim, which may wait. It ends without a job once `called_off` is true. `waits_until` is on the
// monotonic clock. `request` must be normal.
std::unique_ptr<Command> MakeClaim(Caller caller, v1::ClaimJobRequest request,
                                   absl::Duration waits_until,
                                   std::shared_ptr<const std::atomic<bool>> called_off,
                                   Done<v1::ClaimJobResponse> done);

// Writes what is there already. See Desk::Probe.
std::unique_ptr<Command> MakeProbe(absl::AnyInvocable<void(absl::Status)> done);

}  // namespace agentdesk::desk

#endif  // AGENTDESK_CORE_SERVICE_DESK_COMMANDS_H_
