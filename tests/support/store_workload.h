#ifndef AGENTDESK_TESTS_SUPPORT_STORE_WORKLOAD_H_
#define AGENTDESK_TESTS_SUPPORT_STORE_WORKLOAD_H_

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core_service/store/store.h"
#include "tests/support/store_records.h"

namespace agentdesk::testing {

// Random transactions against a store, and what the store must hold after them.
class StoreWorkload {
 public:
  explicit StoreWorkload(uint64_t seed) : random_(seed), ids_(seed) {}

  // Runs transactions until so many were committed or the store fails; answers the first error.
  // Some transactions are given up on purpose, and views are held open across others.
  absl::Status Run(store::Store& store, int commits);

  // Whether the store holds what was acknowledged: all of it, and nothing more than the one
  // transaction whose commit was under way when it failed, whole. Tells what differs. Goes on from
  // what the store holds.
  absl::Status Check(store::Store& store);
  // The head as of the last commit that was acknowledged.
  int64_t acknowledged() const { return acknowledged_.head; }

 private:
  // Everything that a store holds, serialized, by id.
  struct State {
    int64_t head = 0;
    std::vector<std::string> events;
    std::map<std::string, std::string> tickets;
    std::map<std::string, std::string> jobs;
    std::map<std::string, std::string> questions;
    std::map<std::string, std::string> requests;
  };

  absl::Status Change(store::Transaction& transaction, State& state);
  absl::Status Append(store::Transaction& transaction, State& state, const v1::Event& event);
  static absl::Status Compare(store::View& view, const State& state);
  int Below(int bound) { return static_cast<int>(random_() % static_cast<uint64_t>(bound)); }

  std::mt19937_64 random_;
  SeededIds ids_;
  State acknowledged_;
  State attempted_;  // the same as acknowledged_ unless a commit failed
};

}  // namespace agentdesk::testing

#endif  // AGENTDESK_TESTS_SUPPORT_STORE_WORKLOAD_H_
