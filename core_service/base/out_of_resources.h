#ifndef AGENTDESK_CORE_SERVICE_BASE_OUT_OF_RESOURCES_H_
#define AGENTDESK_CORE_SERVICE_BASE_OUT_OF_RESOURCES_H_

namespace agentdesk {

// From here on the process ends at once, with 1 and a line on standard error, when no memory can be
// had, or when a thread cannot be started, whoever asked for it (not under the address and thread
// sanitizers, which start the threads themselves). Nothing of what is under way could be finished,
// and whoever waits is better off with a new process. `program` must stay where it is.
void EndWhenOutOfResources(const char* program);

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_OUT_OF_RESOURCES_H_
