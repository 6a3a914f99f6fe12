#ifndef AGENTDESK_CORE_SERVICE_CLIENT_CHANNEL_H_
#define AGENTDESK_CORE_SERVICE_CLIENT_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/client/bearer_token.h"
#include "core_service/client/core_tls.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/security/credentials.h"

namespace agentdesk::client {

enum class ChannelUse {
  kCalls,
  // For EventStream: a small receive window, so that a reader that stops holds up the core's cursor
  // and not megabytes on the way.
  kSubscription,
};

// InvalidArgument unless `target` is HOST:PORT; says what is wrong with it.
absl::Status CheckTarget(absl::string_view target);

// A channel to the core at `target`, HOST:PORT. It connects with the first call, notices a dead
// path within 40 s of a call, and finds a core that came back within about a second. The channels
// of the two uses do not share a connection.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target,
                                           ChannelUse use = ChannelUse::kCalls,
                                           const CoreTls& tls = {});
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& target, ChannelUse use,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials);

// On whose behalf a call is made: labels for the log's `actor`, and a token where the core wants
// one, which then says more than the labels. What is no printable ASCII in them is sent as `?`.
struct CallLabels {
  std::string actor;        // such as `guest-1a2b`; empty: the core calls it `anonymous`
  std::string via;          // such as `websocket`; empty: `grpc`
  std::string traceparent;  // W3C trace context; may be empty
  std::shared_ptr<BearerToken> token = nullptr;
  // The user for whom a gateway calls, by EncodeIdentity; then the token is the gateway's.
  std::string user = {};
  // The IP address from which it was asked; empty: what the core sees.
  std::string client_address = {};
};

// Prepares the context of one call: its labels, and its end `timeout` from now (on the monotonic
// clock; absl::InfiniteDuration(): none).
void PrepareCall(const CallLabels& labels, absl::Duration timeout, grpc::ClientContext& context);

}  // namespace agentdesk::client

#endif  // AGENTDESK_CORE_SERVICE_CLIENT_CHANNEL_H_
