#include "core_service/client/completion_thread.h"

namespace agentdesk::client {

CompletionThread::CompletionThread() : thread_([this] { Run(); }) {}

CompletionThread::~CompletionThread() {
  queue_.Shutdown();
  thread_.join();
}

void CompletionThread::Run() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) static_cast<Operation*>(tag)->OnCompleted(ok);
}

}  // namespace agentdesk::client
