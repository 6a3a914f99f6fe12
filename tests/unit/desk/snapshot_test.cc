#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/desk_fixture.h"

// Who shares a snapshot with whom.
namespace agentdesk::desk {
namespace {

class SnapshotTest : public testing::DeskFixture {
 protected:
  // Keeps the thread of snapshots busy until free_ has its value.
  void Occupy() {
    std::promise<void> busy;
    desk_->TakeSnapshot(Caller{}, {}, [&](const auto&) {
      busy.set_value();
      free_.get_future().wait();
    });
    busy.get_future().wait();
  }

  std::promise<void> free_;
};

TEST_F(SnapshotTest, WhoWaitsForTheSameSnapshotIsGivenOne) {
  const std::string ticket_id = Create("First").ticket_id();
  Occupy();
  v1::EventFilter named;
  named.add_ticket_ids(ticket_id);
  named.add_types(v1::EVENT_TYPE_AGENT_MESSAGE);
  std::vector<std::promise<std::shared_ptr<const SnapshotParts>>> all(3);
  std::vector<std::promise<std::shared_ptr<const SnapshotParts>>> one(2);
  const auto ask = [this](const v1::EventFilter& filter, auto& taken) {
    desk_->TakeSnapshot(Caller{}, filter, [&](auto parts) { taken.set_value(*std::move(parts)); });
  };
  for (size_t i = 0; i < all.size(); ++i) {
    ask({}, all[i]);
    if (i < one.size()) ask(named, one[i]);
    named.clear_types();
    Create("Meanwhile");
  }
  free_.set_value();
  const auto parts = all[0].get_future().get();
  EXPECT_EQ(parts->sequence, desk_->log().head());
  EXPECT_EQ(parts->parts[0].tickets_size(), 4);
  EXPECT_EQ(all[1].get_future().get(), parts);
  EXPECT_EQ(all[2].get_future().get(), parts);
  const auto of_one = one[0].get_future().get();
  EXPECT_EQ(of_one->parts[0].tickets_size(), 1);
  EXPECT_EQ(one[1].get_future().get(), of_one);
}

TEST_F(SnapshotTest, WhoNoLongerWantsASnapshotIsPassedOver) {
  Occupy();
  std::atomic<int> taken = 0;
  const auto take = [&](const auto&) { ++taken; };
  v1::EventFilter named;
  named.add_ticket_ids(ids_.NewUuid(clock_.Now()).ToString());
  desk_->TakeSnapshot(Caller{}, named, take, [] { return false; });
  desk_->TakeSnapshot(Caller{}, {}, take, [] { return false; });
  std::promise<void> last;
  desk_->TakeSnapshot(
      Caller{}, {}, [&](const auto&) { last.set_value(); }, [] { return true; });
  free_.set_value();
  last.get_future().wait();
  Close();
  EXPECT_EQ(taken, 0);
}

}  // namespace
}  // namespace agentdesk::desk
