#ifndef AGENTDESK_WS_GATEWAY_CORE_LINK_H_
#define AGENTDESK_WS_GATEWAY_CORE_LINK_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "agentdesk/v1/event.grpc.pb.h"
#include "agentdesk/v1/session.grpc.pb.h"
#include "agentdesk/v1/ticket.grpc.pb.h"
#include "core_service/base/mutex.h"
#include "core_service/base/span_exporter.h"
#include "core_service/base/thread_pool.h"
#include "core_service/client/bearer_token.h"
#include "core_service/client/completion_thread.h"
#include "core_service/client/core_tls.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace agentdesk::gateway {

// What all shards share of the way to the core: one connection, so that calls go through as soon as
// the stream of events does. Thread-safe.
class CoreLink {
 public:
  // `token_file`: what proves the gateway's own identity to the core; empty: nothing does. `spans`
  // may be null, and must outlive the link.
  CoreLink(const std::string& target, const client::CoreTls& tls, const std::string& token_file,
           SpanExporter* spans);
  // Calls off what is under way and waits for its end.
  ~CoreLink() ABSL_LOCKS_EXCLUDED(mutex_);

  // Counts a call in; false when the link is about to end, and the call must not begin. `context`
  // must live until Leave.
  [[nodiscard]] bool Enter(grpc::ClientContext& context) ABSL_LOCKS_EXCLUDED(mutex_);
  // The call has ended. Nothing of the link may be used by it after.
  void Leave(grpc::ClientContext& context) ABSL_LOCKS_EXCLUDED(mutex_);

  v1::TicketService::Stub& tickets() { return *tickets_; }
  v1::SessionService::Stub& sessions() { return *sessions_; }
  v1::EventService::Stub& events() { return *events_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // What completes the calls and the streams.
  client::CompletionThread& completions() { return completions_; }
  // How the core is spoken to.
  const client::CoreTls& tls() const { return tls_; }
  // May be null.
  const std::shared_ptr<client::BearerToken>& token() const { return token_; }
  // Where the spans of calls go; may be null.
  SpanExporter* spans() const { return spans_; }
  // Encodes what feeds bring, and ends them, which blocks for a moment: neither is for the thread
  // of the live events, or for a shard's.
  ThreadPool& feed_work() { return feed_work_; }

 private:
  SpanExporter* const spans_;
  const client::CoreTls tls_;
  client::CompletionThread completions_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::shared_ptr<client::BearerToken> token_;
  const std::unique_ptr<v1::TicketService::Stub> tickets_;
  const std::unique_ptr<v1::SessionService::Stub> sessions_;
  const std::unique_ptr<v1::EventService::Stub> events_;

  Mutex mutex_;
  Condition left_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<grpc::ClientContext*> calls_ ABSL_GUARDED_BY(mutex_);

  ThreadPool feed_work_;  // last, so that it is the first to end
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_CORE_LINK_H_
