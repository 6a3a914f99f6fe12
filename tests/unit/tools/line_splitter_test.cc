#include "tools/agentdesk-worker/line_splitter.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace agentdesk::worker {
namespace {

using testing::ElementsAre;

class LineSplitterTest : public testing::Test {
 protected:
  void Feed(absl::string_view bytes) {
    splitter_.Feed(
        bytes, [this](absl::string_view line) { lines_.emplace_back(line); },
        [this](absl::string_view begin) { lines_.push_back("too long: " + std::string(begin)); });
  }

  LineSplitter splitter_{5};
  std::vector<std::string> lines_;
};

TEST_F(LineSplitterTest, LinesInAnyPieces) {
  Feed("ab\nc");
  Feed("d\n\nef");
  EXPECT_THAT(lines_, ElementsAre("ab", "cd", ""));
  splitter_.Finish([this](absl::string_view line) { lines_.emplace_back(line); });
  EXPECT_THAT(lines_, ElementsAre("ab", "cd", "", "ef"));
}

TEST_F(LineSplitterTest, TooLongIsToldOnceAndTheNextLineIsWhole) {
  Feed("12345\n123456");
  Feed("789");
  Feed("0\nok\n");
  EXPECT_THAT(lines_, ElementsAre("12345", "too long: 12345", "ok"));
}

TEST_F(LineSplitterTest, TooLongInOnePiece) {
  Feed("1234567\nok\n7654321\n");
  EXPECT_THAT(lines_, ElementsAre("too long: 12345", "ok", "too long: 76543"));
}

}  // namespace
}  // namespace agentdesk::worker
