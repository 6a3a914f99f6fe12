// How one event gets to everybody, a stride of connections at a time, whoever comes and goes
// meanwhile.

#include "ws_gateway/hub.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/gateway/gateway_fixture.h"

namespace agentdesk::gateway {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr size_t kBrowsers = 3 * Hub::kStride + 5;

class HubTest : public GatewayTest {
 protected:
  HubTest() {
    Begin();
    for (size_t i = 0; i < kBrowsers; ++i) Follow();
  }
  void Follow() {
    Full(SubscribeFrom{.kind = SubscribeFrom::Kind::kAfter, .desk_id = kDesk, .after = 0});
  }
  void Finish() {
    while (hub_->publishing()) hub_->GoOn();
  }
  // How many events each browser that is left has heard since the last time.
  std::vector<size_t> EventsOfEach() {
    std::vector<size_t> events;
    for (const auto& browser : browsers_) {
      if (browser->handler != nullptr) events.push_back(browser->Events().size());
    }
    return events;
  }
};

TEST_F(HubTest, AnEventGoesToAStrideAtATime) {
  Publish({Message(1, "one")});
  std::vector<size_t> expected(kBrowsers, 0);
  std::fill_n(expected.begin(), Hub::kStride, 1);
  EXPECT_EQ(EventsOfEach(), expected);
  ASSERT_TRUE(hub_->publishing());
  Finish();
  for (size_t& events : expected) events = 1 - events;
  EXPECT_EQ(EventsOfEach(), expected);
}

TEST_F(HubTest, WhoLeavesMeanwhileTakesNobodysEvents) {
  const std::vector<std::vector<size_t>> leaving = {{0},
                                                    {Hub::kStride - 1},
                                                    {Hub::kStride},
                                                    {kBrowsers - 1},
                                                    {5, 4, 3},
                                                    {Hub::kStride + 7, 9, kBrowsers - 2, 10}};
  int64_t sequence = 0;
  for (const std::vector<size_t>& indexes : leaving) {
    Publish({Message(++sequence, "x")});
    ASSERT_TRUE(hub_->publishing());
    for (const size_t index : indexes) {
      SCOPED_TRACE(index);
      ASSERT_NE(browsers_[index]->handler, nullptr);
      Close(*browsers_[index]);
    }
    Finish();
    EXPECT_THAT(EventsOfEach(), Each(1));
  }
  Publish({Message(++sequence, "x")});
  Finish();
  EXPECT_THAT(EventsOfEach(), AllOf(Each(1), SizeIs(kBrowsers - 11)));
}

TEST_F(HubTest, AllMayLeaveMeanwhile) {
  Publish({Message(1, "x")});
  for (const auto& browser : browsers_) Close(*browser);
  Finish();
  EXPECT_TRUE(hub_->empty());
}

TEST_F(HubTest, WhoHasHadTheEventMayLeaveWhenNobodyWaitsForItAnyMore) {
  Publish({Message(1, "one")});
  for (size_t i = Hub::kStride; i < kBrowsers; ++i) Close(*browsers_[i]);
  ASSERT_TRUE(hub_->publishing());
  for (const size_t index : {size_t{0}, Hub::kStride - 1, size_t{1}}) Close(*browsers_[index]);
  Finish();
  Publish({Message(2, "two")});
  EXPECT_THAT(EventsOfEach(), AllOf(Each(2), SizeIs(Hub::kStride - 3)));
}

TEST_F(HubTest, WhoComesMeanwhileGetsTheEventOnce) {
  Publish({Message(1, "one")});
  Follow();
  Finish();
  EXPECT_THAT(EventsOfEach(), AllOf(Each(1), SizeIs(kBrowsers + 1)));
}

TEST_F(HubTest, WhoFetchesTheEventBeforeItsTurnGetsItOnce) {
  Publish({Message(1, "one")});
  Browser& last = *browsers_.back();
  last.Say(absl::StrCat(R"({"type":"subscribe","from":{"desk":")", kDesk, R"(","after":0}})"));
  EXPECT_THAT(last.Events(), SizeIs(1));
  Finish();
  EXPECT_THAT(last.Events(), SizeIs(0));
}

TEST_F(HubTest, WhatComesMeanwhileWaitsForTheLastBrowser) {
  Publish({Message(1, "one")});
  Publish({Message(2, "two")});
  Browser& last = *browsers_.back();
  EXPECT_THAT(last.Events(), ElementsAre(HasSubstr("one")));
  hub_->ReportGap({.reason = "log_was_reset", .desk_id = kDesk, .available_from = 0});
  EXPECT_FALSE(hub_->publishing());
  EXPECT_THAT(last.Heard(), ElementsAre(HasSubstr("two"), HasSubstr(R"("type":"gap")")));
}

}  // namespace
}  // namespace agentdesk::gateway
