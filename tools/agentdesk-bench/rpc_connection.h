#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_RPC_CONNECTION_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_RPC_CONNECTION_H_

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message_lite.h"
#include "tools/agentdesk-bench/event_loop.h"

namespace agentdesk::bench {

// One connection that makes gRPC calls over nghttp2: a gRPC client of its own kind, light enough
// for the server to be what is measured.
class RpcConnection final : public Watcher {
 public:
  // A whole message of the server's, valid during the call.
  using OnMessage = std::function<void(absl::string_view message)>;
  // The call has ended; 0 is OK.
  using OnEnd = std::function<void(int status)>;

  RpcConnection(EventLoop& loop, uint16_t port);
  ~RpcConnection() override;

  // Starts the call of `path`, such as /agentdesk.v1.TicketService/CreateTicket. Returns its
  // stream.
  int32_t Start(absl::string_view path, const google::protobuf::MessageLite& request,
                OnMessage on_message, OnEnd on_end);
  // Ends a call that lasts; its callbacks are not called any more. They may call this.
  void Cancel(int32_t stream);
  // Sends what has been started. Otherwise done when the loop comes to this connection.
  void Flush();

  // Makes a call and waits for its response; fails unless the call succeeds.
  void Call(absl::string_view path, const google::protobuf::MessageLite& request,
            google::protobuf::MessageLite& response);

  void OnReady(uint32_t events) override;

 private:
  struct Stream;
  struct Callbacks;

  EventLoop& loop_;
  const std::string authority_;
  Descriptor socket_;
  nghttp2_session* session_ = nullptr;
  absl::flat_hash_map<int32_t, std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Stream>> cancelled_;  // perhaps still being called
  bool connected_ = false;
  bool watches_room_ = false;
  std::string output_;
  size_t sent_ = 0;  // of it
};

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_RPC_CONNECTION_H_
