#include "tools/agentdesk-worker/transcript.h"

#include <sys/stat.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace agentdesk::worker {
namespace {

google::protobuf::RepeatedPtrField<v1::Event> Events(int from, int to, size_t bytes = 1) {
  google::protobuf::RepeatedPtrField<v1::Event> events;
  for (int i = from; i <= to; ++i) {
    v1::Event* event = events.Add();
    event->set_sequence(i);
    event->mutable_agent_message()->set_content(std::string(bytes, 'x'));
  }
  return events;
}

TEST(TranscriptTest, LastEventsForTheAgentAllInTheFile) {
  auto transcript = Transcript::Create(testing::TempDir(), Transcript::Limits());
  ASSERT_TRUE(transcript.ok()) << transcript.status();
  ASSERT_TRUE((*transcript)->Append(Events(1, 150)).ok());
  ASSERT_TRUE((*transcript)->Append(Events(151, 300)).ok());
  const auto last = (*transcript)->Last();
  ASSERT_EQ(last.size(), 200u);
  EXPECT_TRUE(absl::StrContains(last.front(), "\"sequence\":101,"));
  EXPECT_TRUE(absl::StrContains(last.back(), "\"sequence\":300,"));
  std::ifstream file((*transcript)->file());
  std::string line;
  int lines = 0;
  while (std::getline(file, line)) {
    EXPECT_TRUE(absl::StrContains(line, absl::StrCat("\"sequence\":", ++lines, ",")));
  }
  EXPECT_EQ(lines, 300);
}

TEST(TranscriptTest, BytesAreBoundedToo) {
  auto transcript = Transcript::Create(testing::TempDir(), Transcript::Limits());
  ASSERT_TRUE(transcript.ok());
  ASSERT_TRUE((*transcript)->Append(Events(1, 20, 32 * 1024)).ok());
  size_t bytes = 0;
  for (const std::string& event : (*transcript)->Last()) bytes += event.size();
  EXPECT_LE(bytes, 256u * 1024);
  EXPECT_EQ((*transcript)->Last().size(), 7u);
}

TEST(TranscriptTest, AnEventLargerThanAllIsOnlyInTheFile) {
  auto transcript = Transcript::Create(testing::TempDir(), {.events = 10, .bytes = 1000});
  ASSERT_TRUE(transcript.ok());
  ASSERT_TRUE((*transcript)->Append(Events(1, 1, 2000)).ok());
  EXPECT_TRUE((*transcript)->Last().empty());
  ASSERT_TRUE((*transcript)->Append(Events(2, 2)).ok());
  EXPECT_EQ((*transcript)->Last().size(), 1u);
}

TEST(TranscriptTest, TheFileIsPrivateAndGoesAway) {
  auto transcript = Transcript::Create(testing::TempDir(), Transcript::Limits());
  ASSERT_TRUE(transcript.ok());
  const std::string file = (*transcript)->file();
  struct stat info;
  ASSERT_EQ(stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  transcript->reset();
  EXPECT_NE(stat(file.c_str(), &info), 0);
}

TEST(TranscriptTest, SaysWhereItCannotWrite) {
  const auto transcript = Transcript::Create("/nonexistent", Transcript::Limits());
  EXPECT_TRUE(absl::StrContains(transcript.status().message(), "/nonexistent"));
}

}  // namespace
}  // namespace agentdesk::worker
