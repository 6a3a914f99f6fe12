#ifndef AGENTDESK_CORE_SERVICE_BASE_SD_NOTIFY_H_
#define AGENTDESK_CORE_SERVICE_BASE_SD_NOTIFY_H_

#include <signal.h>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace agentdesk {

// Tells systemd about this process, as sd_notify(3) has it: `READY=1`, `STOPPING=1`. Does nothing
// where nobody asked, that is without $NOTIFY_SOCKET.
void SdNotify(absl::string_view state);

// Waits for one of `signals`, which must be blocked, and returns it. Where systemd runs a watchdog
// for this process ($WATCHDOG_USEC), it is told twice in its time that the process is alive, as
// long as `alive` says so; that is called on this thread and must not block.
int WaitForSignal(const sigset_t& signals, absl::FunctionRef<bool()> alive);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_SD_NOTIFY_H_
