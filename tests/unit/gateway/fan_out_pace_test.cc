#include "ws_gateway/fan_out_pace.h"

#include "gtest/gtest.h"

namespace agentdesk::gateway {
namespace {

constexpr absl::Duration kBegan = absl::Seconds(1000);

TEST(FanOutPaceTest, TheFirstFanOutIsAtOnce) { EXPECT_LT(FanOutPace().next(), kBegan); }

TEST(FanOutPaceTest, WhatComesAloneIsNeverHeldUp) {
  FanOutPace pace;
  pace.Wrote(1, kBegan, kBegan + absl::Milliseconds(3));
  EXPECT_EQ(pace.next(), kBegan + absl::Milliseconds(3));
}

TEST(FanOutPaceTest, RestsTwiceAsLongAsSeveralTookToWrite) {
  FanOutPace pace;
  pace.Wrote(2, kBegan, kBegan + absl::Milliseconds(2));
  EXPECT_EQ(pace.next(), kBegan + absl::Milliseconds(6));
}

TEST(FanOutPaceTest, RestsNoLongerThanTheLongestRest) {
  FanOutPace pace;
  pace.Wrote(2, kBegan, kBegan + absl::Seconds(1));
  EXPECT_EQ(pace.next(), kBegan + absl::Seconds(1) + FanOutPace::kLongestRest);
}

TEST(FanOutPaceTest, NoLongerRestsOnceEventsComeOneByOne) {
  FanOutPace pace;
  pace.Wrote(2, kBegan, kBegan + absl::Milliseconds(3));
  pace.Wrote(1, kBegan + absl::Milliseconds(6), kBegan + absl::Milliseconds(9));
  EXPECT_EQ(pace.next(), kBegan + absl::Milliseconds(9));
}

}  // namespace
}  // namespace agentdesk::gateway
