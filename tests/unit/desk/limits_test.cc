#include <gtest/gtest.h>

#include <future>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core_service/base/error.h"
#include "core_service/desk/agent_input.h"
#include "tests/support/desk_fixture.h"
#include "tests/support/fault_vfs.h"

// What the desk does when there is much of something.
namespace agentdesk::desk {
namespace {

using testing::DeskFixture;
using testing::FaultVfs;

class LimitsTest : public DeskFixture {
 protected:
  std::future<absl::StatusOr<v1::CreateTicketResponse>> BeginCreate(
      const v1::CreateTicketRequest& request) {
    auto answer = std::make_shared<std::promise<absl::StatusOr<v1::CreateTicketResponse>>>();
    desk_->Execute({}, request, [answer](absl::StatusOr<v1::CreateTicketResponse> r) {
      answer->set_value(std::move(r));
    });
    return answer->get_future();
  }
  v1::CreateTicketRequest Large(int bytes) {
    v1::CreateTicketRequest request;
    request.set_ticket_name("Large");
    request.set_description(std::string(static_cast<size_t>(bytes), 'd'));
    return request;
  }
};

TEST_F(LimitsTest, TooManyBytesOfCommandsAreRefusedUntilTheyAreAnswered) {
  FaultVfs disk;
  Close();
  vfs_ = disk.name();
  options_.max_command_bytes = 2000;
  options_.max_batch_bytes = 1500;
  Open();
  std::promise<void> stalled;
  std::promise<void> resumed;
  disk.StallNextSync([&] {
    stalled.set_value();
    resumed.get_future().wait();
  });
  std::vector<std::future<absl::StatusOr<v1::CreateTicketResponse>>> taken;
  taken.push_back(BeginCreate(Large(10)));
  stalled.get_future().wait();
  taken.push_back(BeginCreate(Large(1400)));
  taken.push_back(BeginCreate(Large(1400)));
  const absl::Status refused = BeginCreate(Large(1400)).get().status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(DetailOf(refused).reason, "overloaded");
  EXPECT_TRUE(DetailOf(refused).retry_after.has_value());
  // The small ones that keep leases alive are not refused for the large ones.
  taken.push_back(BeginCreate(Large(10)));
  const int64_t commits = disk.Count(FaultVfs::Operation::kSync);
  resumed.set_value();
  for (auto& answer : taken) EXPECT_TRUE(answer.get().ok());
  // The two large ones did not fit into one transaction.
  EXPECT_GE(disk.Count(FaultVfs::Operation::kSync) - commits, 3);
  // One that is larger than any batch is a batch of its own.
  EXPECT_TRUE(BeginCreate(Large(5000)).get().ok());
  EXPECT_TRUE(BeginCreate(Large(10)).get().ok());
  EXPECT_EQ(Log().size(), 6u);
  Close();
}

TEST_F(LimitsTest, AClaimThatFindsNoRoomToWaitIsToldWhenToRepeat) {
  options_.max_waiting_claims = 1;
  Restart();
  v1::ClaimJobRequest request;
  request.set_worker("w");
  request.mutable_wait()->set_seconds(60);
  std::promise<absl::StatusOr<v1::ClaimJobResponse>> first;
  auto waiting = desk_->Claim({}, request, [&](auto r) { first.set_value(std::move(r)); });
  std::promise<absl::StatusOr<v1::ClaimJobResponse>> second;
  auto refused = desk_->Claim({}, request, [&](auto r) { second.set_value(std::move(r)); });
  const absl::Status status = second.get_future().get().status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(DetailOf(status).reason, "overloaded");
  EXPECT_TRUE(DetailOf(status).retry_after.has_value());
  // One that need not wait needs no room, and the first still has its place.
  EXPECT_TRUE(Claim().ok());
  Create("For the first");
  EXPECT_TRUE(first.get_future().get()->has_job());
}

TEST_F(LimitsTest, ATenantHasSoManyOpenTicketsAndOneThatEndsFreesItsPlace) {
  options_.max_open_tickets = 2;
  Restart();
  const v1::CreateTicketResponse first = Create("First", "mine");
  Create("Second");
  v1::CreateTicketRequest request;
  request.set_ticket_name("Third");
  const absl::Status refused = Call<v1::CreateTicketResponse>(request).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(DetailOf(refused).reason, "too_many_open_tickets");
  EXPECT_TRUE(DetailOf(refused).retry_after.has_value());
  EXPECT_TRUE(Create("First", "mine").replayed()) << "what is repeated takes no place";
  Caller other;
  other.tenant = "other";
  EXPECT_TRUE(CallAs<v1::CreateTicketResponse>(other, request).ok());

  Restart();
  EXPECT_TRUE(absl::IsResourceExhausted(Call<v1::CreateTicketResponse>(request).status()));
  v1::CancelTicketRequest cancel;
  cancel.set_ticket_id(first.ticket_id());
  ASSERT_TRUE(Call<v1::CancelTicketResponse>(cancel).ok());
  EXPECT_TRUE(Call<v1::CreateTicketResponse>(request).ok());
  v1::RetryTicketRequest retry;
  retry.set_ticket_id(first.ticket_id());
  EXPECT_EQ(DetailOf(Call<v1::RetryTicketResponse>(retry).status()).reason,
            "too_many_open_tickets");
  // A ticket that is worked on is an open one; when its job is completed it is not.
  const absl::StatusOr<v1::ClaimJobResponse> claim = Claim();
  ASSERT_TRUE(claim.ok() && claim->has_job());
  EXPECT_TRUE(absl::IsResourceExhausted(Call<v1::CreateTicketResponse>(request).status()));
  v1::CompleteJobRequest complete;
  complete.set_job_id(claim->job().job_id());
  complete.set_lease_token(claim->lease_token());
  ASSERT_TRUE(Call<v1::CompleteJobResponse>(complete).ok());
  EXPECT_TRUE(Call<v1::RetryTicketResponse>(retry).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Call<v1::CreateTicketResponse>(request).status()));
}

TEST_F(LimitsTest, ASessionHasSoManyOpenQuestionsAndOneThatIsAnsweredFreesItsPlace) {
  options_.max_open_questions = 2;
  Restart();
  Create("Asks");
  const absl::StatusOr<v1::ClaimJobResponse> claim = Claim();
  ASSERT_TRUE(claim.ok() && claim->has_job());
  const v1::Question first = AskQuestion(*claim, "first");
  AskQuestion(*claim, "second");
  v1::AskQuestionRequest third;
  third.set_job_id(claim->job().job_id());
  third.set_lease_token(claim->lease_token());
  third.set_key("third");
  third.set_content("May I?");
  const absl::Status refused = Call<v1::AskQuestionResponse>(third).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(DetailOf(refused).reason, "too_many_open_questions");
  EXPECT_TRUE(DetailOf(refused).retry_after.has_value());
  AskQuestion(*claim, "first");  // the same question takes no place

  // Fewer than are open already: those stay, and one is asked again only when there is room.
  options_.max_open_questions = 1;
  Restart();
  EXPECT_EQ(Answer(first, "yes").outcome(), v1::RESPONSE_OUTCOME_RECEIVED);
  EXPECT_TRUE(absl::IsResourceExhausted(Call<v1::AskQuestionResponse>(third).status()));
  v1::WithdrawQuestionRequest withdraw;
  withdraw.set_job_id(claim->job().job_id());
  withdraw.set_lease_token(claim->lease_token());
  withdraw.set_key("second");
  ASSERT_TRUE(Call<v1::WithdrawQuestionResponse>(withdraw).ok());
  EXPECT_TRUE(Call<v1::AskQuestionResponse>(third).ok());
}

TEST_F(LimitsTest, OfManyThatCreateAtOnceExactlySoManyGetThrough) {
  options_.max_open_tickets = 100;
  Restart();
  std::vector<std::future<absl::StatusOr<v1::CreateTicketResponse>>> answers;
  for (int i = 0; i < 300; ++i) answers.push_back(BeginCreate(Large(10)));
  int created = 0;
  bool full = false;
  for (auto& answer : answers) {
    const bool ok = answer.get().ok();
    created += ok ? 1 : 0;
    EXPECT_FALSE(ok && full) << "they are judged in the order in which they came";
    full = full || !ok;
  }
  EXPECT_EQ(created, 100);
}

TEST_F(LimitsTest, ABacklogOfOldRequestsIsForgottenAlsoWhileNobodyCalls) {
  std::vector<std::future<absl::StatusOr<v1::CreateTicketResponse>>> created;
  for (int i = 0; i < 2100; ++i) {
    v1::CreateTicketRequest request;
    request.set_ticket_name("Old");
    request.set_request_id("id-" + std::to_string(i));
    created.push_back(BeginCreate(request));
  }
  for (auto& answer : created) ASSERT_TRUE(answer.get().ok());
  clock_.Advance(absl::Hours(24 * 8));
  // Each commit takes away a share of those that came first.
  const auto is_remembered = [&](const std::string& id) {
    auto view = store_->OpenView();
    return view.ok() && (*view)->FindRequest("", id).ok();
  };
  while (is_remembered("id-1999")) std::this_thread::yield();
  EXPECT_FALSE(is_remembered("id-0"));
  EXPECT_FALSE(is_remembered("id-1000"));
}

TEST_F(LimitsTest, ARequestIsRememberedForAWeekWhateverTheWallClockSays) {
  const auto first = Create("Once", "kept");
  clock_.Advance(absl::Hours(6 * 24));
  Create("The writer looks what is old");
  EXPECT_EQ(Create("Once", "kept").ticket_id(), first.ticket_id());

  const auto second = Create("Twice", "kept, too");
  clock_.JumpWall(absl::Hours(10 * 24));
  clock_.Advance(absl::Minutes(2));
  Create("The writer looks again");
  clock_.JumpWall(absl::Hours(-10 * 24));
  EXPECT_EQ(Create("Twice", "kept, too").ticket_id(), second.ticket_id());
}

TEST_F(LimitsTest, APageEndsAtItsSizeAndTheNextGoesOnThere) {
  std::vector<std::string> created;
  for (int i = 0; i < 100; ++i) created.push_back(Create("Ticket").ticket_id());
  std::vector<std::string> large;
  for (int i = 0; i < 100; ++i) {
    large.push_back(Call<v1::CreateTicketResponse>(Large(32 * 1024))->ticket_id());
  }
  created.insert(created.end(), large.begin(), large.end());
  v1::ListTicketsRequest list;
  list.set_page_size(1000);
  std::vector<std::string> listed;
  int pages = 0;
  do {
    const auto page = Ask<v1::ListTicketsResponse>(list);
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_GT(page->tickets_size(), 0);
    EXPECT_LE(page->ByteSizeLong(), 1100u * 1024);
    for (const v1::Ticket& ticket : page->tickets()) listed.push_back(ticket.ticket_id());
    list.set_page_token(page->next_page_token());
    ++pages;
  } while (!list.page_token().empty());
  EXPECT_EQ(listed, std::vector<std::string>(created.rbegin(), created.rend()));
  EXPECT_GT(pages, 3);
}

TEST_F(LimitsTest, AgentsGetTheirInputWhileEveryReaderIsBusy) {
  Create("Cancelled");
  const auto claim = Claim();
  std::promise<void> free = OccupyReaders();

  v1::CancelTicketRequest cancel;
  cancel.set_ticket_id(claim->ticket().ticket_id());
  ASSERT_TRUE(Call<v1::CancelTicketResponse>(cancel).ok());
  std::promise<AgentInput::Batch> read;
  ASSERT_TRUE(desk_
                  ->PostInput([&](store::Store& store) {
                    v1::ReceiveInputRequest request;
                    request.set_job_id(claim->job().job_id());
                    request.set_lease_token(claim->lease_token());
                    auto input = AgentInput::Open(*desk_, Caller{}, request, store);
                    read.set_value((*input)->Next(nullptr, store).value());
                  })
                  .ok());
  const AgentInput::Batch batch = read.get_future().get();
  ASSERT_EQ(batch.inputs.size(), 1u);
  EXPECT_TRUE(batch.inputs[0].has_cancel());
  // Nor does a snapshot need them, so it does not keep them either.
  std::promise<bool> taken;
  desk_->TakeSnapshot(Caller{}, {}, [&](auto parts) { taken.set_value(parts.ok()); });
  EXPECT_TRUE(taken.get_future().get());
  free.set_value();
}

TEST_F(LimitsTest, ReadsAreAnsweredWhileReplaysTakeAllTheirThreads) {
  const std::string ticket_id = Create("Wanted").ticket_id();
  std::promise<void> free;
  const std::shared_future<void> freed = free.get_future().share();
  std::vector<std::promise<void>> busy(static_cast<size_t>(options_.replay_threads));
  for (std::promise<void>& thread : busy) {
    ASSERT_TRUE(desk_
                    ->PostReplay("follower",
                                 [&thread, freed](store::Store&) {
                                   thread.set_value();
                                   freed.wait();
                                 })
                    .ok());
  }
  for (std::promise<void>& thread : busy) thread.get_future().wait();
  while (desk_->PostReplay("follower", [](store::Store&) {}).ok()) {
  }
  EXPECT_EQ(Ticket(ticket_id).ticket_id(), ticket_id);
  std::promise<bool> probed;
  desk_->ProbeReads([&](const absl::Status& read) { probed.set_value(read.ok()); });
  EXPECT_TRUE(probed.get_future().get());
  // Somebody else's still find room, too.
  EXPECT_TRUE(desk_->PostReplay("other", [](store::Store&) {}).ok());
  free.set_value();
}

TEST_F(LimitsTest, SnapshotsThatAreHeldLeaveRoomForOthersOrAreCalledIn) {
  using Parts = std::shared_ptr<const SnapshotParts>;
  options_.max_snapshot_bytes = 100 * 1024;
  Restart();
  const auto take = [this] {
    std::promise<absl::StatusOr<Parts>> taken;
    desk_->TakeSnapshot(Caller{}, {}, [&](auto parts) { taken.set_value(std::move(parts)); });
    return taken.get_future().get();
  };
  // One may be of any size, and whoever comes before something was committed shares it.
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Call<v1::CreateTicketResponse>(Large(32 * 1024)).ok());
  auto first = take();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_GT((*first)->bytes, 5u * 32 * 1024);
  EXPECT_TRUE(take().ok());

  Create("Meanwhile");
  const auto refused = take();
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status())) << refused.status();
  EXPECT_EQ(DetailOf(refused.status()).reason, "overloaded");
  EXPECT_TRUE(DetailOf(refused.status()).retry_after.has_value());
  EXPECT_FALSE((*first)->called_in) << "it has had no time yet to be read";
  clock_.Advance(absl::Seconds(30));
  EXPECT_TRUE(absl::IsResourceExhausted(take().status()));
  EXPECT_TRUE((*first)->called_in);
  *first = nullptr;
  const auto next = take();
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_FALSE((*next)->called_in);
  EXPECT_EQ((*next)->sequence, desk_->log().head());
}

TEST_F(LimitsTest, AReadSeesAllThatWasAcknowledgedBeforeItBegan) {
  std::vector<std::thread> clients;
  for (int client = 0; client < 8; ++client) {
    clients.emplace_back([this] {
      for (int i = 0; i < 50; ++i) {
        const auto created = Create("Mine");
        v1::GetTicketRequest get;
        get.set_ticket_id(created.ticket_id());
        const auto read = Ask<v1::GetTicketResponse>(get);
        ASSERT_TRUE(read.ok()) << read.status();
        ASSERT_GE(read->sequence(), created.sequence());
        ASSERT_GE(desk_->GetDesk().head_sequence(), created.sequence());
      }
    });
  }
  for (std::thread& client : clients) client.join();
}

}  // namespace
}  // namespace agentdesk::desk
