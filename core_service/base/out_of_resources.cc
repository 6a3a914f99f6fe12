#include "core_service/base/out_of_resources.h"

#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <new>

#include "absl/base/config.h"

namespace agentdesk {
namespace {

std::atomic<const char*> name = nullptr;

// Nothing here may need memory.
[[noreturn]] void End(const char* why) {
  for (const char* text : {name.load(), why}) {
    if (write(STDERR_FILENO, text, std::strlen(text)) < 0) _exit(2);
  }
  _exit(1);
}

[[noreturn]] void EndWithoutMemory() {
  End(": out of memory; what was acknowledged is stored; give the process more memory\n");
}

}  // namespace

void EndWhenOutOfResources(const char* program) {
  name = program;
  std::set_new_handler(EndWithoutMemory);
}

}  // namespace agentdesk

#if !defined(ABSL_HAVE_ADDRESS_SANITIZER) && !defined(ABSL_HAVE_THREAD_SANITIZER)
// In place of the C library's, since gRPC counts on a thread whose start it does not check: what it
// then leaves to that thread is never done, and connections stand still for ever.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*body)(void*), void* argument) noexcept {
  static const auto create =
      reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  const int error = create(thread, attributes, body, argument);
  if (error != 0 && agentdesk::name.load() != nullptr) {
    agentdesk::End(
        ": a thread could not be started; what was acknowledged is stored; give the process more "
        "memory or threads\n");
  }
  return error;
}
#endif
