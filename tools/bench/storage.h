#ifndef AGENTDESK_TOOLS_BENCH_STORAGE_H_
#define AGENTDESK_TOOLS_BENCH_STORAGE_H_

#include <memory>
#include <string>
#include <vector>

namespace agentdesk::bench {

// Where a floor keeps what it acknowledges, with as little as that takes. Used by one thread.
class Storage {
 public:
  virtual ~Storage() = default;
  // Returns when all of these have reached the disk; ends the process where they cannot.
  virtual void Keep(const std::vector<std::string>& tickets) = 0;
};

// What a floor's arguments ask for, below --data_dir: with --storage=file the bytes at the end of
// one file; with --storage=tables a ticket, its job and its event as rows of about the size that
// the core's have, in the core's own tables and indexes, one transaction for all; nothing without
// it. Ends the process where it is anything else. Other arguments are left to the floor.
std::unique_ptr<Storage> MakeStorage(int argc, char** argv);

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_BENCH_STORAGE_H_
