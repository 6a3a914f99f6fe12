#include "tools/agentdesk/backup_file.h"

#include <unistd.h>

#include <fstream>
#include <iterator>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace agentdesk::cli {
namespace {

constexpr absl::string_view kContent = "abc";
constexpr int64_t kSize = kContent.size();

std::string Sha256OfContent() {
  return absl::HexStringToBytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

class BackupFileTest : public ::testing::Test {
 protected:
  static absl::Status Finish(BackupFile& file) {
    absl::Status status = file.Append(kContent);
    status.Update(file.Commit(kSize, Sha256OfContent()));
    return status;
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  bool PartIsThere() const { return access((path_ + ".partial").c_str(), F_OK) == 0; }

  testing::TempDir folder_;
  const std::string path_ = folder_.File("backup");
};

TEST_F(BackupFileTest, HasItsNameOnceItIsWhole) {
  auto file = BackupFile::Create(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
  EXPECT_TRUE(Finish(**file).ok());
  EXPECT_EQ(Read(path_), kContent);
  EXPECT_FALSE(PartIsThere());
  EXPECT_TRUE(absl::IsAlreadyExists(BackupFile::Create(path_).status()));
}

TEST_F(BackupFileTest, WhatIsNotWholeIsRemoved) {
  auto file = BackupFile::Create(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->Append(kContent).ok());
  EXPECT_TRUE(absl::IsDataLoss((*file)->Commit(kSize + 1, Sha256OfContent())));
  file->reset();
  EXPECT_FALSE(PartIsThere());
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(BackupFileTest, TwoOfOneNameDoNotDisturbEachOther) {
  auto first = BackupFile::Create(path_);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE((*first)->Append(kContent).ok());
  const auto second = BackupFile::Create(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_TRUE(PartIsThere()) << "it is the first one's";
  EXPECT_TRUE((*first)->Commit(kSize, Sha256OfContent()).ok());
  EXPECT_EQ(Read(path_), kContent);
}

TEST_F(BackupFileTest, WhatOneThatWasKilledHasLeftIsNoHindrance) {
  std::ofstream(path_ + ".partial") << "more than is to come";
  auto file = BackupFile::Create(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(Finish(**file).ok());
  EXPECT_EQ(Read(path_), kContent);
}

}  // namespace
}  // namespace agentdesk::cli
