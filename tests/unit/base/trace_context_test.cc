#include "core_service/base/trace_context.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/time/clock.h"

namespace agentdesk {
namespace {

constexpr char kValid[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceContextTest, ReadsWhatItWrites) {
  const auto context = TraceContext::Parse(kValid);
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->trace_id, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(context->span_id, "b7ad6b7169203331");
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(context->ToHeader(), kValid);
}

TEST(TraceContextTest, ReadsLaterVersionsAndOtherFlags) {
  const std::string rest = std::string(kValid).substr(2, 51);
  EXPECT_EQ(TraceContext::Parse("01" + rest + "01-more")->ToHeader(), kValid);
  EXPECT_FALSE(TraceContext::Parse("00" + rest + "02")->sampled);
  EXPECT_TRUE(TraceContext::Parse("00" + rest + "ff")->sampled);
}

TEST(TraceContextTest, IgnoresWhatIsMalformed) {
  const std::string valid = kValid;
  const std::string wrong_ones[] = {"",
                                    valid.substr(1),
                                    valid + "x",
                                    valid + "-more",
                                    "ff" + valid.substr(2),
                                    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                                    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                                    "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                                    "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
  for (const std::string& wrong : wrong_ones) {
    EXPECT_FALSE(TraceContext::Parse(wrong).has_value()) << wrong;
  }
}

TEST(TraceContextTest, ANewTraceAndItsChildrenAreWellFormed) {
  IdSource& ids = IdSource::Real();
  const TraceContext first = TraceContext::New(ids, absl::Now());
  const TraceContext child = first.Child(ids, absl::Now());
  EXPECT_EQ(TraceContext::Parse(first.ToHeader())->trace_id, first.trace_id);
  EXPECT_EQ(TraceContext::Parse(child.ToHeader())->span_id, child.span_id);
  EXPECT_EQ(child.trace_id, first.trace_id);
  EXPECT_NE(child.span_id, first.span_id);
  EXPECT_NE(TraceContext::New(ids, absl::Now()).trace_id, first.trace_id);
}

}  // namespace
}  // namespace agentdesk
