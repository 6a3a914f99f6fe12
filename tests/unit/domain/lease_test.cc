#include <cstdint>
#include <string>

#include "core_service/domain/job.h"
#include "tests/unit/domain/ticket_in_memory.h"

namespace agentdesk::domain {
namespace {

using testing::HasCode;
using testing::IsOk;

TEST(LeaseEpochTest, GrowsWithEachRestoreAndTellsRestoresOfOneBackupApart) {
  const std::string one = "0197a1b2-0000-7000-8000-000000000fff";
  const std::string other = "0197a1b2-0000-7000-8000-000000000000";
  constexpr int64_t kLast = (int64_t{1} << 36) - 1;
  EXPECT_EQ(LeaseEpoch(0, one), 0);
  EXPECT_NE(LeaseEpoch(1, one), LeaseEpoch(1, other));
  int64_t last = kLast;
  for (int64_t restores = 1; restores < 1 << 15; restores *= 2) {
    EXPECT_GT(LeaseEpoch(restores, other), last);
    for (const std::string& desk_id : {one, other}) {
      EXPECT_EQ(LeaseStart(LeaseEpoch(restores, desk_id) | kLast), kLast);
    }
    last = LeaseEpoch(restores, one) | kLast;
  }
  // Of a desk that was restored before the tokens had a part of its id.
  EXPECT_EQ(LeaseStart((int64_t{1} << 48) | 77), 77);
  EXPECT_GE(LeaseEpoch(1, other), int64_t{1} << 48);
}

TEST(CheckLeaseTest, WantsTheTokenOfTheLiveLease) {
  JobRecord job;
  EXPECT_THAT(CheckLease(job, 0), IsRefused("lease_lost", "Stop the agent"));
  EXPECT_THAT(CheckLease(job, 7), IsRefused("lease_lost", "Stop the agent"));
  job.set_lease_token(7);
  EXPECT_THAT(CheckLease(job, 7), IsOk());
  for (const int64_t token : {0, 6, 8, -7}) {
    EXPECT_THAT(CheckLease(job, token), HasCode(absl::StatusCode::kFailedPrecondition));
  }
}

}  // namespace
}  // namespace agentdesk::domain
