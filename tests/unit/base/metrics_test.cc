#include "core_service/base/metrics.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace agentdesk {
namespace {

TEST(MetricsTest, WritesTheTextFormat) {
  Metrics metrics;
  metrics.AddCounter("agentdesk_things_total", "Things.", {{"kind", "small"}}).Increment(3);
  metrics.AddGauge("agentdesk_level", "Level.").Set(1.5);
  metrics.AddHistogram("agentdesk_wait_seconds", "Wait.", {0.1, 1}).Observe(0.5);
  const std::string text = metrics.Text();
  for (const char* line : {
           "# HELP agentdesk_things_total Things.\n",
           "# TYPE agentdesk_things_total counter\n",
           "agentdesk_things_total{kind=\"small\"} 3\n",
           "# TYPE agentdesk_level gauge\n",
           "agentdesk_level 1.5\n",
           "# TYPE agentdesk_wait_seconds histogram\n",
           "agentdesk_wait_seconds_count 1\n",
           "agentdesk_wait_seconds_bucket{le=\"0.1\"} 0\n",
           "agentdesk_wait_seconds_bucket{le=\"1\"} 1\n",
           "agentdesk_wait_seconds_bucket{le=\"+Inf\"} 1\n",
       }) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << "is not in\n" << text;
  }
}

TEST(MetricsTest, TheSameNameAndLabelsAreOneInstrument) {
  Metrics metrics;
  metrics.AddCounter("agentdesk_things_total", "Things.").Increment();
  metrics.AddCounter("agentdesk_things_total", "Things.").Increment();
  EXPECT_TRUE(absl::StrContains(metrics.Text(), "agentdesk_things_total 2\n"));
}

TEST(MetricsTest, ReadingsOfOneNameAreOneFamilyAndThoseOfTheSameLabelsAddUp) {
  Metrics metrics;
  Tally first;
  Tally second;
  const auto read = [](const Tally& tally) {
    return [&tally] { return static_cast<double>(tally.value()); };
  };
  metrics.ReadCounter("agentdesk_read_total", "Read.", {{"kind", "a"}}, read(first));
  metrics.ReadCounter("agentdesk_read_total", "Read.", {{"kind", "a"}}, read(second));
  metrics.ReadCounter("agentdesk_read_total", "Read.", {{"kind", "b"}}, read(second));
  first.Add(40);
  second.Add(2);
  EXPECT_EQ(metrics.Text(),
            "# HELP agentdesk_read_total Read.\n"
            "# TYPE agentdesk_read_total counter\n"
            "agentdesk_read_total{kind=\"a\"} 42\n"
            "agentdesk_read_total{kind=\"b\"} 2\n");
}

TEST(MetricsTest, IsReadWhileOthersCount) {
  Metrics metrics;
  Tally tally;
  metrics.ReadCounter("agentdesk_read_total", "Read.", {},
                      [&tally] { return static_cast<double>(tally.value()); });
  auto& counter = metrics.AddCounter("agentdesk_things_total", "Things.");
  auto& histogram = metrics.AddHistogram("agentdesk_wait_seconds", "Wait.", LatencyBounds());
  constexpr int kRounds = 2000;
  std::thread owner([&] {
    for (int i = 0; i < kRounds; ++i) tally.Add(1);
  });
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i) {
    others.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        counter.Increment();
        histogram.Observe(0.001);
      }
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(metrics.Text().empty());
  owner.join();
  for (std::thread& other : others) other.join();
  const std::string text = metrics.Text();
  EXPECT_TRUE(absl::StrContains(text, absl::StrCat("agentdesk_read_total ", kRounds, "\n")));
  EXPECT_TRUE(absl::StrContains(text, absl::StrCat("agentdesk_things_total ", 2 * kRounds, "\n")));
  EXPECT_TRUE(
      absl::StrContains(text, absl::StrCat("agentdesk_wait_seconds_count ", 2 * kRounds, "\n")));
}

TEST(MetricsTest, EnumsReadAsWords) {
  EXPECT_EQ(EnumLabel("JOB_STATUS_QUEUED", "JOB_STATUS_"), "queued");
  EXPECT_EQ(EnumLabel("EVENT_TYPE_TOOL_CALL", "EVENT_TYPE_"), "tool_call");
}

}  // namespace
}  // namespace agentdesk
