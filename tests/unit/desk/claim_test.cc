#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/desk_fixture.h"

// Claims that wait for a job.
namespace agentdesk::desk {
namespace {

class ClaimTest : public testing::DeskFixture {
 protected:
  struct Waiting {
    std::unique_ptr<WaitingClaim> claim;
    std::future<absl::StatusOr<v1::ClaimJobResponse>> answer;
  };
  Waiting Wait(const std::string& worker, const std::string& request_id = "") {
    v1::ClaimJobRequest request;
    request.set_worker(worker);
    request.set_request_id(request_id);
    request.mutable_wait()->set_seconds(60);
    auto answer = std::make_shared<std::promise<absl::StatusOr<v1::ClaimJobResponse>>>();
    return {desk_->Claim({}, request, [answer](auto r) { answer->set_value(std::move(r)); }),
            answer->get_future()};
  }
};

TEST_F(ClaimTest, AClaimWaitsForATicket) {
  absl::StatusOr<v1::ClaimJobResponse> claim;
  std::thread worker([&] { claim = Claim("patient", absl::Seconds(60)); });
  const auto created = Create("For you");
  worker.join();
  ASSERT_TRUE(claim.ok() && claim->has_job());
  EXPECT_EQ(claim->job().job_id(), created.job_id());
}

TEST_F(ClaimTest, AClaimThatWaitsInVainIsOkWithoutAJob) {
  Waiting waiting = Wait("w");
  clock_.Advance(absl::Seconds(61));
  const auto result = waiting.answer.get();
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result->has_job());
}

TEST_F(ClaimTest, AClaimThatIsCalledOffTakesNoJob) {
  Waiting waiting = Wait("gone");
  waiting.claim->Cancel();
  EXPECT_FALSE(waiting.answer.get()->has_job());
  Create("Not for the one who left");
  EXPECT_TRUE(Claim("here")->has_job());
}

// A worker that ends calls its claim off and asks once more whether it got a job, and the core may
// hear of the first only after the second.
TEST_F(ClaimTest, ALaterTryEndsTheOneThatWaits) {
  Waiting first = Wait("w", "claim-1");
  EXPECT_FALSE(Claim("w", absl::ZeroDuration(), "another")->has_job());
  EXPECT_FALSE(Claim("w", absl::ZeroDuration(), "claim-1")->has_job());
  EXPECT_FALSE(first.answer.get()->has_job());
  Create("Not for the one who left");
  EXPECT_TRUE(Claim("here")->has_job());
}

}  // namespace
}  // namespace agentdesk::desk
