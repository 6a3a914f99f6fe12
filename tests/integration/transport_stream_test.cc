// Responses that are streamed: whole while somebody reads, and gone when nobody does.

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/raw_client.h"
#include "tests/support/transport_server.h"

namespace agentdesk::testing {
namespace {

using gateway::HttpRequest;
using gateway::HttpResponse;
using gateway::OwnFrames;
using gateway::Responder;
using gateway::Socket;
using gateway::Transport;
using gateway::TransportOptions;
using std::chrono::milliseconds;

constexpr char kGet[] = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n";

// A server all of whose responses are streams.
class StreamServer {
 public:
  explicit StreamServer(TransportOptions options = {}) : server_(std::move(options), Hooks()) {}

  TransportServer* operator->() { return &server_; }
  uint16_t port() const { return server_.port(); }
  void Send(std::string bytes) {
    server_.Run([&](Transport&) { server_.sockets().at(0)->Send(OwnFrames(bytes)); });
  }
  void Close(uint16_t code, bool drop_queue) {
    server_.Run([&](Transport&) { server_.sockets().at(0)->Close(code, "", drop_queue); });
  }

 private:
  TransportServer::Hooks Hooks() {
    TransportServer::Hooks hooks;
    hooks.on_request = [this](HttpRequest, Responder respond) {
      HttpResponse response;
      response.content_type = "text/event-stream";
      response.stream = server_.MakeSession();
      respond(std::move(response));
    };
    return hooks;
  }

  TransportServer server_;
};

TEST(TransportStreamTest, TheBodyIsWhatIsSentUntilTheEndOfTheConnection) {
  StreamServer server;
  RawClient client(server.port());
  client.Send(kGet);
  ASSERT_TRUE(server->WaitForSockets(1));
  server.Send("one ");
  server.Send("two ");
  const std::string large(300'000, 'x');
  server.Send(large);
  server.Close(1012, /*drop_queue=*/false);
  const std::string all = client.ReadAll();
  const size_t end = all.find("\r\n\r\n") + 4;
  const std::string head = all.substr(0, end);
  EXPECT_TRUE(absl::StartsWith(head, "HTTP/1.1 200 OK\r\n")) << head;
  EXPECT_TRUE(absl::StrContains(head, "\r\nContent-Type: text/event-stream\r\n")) << head;
  EXPECT_TRUE(absl::StrContains(head, "\r\nConnection: close\r\n")) << head;
  EXPECT_TRUE(absl::StrContains(head, "\r\nServer: agentdesk\r\n")) << head;
  EXPECT_FALSE(absl::StrContains(head, "Content-Length")) << head;
  EXPECT_EQ(all.substr(end), absl::StrCat("one two ", large));
  client.Abort();
  EXPECT_EQ(server->WaitForClosed(), 1012);
}

TEST(TransportStreamTest, HeadHasNoBodyAndKeepsTheConnection) {
  StreamServer server;
  RawClient client(server.port());
  for (int i = 0; i < 2; ++i) {
    client.Send("HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n");
    const ReceivedResponse response = client.ReadResponse(/*to_head=*/true);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.Header("Content-Type"), "text/event-stream");
    EXPECT_EQ(response.Header("Content-Length"), "");
  }
  server->Run([&](Transport&) { EXPECT_TRUE(server->sockets().empty()); });
}

TEST(TransportStreamTest, AClientOfHttp10GetsOneToo) {
  StreamServer server;
  RawClient client(server.port());
  client.Send("GET /events HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(server->WaitForSockets(1));
  server.Send("hello");
  server.Close(1012, /*drop_queue=*/false);
  EXPECT_TRUE(absl::EndsWith(client.ReadAll(), "\r\n\r\nhello"));
}

TEST(TransportStreamTest, AClientThatLeavesIsNoticed) {
  StreamServer server;
  for (const bool abort : {false, true}) {
    auto client = std::make_unique<RawClient>(server.port());
    client->Send(kGet);
    ASSERT_TRUE(server->WaitForSockets(1));
    if (abort) client->Abort();
    client.reset();
    EXPECT_EQ(server->WaitForClosed(), 1006);
  }
  EXPECT_TRUE(server->WaitUntil([](Transport& transport) { return transport.connections() == 0; }));
}

TEST(TransportStreamTest, WhatElseTheClientSaysIsIgnored) {
  StreamServer server;
  RawClient client(server.port());
  client.Send(absl::StrCat(kGet, kGet, "nonsense"));
  ASSERT_TRUE(server->WaitForSockets(1));
  server.Send("hello");
  server.Close(1012, /*drop_queue=*/false);
  EXPECT_TRUE(absl::EndsWith(client.ReadAll(), "\r\n\r\nhello"));
}

TransportOptions Impatient() {
  TransportOptions options;
  options.max_queued_bytes = 256 * 1024;
  options.send_buffer_bytes = 16 * 1024;
  options.max_queue_age = milliseconds(60000);
  options.close_timeout = milliseconds(100);
  return options;
}

TEST(TransportStreamTest, AReaderThatStopsIsCutWithBoundedMemory) {
  StreamServer server(Impatient());
  RawClient client(server.port(), /*receive_buffer_bytes=*/4096);
  client.Send(kGet);
  ASSERT_TRUE(server->WaitForSockets(1));
  size_t most = 0;
  const bool cut = server->WaitUntil([&](Transport&) {
    if (server->sockets().empty()) return true;
    Socket& socket = *server->sockets().at(0);
    socket.Send(OwnFrames(std::string(10'000, 'x')));
    most = std::max(most, socket.queued_bytes());
    return false;
  });
  EXPECT_TRUE(cut);
  EXPECT_EQ(server->WaitForClosed(), 4430);
  EXPECT_LE(most, 256u * 1024);
  EXPECT_TRUE(client.WaitForReset());
}

TEST(TransportStreamTest, AReaderWhoseOldestByteIsTooOldIsCut) {
  TransportOptions options = Impatient();
  options.max_queue_age = milliseconds(100);
  StreamServer server(options);
  RawClient client(server.port(), /*receive_buffer_bytes=*/4096);
  client.Send(kGet);
  ASSERT_TRUE(server->WaitForSockets(1));
  for (int i = 0; i < 20; ++i) server.Send(std::string(10'000, 'x'));
  EXPECT_EQ(server->WaitForClosed(), 4430);
}

TEST(TransportStreamTest, DrainLeavesStreamsToTheirHandlers) {
  StreamServer server;
  RawClient client(server.port());
  client.Send(kGet);
  ASSERT_TRUE(server->WaitForSockets(1));
  server->Run([](Transport& transport) { transport.DrainHttp(); });
  server.Send("still here");
  server.Close(1012, /*drop_queue=*/false);
  EXPECT_TRUE(absl::EndsWith(client.ReadAll(), "still here"));
}

TEST(TransportStreamTest, TheEndOfTheTransportIsToldOnce) {
  StreamServer server;
  RawClient client(server.port());
  client.Send(kGet);
  ASSERT_TRUE(server->WaitForSockets(1));
  server->Shutdown();
  EXPECT_EQ(server->closed_count(), 1u);
  client.ReadToEnd();
}

}  // namespace
}  // namespace agentdesk::testing
