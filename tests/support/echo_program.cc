#include "tests/support/echo_program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace agentdesk::testing {

EchoProgram::EchoProgram(int descriptors) {
  int out[2];
  EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  const std::string command =
      absl::StrCat(descriptors > 0 ? absl::StrCat("ulimit -n ", descriptors, "; ") : "",
                   "exec " WS_ECHO_PROGRAM);
  const char* const argv[] = {"/bin/sh", "-c", command.c_str(), nullptr};
  EXPECT_EQ(::posix_spawn(&pid_, argv[0], &actions, nullptr, const_cast<char**>(argv), environ), 0);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  FILE* const lines = ::fdopen(out[0], "r");
  unsigned port = 0;
  EXPECT_EQ(std::fscanf(lines, "listening on port %u", &port), 1);
  std::fclose(lines);
  port_ = static_cast<uint16_t>(port);
}

EchoProgram::~EchoProgram() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace agentdesk::testing
