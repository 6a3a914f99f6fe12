#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "core_service/base/error.h"
#include "core_service/base/timestamp.h"
#include "tests/support/desk_fixture.h"
#include "tests/support/fault_vfs.h"

// What a slow disk, a clock that is set back and a slow start do to leases and deadlines.
namespace agentdesk::desk {
namespace {

using testing::DeskFixture;
using testing::FakeClock;
using testing::FaultVfs;

template <typename Request>
Request Held(const v1::ClaimJobResponse& claim) {
  Request request;
  request.set_job_id(claim.job().job_id());
  request.set_lease_token(claim.lease_token());
  return request;
}

// A desk whose disk is as slow as the test wants.
class SlowDiskTest : public DeskFixture {
 protected:
  void SetUp() override {
    vfs_ = disk_.name();
    options_.max_batch = 4;
    Open();
  }
  void TearDown() override { Close(); }

  // Begins a commit, which lasts until Resume.
  void Stall() {
    disk_.StallNextSync([this] {
      stalled_.set_value();
      resumed_.get_future().wait();
    });
    slow_ = std::thread([this] { Create("Slow"); });
    stalled_.get_future().wait();
  }
  void Resume() {
    resumed_.set_value();
    slow_.join();
  }
  template <typename Response, typename Request>
  std::future<absl::StatusOr<Response>> Begin(Request request) {
    auto answer = std::make_shared<std::promise<absl::StatusOr<Response>>>();
    desk_->Execute({}, std::move(request),
                   [answer](absl::StatusOr<Response> r) { answer->set_value(std::move(r)); });
    return answer->get_future();
  }
  absl::Status Renew(const v1::ClaimJobResponse& claim) {
    return Call<v1::RenewLeaseResponse>(Held<v1::RenewLeaseRequest>(claim)).status();
  }

  FaultVfs disk_;
  std::promise<void> stalled_;
  std::promise<void> resumed_;
  std::thread slow_;
};

TEST_F(SlowDiskTest, ARenewalThatCameInTimeHoldsHoweverLongItWaited) {
  Create("Held");
  const auto claim = Claim();
  clock_.Advance(absl::Seconds(29));
  Stall();
  auto renewed = Begin<v1::RenewLeaseResponse>(Held<v1::RenewLeaseRequest>(*claim));
  clock_.Advance(absl::Minutes(5));
  Resume();
  EXPECT_TRUE(renewed.get().ok());
  clock_.Advance(absl::Seconds(29));
  EXPECT_TRUE(Renew(*claim).ok());
  clock_.Advance(absl::Seconds(30));
  EXPECT_EQ(DetailOf(Renew(*claim)).reason, "lease_lost");
}

TEST_F(SlowDiskTest, AResultThatCameInTimeCounts) {
  Create("Held");
  const auto claim = Claim();
  Stall();
  clock_.Advance(absl::Seconds(29));
  auto completed = Begin<v1::CompleteJobResponse>(Held<v1::CompleteJobRequest>(*claim));
  clock_.Advance(absl::Minutes(5));
  Resume();
  EXPECT_TRUE(completed.get().ok());
}

TEST_F(SlowDiskTest, AResultThatCameTooLateDoesNotCount) {
  Create("Held");
  const auto claim = Claim();
  Stall();
  clock_.Advance(absl::Seconds(30));
  auto completed = Begin<v1::CompleteJobResponse>(Held<v1::CompleteJobRequest>(*claim));
  Resume();
  EXPECT_EQ(DetailOf(completed.get().status()).reason, "lease_lost");
}

TEST_F(SlowDiskTest, ATermBeginsWhenTheWorkerIsTold) {
  Create("Slowly claimed");
  disk_.StallNextSync([this] { clock_.Advance(absl::Minutes(5)); });
  const auto claim = Claim();
  clock_.Advance(absl::Seconds(29));
  EXPECT_TRUE(Renew(*claim).ok());
}

// Tells whether the desk's threads wait, or ask for the time over and over.
class WatchedClock final : public Clock {
 public:
  explicit WatchedClock(Clock& clock) : clock_(clock) {}
  absl::Time Now() override { return clock_.Now(); }
  absl::Duration Monotonic() override {
    if (watched_ && --looks_left_ == 0) rests_.set_value(false);
    return clock_.Monotonic();
  }
  void WaitUntil(Condition& condition, Mutex& mutex, absl::Duration deadline) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (deadline == absl::InfiniteDuration() && watched_.exchange(false)) rests_.set_value(true);
    clock_.WaitUntil(condition, mutex, deadline);
  }

  void Watch() { watched_ = true; }
  // Whether a thread began to wait for nothing but to be woken; false: it does not come to that.
  bool Rests() { return rests_.get_future().get(); }

 private:
  Clock& clock_;
  std::atomic<bool> watched_{false};
  std::atomic<int> looks_left_{10000};
  std::promise<bool> rests_;
};

TEST_F(SlowDiskTest, ADeskWhoseDiskHasFailedRestsUntilItEnds) {
  Close();
  WatchedClock watched(clock_);
  OpenStore();
  StartDesk(watched);
  Create("Held");
  ASSERT_TRUE(Claim().ok());
  disk_.FailAt(FaultVfs::Operation::kSync, 1, FaultVfs::Failure::kIoError, /*sticky=*/true);
  v1::CreateTicketRequest request;
  request.set_ticket_name("Not stored");
  EXPECT_EQ(Call<v1::CreateTicketResponse>(request).status().code(),
            absl::StatusCode::kUnavailable);
  watched.Watch();
  clock_.Advance(absl::Minutes(5));  // the lease and old requests are due
  EXPECT_TRUE(watched.Rests());
  EXPECT_EQ(Call<v1::CreateTicketResponse>(request).status().code(),
            absl::StatusCode::kUnavailable);
  Close();
}

TEST_F(SlowDiskTest, OfVeryManyLeasesThatEndAtOnceNoneCanCompleteAnyMore) {
  std::vector<v1::ClaimJobResponse> claims;
  for (int i = 0; i < 20; ++i) {
    Create("Held");
    claims.push_back(*Claim());
  }
  Stall();
  clock_.Advance(absl::Seconds(30));
  std::vector<std::future<absl::StatusOr<v1::CompleteJobResponse>>> answers;
  // Timers go in the order of the leases, so this meets those that had no turn yet.
  for (auto claim = claims.rbegin(); claim != claims.rend(); ++claim) {
    answers.push_back(Begin<v1::CompleteJobResponse>(Held<v1::CompleteJobRequest>(*claim)));
  }
  Resume();
  for (auto& answer : answers) {
    EXPECT_EQ(DetailOf(answer.get().status()).reason, "lease_lost");
  }
}

TEST_F(SlowDiskTest, AnAnswerThatCameBeforeTheDeadlineIsInTime) {
  options_.expiry_hold = absl::ZeroDuration();
  Restart();
  Create("Asks");
  const v1::Question question = AskQuestion(*Claim(), "q", absl::Minutes(1));
  Stall();
  clock_.Advance(absl::Seconds(59));
  v1::SubmitResponseRequest request;
  request.set_session_id(question.session_id());
  request.set_question_id(question.question_id());
  request.set_response("yes");
  auto in_time = Begin<v1::SubmitResponseResponse>(request);
  clock_.Advance(absl::Minutes(5));
  Resume();
  EXPECT_EQ(in_time.get()->outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
}

TEST_F(SlowDiskTest, AClaimThatIsCalledOffBeforeItsTurnTakesNoJob) {
  Create("Not for the one who left");
  Stall();
  std::promise<absl::StatusOr<v1::ClaimJobResponse>> answer;
  v1::ClaimJobRequest request;
  request.set_worker("gone");
  auto claim = desk_->Claim({}, request, [&](auto r) { answer.set_value(std::move(r)); });
  claim->Cancel();
  Resume();
  const auto claimed = answer.get_future().get();
  ASSERT_TRUE(claimed.ok());
  EXPECT_FALSE(claimed->has_job());
}

class StartTest : public DeskFixture {};

TEST_F(StartTest, AClockThatWasSetBackMakesNoWaitLonger) {
  options_.expiry_hold = absl::ZeroDuration();
  Restart();
  v1::CreateTicketRequest later;
  later.set_ticket_name("Later");
  *later.mutable_run_after() = ToProto(clock_.Now() + absl::Seconds(10));
  ASSERT_TRUE(Call<v1::CreateTicketResponse>(later).ok());
  Create("Asks");
  AskQuestion(*Claim(), "q", absl::Seconds(10));
  Close();
  clock_.JumpWall(-absl::Hours(1));
  Open();
  clock_.Advance(absl::Seconds(10));
  WaitFor(v1::EVENT_TYPE_QUESTION_EXPIRED);
  EXPECT_EQ(Claim("w", absl::Seconds(1))->ticket().ticket_name(), "Later");
}

TEST_F(StartTest, TimestampsNeverGoBackThoughTheClockDoes) {
  for (int i = 0; i < 3; ++i) {
    Create("Before");
    clock_.Advance(absl::Seconds(1));
    Create("After");
    clock_.JumpWall(-absl::Hours(1));
    Create("In the past");
    Restart();
  }
  absl::Time last = absl::InfinitePast();
  for (const v1::Event& event : Log()) {
    EXPECT_GE(FromProto(event.time()), last);
    last = FromProto(event.time());
  }
}

// A clock that goes on by `step` before it is read for the first time.
class SlowClock final : public Clock {
 public:
  SlowClock(FakeClock& clock, absl::Duration step) : clock_(clock), step_(step) {}
  absl::Time Now() override {
    clock_.Advance(std::exchange(step_, absl::ZeroDuration()));
    return clock_.Now();
  }
  absl::Duration Monotonic() override { return clock_.Monotonic(); }
  void WaitUntil(Condition& condition, Mutex& mutex, absl::Duration deadline) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    clock_.WaitUntil(condition, mutex, deadline);
  }

 private:
  FakeClock& clock_;
  absl::Duration step_;
};

TEST_F(StartTest, NothingExpiresInTheFirstHalfMinuteAfterASlowStart) {
  Create("Held");
  const auto claim = Claim();
  const v1::Question question = AskQuestion(*claim, "q", absl::Minutes(1));
  Close();
  clock_.Advance(absl::Hours(1));
  OpenStore();
  SlowClock starting(clock_, absl::Seconds(20));
  StartDesk(starting);
  clock_.Advance(absl::Seconds(29));
  EXPECT_EQ(Answer(question, "in time after all").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  Close();
}

}  // namespace
}  // namespace agentdesk::desk
