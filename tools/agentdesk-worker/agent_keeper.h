#ifndef AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_KEEPER_H_
#define AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_KEEPER_H_

#include <sys/resource.h>
#include <sys/types.h>

namespace agentdesk::worker {

// What an agent's keeper has to know. It is made before the fork, for after it nothing may
// allocate.
struct KeeperOrders {
  pid_t worker;
  // The agent's standard streams.
  int input;
  int output;
  int errors;
  // Of /bin/sh.
  char* const* arguments;
  char* const* environment;
  const rlimit* descriptors;  // how many files the agent may have open; null: as the worker
  // How long the others of the group have when SIGTERM has ended the shell.
  unsigned grace_s;
};

// The life of a process that the worker has just forked, with all signals blocked. It leads a
// process group, runs the shell in it and ends as the shell did. It is there for what the shell
// itself cannot do:
// - A shell does not always become its last command, and SIGTERM to the group ends it at once. The
//   keeper ends only when the others have, too, or the grace is over.
// - The kernel tells nobody but the worker's own child of the worker's death. The keeper kills the
//   whole group then.
[[noreturn]] void KeepAgent(const KeeperOrders& orders);

}  // namespace agentdesk::worker

#endif  // AGENTDESK_TOOLS_AGENTDESK_WORKER_AGENT_KEEPER_H_
