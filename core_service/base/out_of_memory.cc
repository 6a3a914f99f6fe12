#include "core_service/base/out_of_memory.h"

#include <unistd.h>

#include <cstring>
#include <new>

namespace agentdesk {
namespace {

const char* name = "agentdesk";

[[noreturn]] void End() {
  // Nothing here may need memory.
  constexpr char kText[] =
      ": out of memory; what was acknowledged is stored; give the process more memory\n";
  ssize_t written = write(STDERR_FILENO, name, std::strlen(name));
  if (written >= 0) written = write(STDERR_FILENO, kText, sizeof(kText) - 1);
  _exit(written >= 0 ? 1 : 2);
}

}  // namespace

void EndWhenOutOfMemory(const char* program) {
  name = program;
  std::set_new_handler(End);
}

}  // namespace agentdesk
