#ifndef AGENTDESK_TESTS_SUPPORT_TEMP_DIR_H_
#define AGENTDESK_TESTS_SUPPORT_TEMP_DIR_H_

#include <string>

namespace agentdesk::testing {

// A new empty directory, removed with all that is in it when this is destroyed.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace agentdesk::testing

#endif  // AGENTDESK_TESTS_SUPPORT_TEMP_DIR_H_
