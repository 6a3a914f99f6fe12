#include "ws_gateway/frame.h"

#include <string>

#include "gtest/gtest.h"

namespace agentdesk::gateway {
namespace {

// RFC 6455 section 5.2: the length takes the fewest bytes that hold it.
TEST(FrameTest, LengthHasTheShortestForm) {
  const struct {
    size_t size;
    std::string header;
  } cases[] = {
      {0, {'\x81', 0}},
      {1, {'\x81', 1}},
      {125, {'\x81', 125}},
      {126, {'\x81', 126, 0, 126}},
      {127, {'\x81', 126, 0, 127}},
      {65535, {'\x81', 126, '\xff', '\xff'}},
      {65536, {'\x81', 127, 0, 0, 0, 0, 0, 1, 0, 0}},
  };
  for (const auto& [size, header] : cases) {
    const std::string payload(size, 'x');
    const Frames frames = MakeFrame(payload);
    EXPECT_EQ(frames.bytes, header + payload) << size;
    EXPECT_EQ(frames.bytes.data(), frames.owner->data());
  }
}

TEST(FrameTest, FramesAreAppendedBackToBack) {
  std::string bytes;
  AppendTextFrame("ab", bytes);
  AppendFrame(Opcode::kBinary, "c", bytes);
  EXPECT_EQ(bytes,
            "\x81\x02"
            "ab\x82\x01"
            "c");
}

TEST(FrameTest, FirstPayloadIsThatOfTheFirstFrame) {
  for (const size_t size : {0u, 125u, 126u, 65536u}) {
    std::string bytes;
    AppendTextFrame(std::string(size, 'x'), bytes);
    AppendTextFrame("y", bytes);
    EXPECT_EQ(FirstPayload(bytes), std::string(size, 'x'));
  }
}

// HTML Standard section 9.2.6: a line ends at CR, LF or both.
TEST(FrameTest, ServerSentEventsKeepTheirDataInOneEvent) {
  std::string bytes;
  AppendServerSentEvent("d:7", "{}", bytes);
  AppendServerSentEvent("", "{\"a\":\r\n1\n}", bytes);
  EXPECT_EQ(bytes, "id: d:7\ndata: {}\n\ndata: {\"a\":\ndata: \ndata: 1\ndata: }\n\n");
}

TEST(FrameTest, CloseFrameHoldsCodeAndReason) {
  EXPECT_EQ(MakeCloseFrame(4430, "slow").bytes, "\x88\x06\x11\x4eslow");
}

TEST(FrameTest, LongCloseReasonIsCutBetweenCharacters) {
  const std::string reason = std::string(122, 'x') + "\u20ac";
  const Frames frames = MakeCloseFrame(1000, reason);
  EXPECT_EQ(frames.bytes.substr(4), std::string(122, 'x'));
  EXPECT_EQ(MakeCloseFrame(1000, std::string(200, 'y')).bytes.size(), 127u);
}

TEST(FrameTest, FrameEndIsTheNextBoundary) {
  std::string bytes;
  for (const size_t size : {3u, 200u, 70000u, 0u}) AppendTextFrame(std::string(size, 'x'), bytes);
  const size_t first = 5;
  const size_t second = first + 204;
  const size_t third = second + 70010;
  EXPECT_EQ(FrameEnd(bytes, 0), 0u);
  EXPECT_EQ(FrameEnd(bytes, 1), first);
  EXPECT_EQ(FrameEnd(bytes, first), first);
  EXPECT_EQ(FrameEnd(bytes, first + 1), second);
  EXPECT_EQ(FrameEnd(bytes, second + 65536), third);
  EXPECT_EQ(FrameEnd(bytes, third + 1), bytes.size());
}

}  // namespace
}  // namespace agentdesk::gateway
