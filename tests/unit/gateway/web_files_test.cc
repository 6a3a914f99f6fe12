#include "ws_gateway/web_files.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace agentdesk::gateway {
namespace {

using ::agentdesk::testing::TempDir;
using ::agentdesk::testing::Value;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsNull;

void Put(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

TEST(WebFilesTest, ServesWhatWasThereAtTheStart) {
  const TempDir dir;
  Put(dir.File("index.html"), "<p>");
  Put(dir.File("assets/index-1.js"), "1");
  const WebFiles web = Value(WebFiles::Read(dir.path()));
  std::filesystem::remove(dir.File("index.html"));
  Put(dir.File("late.js"), "2");

  const WebFile* page = web.Find("/");
  ASSERT_NE(page, nullptr);
  EXPECT_EQ(page->bytes, "<p>");
  EXPECT_EQ(page->content_type, "text/html; charset=utf-8");
  EXPECT_FALSE(page->immutable);
  const WebFile* script = web.Find("/assets/index-1.js");
  ASSERT_NE(script, nullptr);
  EXPECT_EQ(script->content_type, "text/javascript; charset=utf-8");
  EXPECT_TRUE(script->immutable);
  EXPECT_NE(script->etag, page->etag);
  for (const char* path : {"/late.js", "/assets", "/assets/", "index.html", "//index.html", "",
                           "/../index.html", "/assets/../index.html", "/%2e%2e/index.html"}) {
    EXPECT_THAT(web.Find(path), IsNull()) << path;
  }
}

TEST(WebFilesTest, SaysWhatIsNoWebPage) {
  const TempDir dir;
  EXPECT_THAT(WebFiles::Read(dir.File("nowhere")).status().message(),
              AllOf(HasSubstr("nowhere"), HasSubstr("cannot be read")));
  EXPECT_THAT(WebFiles::Read(dir.path()).status().message(), HasSubstr("holds no index.html"));
  Put(dir.File("index.html"), "<p>");
  for (int i = 0; i < 500; ++i) Put(dir.File("f" + std::to_string(i)), "");
  EXPECT_THAT(WebFiles::Read(dir.path()).status().message(), HasSubstr("500 files"));
}

}  // namespace
}  // namespace agentdesk::gateway
