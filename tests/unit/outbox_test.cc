#include "ws_gateway/outbox.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace agentdesk::gateway {
namespace {

using std::chrono::milliseconds;

class OutboxTest : public ::testing::Test {
 protected:
  OutboxTest() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_.data()), 0);
    const int small = 4096;
    ::setsockopt(fds_[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
  }
  ~OutboxTest() override {
    ::close(fds_[0]);
    if (fds_[1] >= 0) ::close(fds_[1]);
  }

  // A frame that the peer is to see.
  Frames Expect(absl::string_view payload) {
    Frames frames = MakeFrame(payload);
    absl::StrAppend(&expected_, frames.bytes);
    return frames;
  }
  void Append(absl::string_view payload, int64_t mark) {
    outbox_.Append(Expect(payload), mark, now_);
  }
  // Writes it through as far as it goes, and appends the rest; how much was written.
  size_t Send(absl::string_view payload, int64_t mark) {
    Frames frames = Expect(payload);
    const size_t written = outbox_.WriteThrough(fds_[0], frames, mark);
    outbox_.Append(std::move(frames), mark, now_, written);
    return written;
  }
  void Flush() { ASSERT_FALSE(outbox_.Flush(fds_[0])); }
  // Reads what there is, at most `limit` bytes.
  void Receive(size_t limit = 1 << 20) {
    std::string bytes(limit, 0);
    const ssize_t size = ::read(fds_[1], bytes.data(), bytes.size());
    if (size > 0) received_.append(bytes, 0, static_cast<size_t>(size));
  }
  void ReceiveAll() {
    while (!outbox_.empty()) {
      Receive();
      Flush();
    }
    Receive();
  }
  // Fills the socket until something stays in the outbox.
  void Block(size_t payload_size) {
    while (outbox_.empty()) {
      Append(std::string(payload_size, 'x'), ++mark_);
      Flush();
    }
  }

  std::array<int, 2> fds_ = {-1, -1};
  Outbox outbox_;
  Outbox::Clock::time_point now_;
  int64_t mark_ = 0;
  std::string expected_;
  std::string received_;
};

TEST_F(OutboxTest, WritesAtOnceWhatTheSocketTakes) {
  Append("one", 7);
  EXPECT_EQ(outbox_.queued_bytes(), 5u);
  EXPECT_EQ(outbox_.written_mark(), 0);
  Flush();
  EXPECT_TRUE(outbox_.empty());
  EXPECT_EQ(outbox_.queued_bytes(), 0u);
  EXPECT_EQ(outbox_.written_mark(), 7);
  Receive();
  EXPECT_EQ(received_, expected_);
}

TEST_F(OutboxTest, KeepsNothingOfWhatTheSocketTakesAtOnce) {
  EXPECT_EQ(Send("one", 7), 5u);
  EXPECT_TRUE(outbox_.empty());
  EXPECT_EQ(outbox_.written_mark(), 7);
  Receive();
  EXPECT_EQ(received_, expected_);
}

TEST_F(OutboxTest, KeepsTheRestOfWhatTheSocketTakesInPart) {
  const size_t written = Send(std::string(100000, 'x'), 1);
  EXPECT_GT(written, 0u);
  EXPECT_EQ(outbox_.queued_bytes(), expected_.size() - written);
  EXPECT_EQ(outbox_.written_mark(), 0);
  EXPECT_EQ(Send("y", 2), 0u) << "it must not overtake what waits";
  ReceiveAll();
  EXPECT_EQ(received_, expected_);
  EXPECT_EQ(outbox_.written_mark(), 2);
}

TEST_F(OutboxTest, FinishesTheFrameThatTheSocketTookInPart) {
  Send(std::string(100000, 'x'), 1);
  Append("dropped", 2);
  outbox_.DropUnstarted();
  ReceiveAll();
  EXPECT_EQ(received_, MakeFrame(std::string(100000, 'x')).bytes);
}

TEST_F(OutboxTest, GathersManyFramesInOrder) {
  for (int i = 1; i <= 1000; ++i) Append(absl::StrCat("event ", i), i);
  Flush();
  ReceiveAll();
  EXPECT_EQ(received_, expected_);
  EXPECT_EQ(outbox_.written_mark(), 1000);
}

TEST_F(OutboxTest, PartialWritesLoseAndRepeatNothing) {
  for (int i = 1; i <= 300; ++i) Append(std::string(static_cast<size_t>(i * 7), "abc"[i % 3]), i);
  Flush();
  while (!outbox_.empty()) {
    Receive(777);
    Flush();
  }
  ReceiveAll();
  EXPECT_EQ(received_, expected_);
}

TEST_F(OutboxTest, MarkMovesWithTheLastByteOnly) {
  Append(std::string(100000, 'x'), 1);
  Append("", 0);
  Append("y", 5);
  Append("z", 3);
  Flush();
  ASSERT_FALSE(outbox_.empty());
  EXPECT_EQ(outbox_.written_mark(), 0);
  ReceiveAll();
  EXPECT_EQ(outbox_.written_mark(), 5);
  EXPECT_EQ(received_, expected_);
}

TEST_F(OutboxTest, DropsAllButTheFrameUnderWay) {
  std::string two_frames;
  AppendTextFrame(std::string(50000, 'a'), two_frames);
  const size_t first = two_frames.size();
  AppendTextFrame("cut", two_frames);
  outbox_.Append(OwnFrames(two_frames), 9, now_);
  Append("dropped", 10);
  Flush();
  ASSERT_FALSE(outbox_.empty());
  outbox_.DropUnstarted();
  EXPECT_LT(outbox_.queued_bytes(), first);
  outbox_.Append(MakeCloseFrame(4430, "slow"), 0, now_);
  ReceiveAll();
  EXPECT_EQ(received_,
            absl::StrCat(two_frames.substr(0, first), MakeCloseFrame(4430, "slow").bytes));
  EXPECT_EQ(outbox_.written_mark(), 0) << "the second frame of the batch was never written";
}

TEST_F(OutboxTest, DropsEverythingWhenNoFrameIsUnderWay) {
  Append("never written", 1);
  outbox_.DropUnstarted();
  EXPECT_TRUE(outbox_.empty());
  EXPECT_EQ(outbox_.queued_bytes(), 0u);
}

TEST_F(OutboxTest, KnowsTheAgeOfTheOldestByte) {
  now_ += milliseconds(10);
  Append(std::string(100000, 'x'), 1);
  Flush();
  now_ += milliseconds(10);
  Append("y", 2);
  EXPECT_EQ(outbox_.oldest(), Outbox::Clock::time_point(milliseconds(10)));
  ReceiveAll();
  now_ += milliseconds(10);
  Block(1000);
  EXPECT_EQ(outbox_.oldest(), now_);
}

TEST_F(OutboxTest, TinyFramesCostMoreThanTheirBytes) {
  Block(1000);
  outbox_.Clear();
  EXPECT_EQ(outbox_.cost(), 0u);
  for (int i = 0; i < 100; ++i) Append("", 0);
  EXPECT_EQ(outbox_.queued_bytes(), 200u);
  EXPECT_EQ(outbox_.cost(), 12800u);
  Append(std::string(100000, 'x'), 0);
  EXPECT_EQ(outbox_.cost(), outbox_.queued_bytes());
}

TEST_F(OutboxTest, BrokenSocketIsAnError) {
  ::close(fds_[1]);
  fds_[1] = -1;
  EXPECT_EQ(Send("nobody", 1), 0u);
  EXPECT_EQ(outbox_.Flush(fds_[0]), std::errc::broken_pipe);
  EXPECT_EQ(outbox_.written_mark(), 0);
}

}  // namespace
}  // namespace agentdesk::gateway
