#include "tools/agentdesk-worker/outgoing.h"

#include "gtest/gtest.h"

namespace agentdesk::worker {
namespace {

v1::Activity Said(size_t bytes) {
  v1::Activity activity;
  activity.mutable_message()->set_content(std::string(bytes, 'x'));
  return activity;
}

TEST(OutgoingTest, ActivitiesAndCheckpointsGoTogetherAllElseAlone) {
  Outgoing outgoing;
  outgoing.Push(Said(1));
  outgoing.Push(Checkpoint{"1"});
  outgoing.Push(Said(2));
  outgoing.Push(Ask());
  outgoing.Push(Said(3));
  outgoing.Push(v1::CompleteJobRequest());
  EXPECT_EQ(outgoing.Take().size(), 3u);
  outgoing.Done();
  EXPECT_TRUE(std::holds_alternative<Ask>(outgoing.Take().at(0)));
  outgoing.Done();
  EXPECT_EQ(outgoing.Take().size(), 1u);
  outgoing.Done();
  const auto last = outgoing.Take();
  ASSERT_EQ(last.size(), 1u);
  EXPECT_TRUE(IsLast(last[0]));
  outgoing.Done();
  EXPECT_TRUE(outgoing.empty());
  EXPECT_EQ(outgoing.bytes(), 0u);
}

TEST(OutgoingTest, AReportIsBounded) {
  Outgoing outgoing;
  for (int i = 0; i < 250; ++i) outgoing.Push(Said(1));
  EXPECT_EQ(outgoing.Take().size(), 100u);
  outgoing.Done();
  outgoing.Clear();
  for (int i = 0; i < 50; ++i) outgoing.Push(Said(32 * 1024));
  const size_t taken = outgoing.Take().size();
  EXPECT_GT(taken, 20u);
  EXPECT_LT(taken, 33u);
}

TEST(OutgoingTest, ARefusedBatchComesAgainOneByOneInOrder) {
  Outgoing outgoing;
  for (size_t i = 1; i <= 3; ++i) outgoing.Push(Said(i));
  const size_t bytes = outgoing.bytes();
  outgoing.ComeAgainAlone(outgoing.Take());
  EXPECT_EQ(outgoing.bytes(), bytes);
  outgoing.Push(Said(4));
  outgoing.Push(Said(5));
  for (size_t i = 1; i <= 3; ++i) {
    const auto alone = outgoing.Take();
    ASSERT_EQ(alone.size(), 1u);
    EXPECT_EQ(std::get<v1::Activity>(alone[0]).message().content().size(), i);
    outgoing.Done();
  }
  EXPECT_EQ(outgoing.Take().size(), 2u);
  outgoing.Done();
  EXPECT_EQ(outgoing.bytes(), 0u);
}

TEST(OutgoingTest, BytesCountWhatIsUnderWay) {
  Outgoing outgoing;
  outgoing.Push(Said(1000));
  outgoing.Take();
  EXPECT_GE(outgoing.bytes(), 1000u);
  outgoing.Done();
  EXPECT_EQ(outgoing.bytes(), 0u);
}

}  // namespace
}  // namespace agentdesk::worker
