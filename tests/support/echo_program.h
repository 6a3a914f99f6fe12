#ifndef AGENTDESK_TESTS_SUPPORT_ECHO_PROGRAM_H_
#define AGENTDESK_TESTS_SUPPORT_ECHO_PROGRAM_H_

#include <sys/types.h>

#include <cstdint>

namespace agentdesk::testing {

// ws_echo as a process of its own, on a port that it picked. Killed when this is destroyed.
class EchoProgram {
 public:
  // `descriptors`: how many it may open; 0: as many as the test.
  explicit EchoProgram(int descriptors = 0);
  ~EchoProgram();
  EchoProgram(const EchoProgram&) = delete;
  EchoProgram& operator=(const EchoProgram&) = delete;

  uint16_t port() const { return port_; }

 private:
  pid_t pid_ = 0;
  uint16_t port_ = 0;
};

}  // namespace agentdesk::testing

#endif  // AGENTDESK_TESTS_SUPPORT_ECHO_PROGRAM_H_
