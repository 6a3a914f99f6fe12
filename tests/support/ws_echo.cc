#include <boost/asio/io_context.hpp>
#include <iostream>
#include <memory>

#include "absl/flags/flag.h"
#include "core_service/base/flags.h"
#include "ws_gateway/transport.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:0", "address to listen on; port 0 picks one");

namespace agentdesk::gateway {
namespace {

// Sends back each message as it came, so that conformance clients see the transport and nothing
// else.
class Echo final : public SocketHandler {
 public:
  void OnOpen(Socket& socket) override { socket_ = &socket; }
  void OnText(absl::string_view message) override { socket_->Send(MakeFrame(message)); }
  void OnBinary(absl::string_view message) override {
    socket_->Send(MakeFrame(message, Opcode::kBinary));
  }
  void OnClosed(uint16_t /*code*/) override {}

 private:
  Socket* socket_ = nullptr;
};

class EchoServer final : public TransportHandler {
 public:
  void OnRequest(HttpRequest request, Responder respond) override {
    HttpResponse response;
    response.content_type = "text/plain";
    response.body = std::move(request.body);
    respond(std::move(response));
  }
  UpgradeDecision OnUpgrade(const HttpRequest& /*request*/) override {
    return UpgradeDecision{std::make_unique<Echo>(), {}};
  }
};

}  // namespace
}  // namespace agentdesk::gateway

int main(int argc, char** argv) {
  using namespace agentdesk::gateway;
  agentdesk::ReadFlags("Echoes WebSocket messages, text and binary, and HTTP bodies.", argc, argv);
  boost::asio::io_context io(1);
  EchoServer server;
  TransportOptions options;
  options.allow_binary = true;
  options.max_message_bytes = 16 << 20;
  options.max_queued_bytes = 256 << 20;
  const auto transport = Transport::Create(io, options, server);
  const auto port = transport->Listen(absl::GetFlag(FLAGS_listen), /*share_port=*/false);
  if (!port.ok()) {
    std::cerr << port.status() << std::endl;
    return 1;
  }
  std::cout << "listening on port " << *port << std::endl;
  io.run();
}
