#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "core_service/base/error.h"
#include "core_service/store/sqlite_restore.h"
#include "tests/support/desk_fixture.h"

namespace agentdesk::desk {
namespace {

using testing::DeskFixture;

// One id, whenever it is asked.
class ChosenId final : public IdSource {
 public:
  explicit ChosenId(const char* id) : id_(*Uuid::Parse(id)) {}
  Uuid NewUuid(absl::Time) override { return id_; }
  double Fraction() override { return 0; }

 private:
  const Uuid id_;
};

class RestoredDeskTest : public DeskFixture {
 protected:
  absl::StatusOr<v1::CompleteJobResponse> Complete(const v1::ClaimJobResponse& claim) {
    v1::CompleteJobRequest request;
    request.set_job_id(claim.job().job_id());
    request.set_lease_token(claim.lease_token());
    return Call<v1::CompleteJobResponse>(request);
  }
};

// Both give out the same sequences, and have been restored as often as the other.
TEST_F(RestoredDeskTest, ALeaseOfADeskIsWorthNothingAtAnotherOfTheSameBackup) {
  Create("Work");
  Close();
  const std::string file = dir_.File("desk.sqlite3");
  const std::string backup = dir_.File("backup");
  std::filesystem::rename(file, backup);
  const auto claim_at = [&](const char* desk_id) {
    std::filesystem::remove(file);
    ChosenId ids(desk_id);
    {
      auto restoration = store::Restoration::Begin(backup, dir_.path(), clock_, ids);
      EXPECT_TRUE(restoration.ok() && restoration->Commit().ok()) << restoration.status();
    }
    Open();
    return *Claim();
  };
  const v1::ClaimJobResponse one = claim_at("0197a1b2-0000-7000-8000-000000000001");
  Close();
  const v1::ClaimJobResponse other = claim_at("0197a1b2-0000-7000-8000-000000000002");
  EXPECT_EQ(one.job().job_id(), other.job().job_id());
  EXPECT_EQ(one.sequence(), other.sequence());
  EXPECT_NE(one.lease_token(), other.lease_token());
  EXPECT_EQ(DetailOf(Complete(one).status()).reason, "lease_lost");
  EXPECT_TRUE(Complete(other).ok());
}

}  // namespace
}  // namespace agentdesk::desk
