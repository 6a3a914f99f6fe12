#include "core_service/base/out_of_resources.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>

#include <memory>
#include <thread>
#include <vector>

namespace agentdesk {
namespace {

void LimitMemory() {
  constexpr rlimit kNone{.rlim_cur = 0, .rlim_max = 0};
  setrlimit(RLIMIT_AS, &kNone);
}

void TakeMemory() {
  std::vector<std::unique_ptr<char[]>> taken;
  while (taken.size() < 64) taken.push_back(std::make_unique<char[]>(std::size_t{1} << 20));
}

void StartThread() {
  pthread_t thread;
  if (pthread_create(
          &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr) == 0) {
    pthread_join(thread, nullptr);
  }
}

TEST(OutOfResourcesTest, TheProcessEndsInWordsWhenItGetsNoMemory) {
  EXPECT_EXIT((EndWhenOutOfResources("trial"), LimitMemory(), TakeMemory()),
              testing::ExitedWithCode(1), "^trial: out of memory; .*more memory\n$");
}

TEST(OutOfResourcesTest, TheProcessEndsInWordsWhenAThreadCannotBeStarted) {
  EXPECT_EXIT((EndWhenOutOfResources("trial"), LimitMemory(), StartThread()),
              testing::ExitedWithCode(1), "^trial: a thread could not be started; .*threads\n$");
}

TEST(OutOfResourcesTest, AThreadThatCanBeStartedRuns) {
  EXPECT_EXIT(
      {
        EndWhenOutOfResources("trial");
        bool ran = false;
        std::thread([&ran] { ran = true; }).join();
        std::exit(ran ? 7 : 8);
      },
      testing::ExitedWithCode(7), "^$");
}

}  // namespace
}  // namespace agentdesk
