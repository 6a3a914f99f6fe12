#include "tests/support/temp_dir.h"

#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace agentdesk::testing {

TempDir::TempDir() {
  // In memory where nobody says otherwise: stores sync often, and what tests look at is not the
  // disk.
  std::string parent = "/dev/shm";
  if (std::getenv("TMPDIR") != nullptr || access(parent.c_str(), W_OK) != 0) {
    parent = std::filesystem::temp_directory_path().string();
  }
  std::string name = parent + "/agentdesk-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    std::perror("mkdtemp");
    std::abort();
  }
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace agentdesk::testing
