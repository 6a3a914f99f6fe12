#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <thread>

#include "core_service/base/error.h"
#include "tests/support/desk_fixture.h"
#include "tests/support/fault_vfs.h"

// How far back the log serves, where only its last events are retained.
namespace agentdesk::desk {
namespace {

using events::EventLog;
using testing::DeskFixture;
using testing::FaultVfs;

class RetentionTest : public DeskFixture {
 protected:
  void SetUp() override {
    vfs_ = disk_.name();
    options_.retain_events = 1;
    Open();
  }
  void TearDown() override { Close(); }

  FaultVfs disk_;
};

class Idle final : public events::Waiter {
 public:
  void OnEvents() override {}
};

TEST_F(RetentionTest, WhoHasReadAllIsNotCutOffByABatchOfMore) {
  const std::string ticket_id = Create("Cancelled").ticket().ticket_id();
  events::Subscription cursor = desk_->Subscribe(Caller{}, {}, 1);
  const auto idle = std::make_shared<Idle>();
  ASSERT_EQ(cursor.Next(idle).found, EventLog::Found::kWaiting);

  v1::CancelTicketRequest cancel;
  cancel.set_ticket_id(ticket_id);
  ASSERT_TRUE(Call<v1::CancelTicketResponse>(cancel).ok());
  ASSERT_EQ(Log().size(), 3u);
  const events::Subscription::Batch batch = cursor.Next(idle);
  ASSERT_EQ(batch.found, EventLog::Found::kEvents);
  EXPECT_EQ(batch.up_to, 3);

  Create("Next");
  EXPECT_EQ(desk_->GetDesk().oldest_sequence(), 4);
}

// Whoever reads the store as of a commit may ask why a position is not served before the thread
// that commits has come on.
TEST_F(RetentionTest, APositionIsRefusedFromWhenTheStoreMayRefuseIt) {
  Create("First");
  Create("Second");
  ASSERT_TRUE(desk_->CheckPosition(desk_->desk_id(), 1).ok());
  std::promise<void> stalled;
  std::promise<void> resumed;
  disk_.StallNextSync([&] {
    stalled.set_value();
    resumed.get_future().wait();
  });
  std::thread slow([this] { Create("Slow"); });
  stalled.get_future().wait();
  EXPECT_EQ(DetailOf(desk_->CheckPosition(desk_->desk_id(), 1)).reason, "compacted");
  EXPECT_TRUE(desk_->CheckPosition(desk_->desk_id(), 2).ok());
  resumed.set_value();
  slow.join();
}

}  // namespace
}  // namespace agentdesk::desk
