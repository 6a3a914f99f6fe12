#include "tests/unit/client/fake_event_service.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace agentdesk::client {

void FakeEventService::Subscriber::Send(v1::SubscribeResponse response) {
  MutexLock lock(mutex_);
  queue_.push_back(std::move(response));
  WriteNext();
}

void FakeEventService::Subscriber::End(const grpc::Status& status) {
  MutexLock lock(mutex_);
  if (std::exchange(ended_, true)) return;
  Finish(status);
}

int FakeEventService::Subscriber::written() {
  MutexLock lock(mutex_);
  return written_;
}

bool FakeEventService::Subscriber::cancelled() {
  MutexLock lock(mutex_);
  return cancelled_;
}

void FakeEventService::Subscriber::WriteNext() {
  if (writing_ || ended_ || queue_.empty()) return;
  writing_ = true;
  StartWrite(&queue_.front());
}

void FakeEventService::Subscriber::OnWriteDone(bool ok) {
  MutexLock lock(mutex_);
  writing_ = false;
  if (!ok) return;
  queue_.pop_front();
  ++written_;
  WriteNext();
}

void FakeEventService::Subscriber::OnCancel() {
  {
    MutexLock lock(mutex_);
    cancelled_ = true;
  }
  End(grpc::Status::CANCELLED);
}

void FakeEventService::Subscriber::OnDone() { const SubscriberPtr self = std::move(self_); }

FakeEventService::~FakeEventService() { Stop(); }

void FakeEventService::Start() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address_.empty() ? "127.0.0.1:0" : address_,
                           grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

void FakeEventService::Stop() {
  if (server_ == nullptr) return;
  std::deque<SubscriberPtr> all;
  {
    MutexLock lock(mutex_);
    all.swap(all_);
    waiting_.clear();
  }
  for (const SubscriberPtr& subscriber : all) {
    subscriber->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopped"));
  }
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

void FakeEventService::set_greeting(v1::SubscribeResponse greeting) {
  MutexLock lock(mutex_);
  greeting_ = std::move(greeting);
}

FakeEventService::SubscriberPtr FakeEventService::Next() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  MutexLock lock(mutex_);
  while (waiting_.empty()) {
    if (std::chrono::steady_clock::now() >= deadline) return nullptr;
    came_.WaitUntil(mutex_, deadline);
  }
  SubscriberPtr subscriber = waiting_.front();
  waiting_.pop_front();
  return subscriber;
}

grpc::ServerWriteReactor<v1::SubscribeResponse>* FakeEventService::Subscribe(
    grpc::CallbackServerContext* context, const v1::SubscribeRequest* request) {
  Subscriber::Metadata metadata;
  for (const auto& [name, value] : context->client_metadata()) {
    metadata.emplace(std::string(name.data(), name.size()),
                     std::string(value.data(), value.size()));
  }
  auto subscriber = std::make_shared<Subscriber>(*request, std::move(metadata));
  subscriber->self_ = subscriber;
  MutexLock lock(mutex_);
  if (greeting_.has_value()) subscriber->Send(*greeting_);
  waiting_.push_back(subscriber);
  all_.push_back(subscriber);
  came_.NotifyAll();
  return subscriber.get();
}

}  // namespace agentdesk::client
