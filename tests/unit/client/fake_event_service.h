#ifndef AGENTDESK_TESTS_UNIT_CLIENT_FAKE_EVENT_SERVICE_H_
#define AGENTDESK_TESTS_UNIT_CLIENT_FAKE_EVENT_SERVICE_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "agentdesk/v1/event.grpc.pb.h"
#include "core_service/base/mutex.h"
#include "grpcpp/server.h"

namespace agentdesk::client {

// A core whose subscriptions the test plays by hand. Thread-safe.
class FakeEventService final : public v1::EventService::CallbackService {
 public:
  // One subscription. It belongs to gRPC until it is finished, by the test or with the service.
  class Subscriber final : public grpc::ServerWriteReactor<v1::SubscribeResponse> {
   public:
    using Metadata = std::multimap<std::string, std::string>;

    Subscriber(v1::SubscribeRequest request, Metadata metadata)
        : request_(std::move(request)), metadata_(std::move(metadata)) {}

    const v1::SubscribeRequest& request() const { return request_; }
    const Metadata& metadata() const { return metadata_; }
    void Send(v1::SubscribeResponse response) ABSL_LOCKS_EXCLUDED(mutex_);
    void End(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
    // How many responses gRPC has taken.
    int written() ABSL_LOCKS_EXCLUDED(mutex_);
    bool cancelled() ABSL_LOCKS_EXCLUDED(mutex_);

   private:
    void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
    void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_);
    void OnDone() override;
    void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

    const v1::SubscribeRequest request_;
    const Metadata metadata_;
    std::shared_ptr<Subscriber> self_;  // until OnDone
    friend class FakeEventService;

    Mutex mutex_;
    std::deque<v1::SubscribeResponse> queue_ ABSL_GUARDED_BY(mutex_);
    bool writing_ ABSL_GUARDED_BY(mutex_) = false;
    int written_ ABSL_GUARDED_BY(mutex_) = 0;
    bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
    bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  };
  using SubscriberPtr = std::shared_ptr<Subscriber>;

  ~FakeEventService() override;

  // Listens on `address`, or on a port of its own where it is empty; ends it again.
  void Start();
  void Stop();
  const std::string& address() const { return address_; }

  // Said on each subscription from here on, as soon as it comes.
  void set_greeting(v1::SubscribeResponse greeting) ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits for the next subscription; null when none comes in 60 s.
  SubscriberPtr Next() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  grpc::ServerWriteReactor<v1::SubscribeResponse>* Subscribe(
      grpc::CallbackServerContext* context, const v1::SubscribeRequest* request) override;

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  Mutex mutex_;
  Condition came_;
  std::deque<SubscriberPtr> waiting_ ABSL_GUARDED_BY(mutex_);
  std::deque<SubscriberPtr> all_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::SubscribeResponse> greeting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace agentdesk::client

#endif  // AGENTDESK_TESTS_UNIT_CLIENT_FAKE_EVENT_SERVICE_H_
