#ifndef AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_ENDPOINT_H_
#define AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_ENDPOINT_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agentdesk/v1/event.grpc.pb.h"
#include "core_service/base/clock.h"
#include "core_service/base/mutex.h"
#include "core_service/base/uuid.h"
#include "core_service/client/channel.h"
#include "grpcpp/channel.h"
#include "tools/agentdesk-webhooks/config.h"
#include "tools/agentdesk-webhooks/cursor_file.h"
#include "tools/agentdesk-webhooks/http_post.h"

namespace agentdesk::webhooks {

struct EndpointOptions {
  HttpPost::Options http;
  std::shared_ptr<client::BearerToken> token;  // for the core; null: it wants none
  absl::Duration first_backoff = absl::Seconds(1);
  absl::Duration max_backoff = absl::Minutes(5);
};

// Sends the events of the log that one endpoint wants, in the order of the log, one at a time: the
// next only when the one before was taken (2xx). The cursor is durable before it goes on, so that
// none is lost; one that was taken just before a crash is sent again, under the same id.
//
// It has a subscription of its own and a thread that does everything, so an endpoint that is slow
// or gone is behind by itself, and what waits for it waits in the log and nowhere else.
class Endpoint {
 public:
  // Starts at once. `clock` and `ids` must outlive it.
  Endpoint(EndpointConfig config, const EndpointOptions& options, const std::string& state_dir,
           std::shared_ptr<grpc::Channel> core, Clock& clock, IdSource& ids);
  // Stops and joins.
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  // Gives up what is under way, and does not wait for its end.
  void Stop();

 private:
  void Run();
  absl::Status CallCore(absl::FunctionRef<grpc::Status(grpc::ClientContext&)> call) const;
  // Settles where to begin, in the log that the core has now. Anything but OK: not yet.
  absl::Status Settle();
  // Follows the log until the stream ends; answers why it did, which is never OK.
  absl::Status Follow();
  // Reads what Subscribe no longer serves, up to where it does.
  absl::Status CatchUp();
  // False: the process is to end.
  bool Deliver(const v1::Event& event);
  absl::Status Advance(int64_t sequence);
  // Waits for the n-th time in a row (n from 1). False: the process is to end.
  bool Pause(int times);

  const EndpointConfig config_;
  const EndpointOptions options_;
  const CursorFile file_;
  const std::unique_ptr<v1::EventService::Stub> core_;
  Clock& clock_;
  IdSource& ids_;
  std::atomic<bool> stopping_{false};
  HttpPost http_;
  Position position_;     // everything up to here was taken; as stored
  bool settled_ = false;  // `position_` belongs to the core's log

  Mutex mutex_;
  Condition stop_;
  grpc::ClientContext* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;  // the one under way

  std::thread thread_;
};

}  // namespace agentdesk::webhooks

#endif  // AGENTDESK_TOOLS_AGENTDESK_WEBHOOKS_ENDPOINT_H_
