#include "tools/utf8.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace agentdesk::tools {
namespace {

TEST(Utf8Test, HeadAndTailEndAtCharacters) {
  const std::string text = "aä€😀z";  // 1, 2, 3, 4 and 1 bytes
  EXPECT_EQ(Head(text, 2), "a");
  EXPECT_EQ(Head(text, 3), "aä");
  EXPECT_EQ(Head(text, 5), "aä");
  EXPECT_EQ(Head(text, 6), "aä€");
  EXPECT_EQ(Head(text, 9), "aä€");
  EXPECT_EQ(Head(text, 100), text);
  EXPECT_EQ(Tail(text, 1), "z");
  EXPECT_EQ(Tail(text, 4), "z");
  EXPECT_EQ(Tail(text, 5), "😀z");
  EXPECT_EQ(Tail(text, 100), text);
  EXPECT_EQ(FirstCharacters(text, 3), "aä€");
}

TEST(Utf8Test, SplitPiecesFitAndPutTogetherAreTheText) {
  std::string text;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&text, i % 3 == 0 ? "😀" : i % 3 == 1 ? "ä" : "x");
  for (const size_t most : {4u, 5u, 6u, 7u, 100u, 1000u, 100000u}) {
    const auto pieces = Split(text, most);
    EXPECT_EQ(absl::StrJoin(pieces, ""), text);
    for (const absl::string_view piece : pieces) {
      EXPECT_LE(piece.size(), most);
      EXPECT_EQ(Repair(piece), piece) << "cut inside a character";
    }
  }
  EXPECT_EQ(Split("", 10).size(), 1u);
}

TEST(Utf8Test, SplitEndsOnBytesThatAreNoText) {
  const std::string bytes(100, '\x80');
  const auto pieces = Split(bytes, 7);
  EXPECT_EQ(absl::StrJoin(pieces, ""), bytes);
}

TEST(Utf8Test, CutMiddleKeepsHeadAndTailAndSaysHowMuchIsMissing) {
  const std::string text = absl::StrCat("BEGIN", std::string(10000, '.'), "END");
  const std::string cut = CutMiddle(text, 1000);
  EXPECT_LE(cut.size(), 1000u);
  EXPECT_EQ(cut.substr(0, 5), "BEGIN");
  EXPECT_EQ(cut.substr(cut.size() - 3), "END");
  EXPECT_NE(cut.find("bytes left out"), std::string::npos);
  EXPECT_EQ(CutMiddle(text, text.size()), text);
}

TEST(Utf8Test, RepairReplacesWhatIsNoUtf8) {
  EXPECT_EQ(Repair("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(Repair("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(Repair("\xC3"), "\uFFFD");
  EXPECT_EQ(Repair("äöü"), "äöü");
}

TEST(Utf8Test, ForTerminalObeysNothing) {
  EXPECT_EQ(ForTerminal("\x1b[31mred\x07"), "\\x1b[31mred\\x07");
  EXPECT_EQ(ForTerminal("a\r\n\tb"), "a\\x0d\n\tb");
  EXPECT_EQ(ForTerminal("\u009b1m"), "\\x9b1m");
  EXPECT_EQ(ForTerminal("ä"), "ä");
}

}  // namespace
}  // namespace agentdesk::tools
