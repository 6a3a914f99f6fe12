// HTTP of the transport: requests as they should not be, slow ones, and more of them than there are
// descriptors.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/echo_program.h"
#include "tests/support/raw_client.h"
#include "tests/support/transport_server.h"

namespace agentdesk::testing {
namespace {

using gateway::HttpRequest;
using gateway::HttpResponse;
using gateway::Refusal;
using gateway::Responder;
using gateway::Transport;
using std::chrono::milliseconds;

TEST(TransportHttpTest, ConnectionServesManyRequests) {
  TransportServer server;
  RawClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.Send("POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    const ReceivedResponse response = client.ReadResponse();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "POST /a?b=c body");
    EXPECT_EQ(response.Header("Content-Type"), "text/plain");
    EXPECT_EQ(response.Header("Server"), "agentdesk");
    EXPECT_FALSE(response.Header("Date").empty());
    EXPECT_TRUE(response.Header("Connection").empty());
  }
}

TEST(TransportHttpTest, PipelinedRequestsAreAnsweredInOrder) {
  TransportServer server;
  RawClient client(server.port());
  std::string requests;
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&requests, "POST /", i,
                    " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n");
  }
  client.Send(requests);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(client.ReadResponse().body, absl::StrCat("POST /", i, " body"));
  }
}

TEST(TransportHttpTest, HeadHasTheHeadersOfGetAndNoBody) {
  TransportServer server;
  RawClient client(server.port());
  client.Send("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
  const ReceivedResponse head = client.ReadResponse(/*to_head=*/true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Header("Content-Length"), "8");  // of "HEAD /a "
  EXPECT_EQ(client.ReadResponse().body, "GET /b ");
}

TEST(TransportHttpTest, StatusWithoutContentHasNone) {
  TransportServer::Hooks hooks;
  hooks.on_request = [](HttpRequest, Responder respond) {
    HttpResponse response;
    response.status = 204;
    response.body = "ignored";
    response.headers.emplace_back("Access-Control-Allow-Origin", "http://localhost");
    respond(std::move(response));
  };
  TransportServer server({}, hooks);
  RawClient client(server.port());
  for (int i = 0; i < 2; ++i) {
    client.Send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    const ReceivedResponse response = client.ReadResponse();
    EXPECT_EQ(response.status, 204);
    EXPECT_EQ(response.Header("Access-Control-Allow-Origin"), "http://localhost");
    EXPECT_EQ(response.Header("Content-Length"), "");
  }
}

TEST(TransportHttpTest, RequestArrivesAsItWasSent) {
  TransportServer::Hooks hooks;
  hooks.on_request = [](HttpRequest request, Responder respond) {
    EXPECT_EQ(request.method, "PATCH");
    EXPECT_EQ(request.target, "/tickets?x=%20");
    EXPECT_EQ(request.remote_address, "127.0.0.1");
    EXPECT_EQ(request.Header("x-one"), "1");
    EXPECT_EQ(request.Header("absent"), "");
    EXPECT_EQ(request.headers.at(1), std::make_pair(std::string("x-one"), std::string("1")));
    respond({});
  };
  TransportServer server({}, hooks);
  RawClient client(server.port());
  client.Send(
      "PATCH http://desk.example:80/tickets?x=%20 HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n"
      "Connection: close\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().status, 200);
  EXPECT_EQ(client.ReadToEnd(), Ending::kClosed);
}

TEST(TransportHttpTest, FaultsAreRefusedInWordsAndEndTheConnection) {
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  const struct {
    std::string name;
    std::string request;
    int status;
  } cases[] = {
      {"no HTTP", "hello\r\n\r\n", 400},
      {"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"HTTP/9", "GET / HTTP/9.1\r\nHost: a\r\n\r\n", 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"space in a name", "GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n", 400},
      {"length that is none", post + "Content-Length: ten\r\n\r\n", 400},
      {"negative length", post + "Content-Length: -1\r\n\r\n", 400},
      {"two lengths", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
      {"length and chunks",
       post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"chunks and length",
       post + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", 400},
      {"unknown encoding", post + "Transfer-Encoding: gzip\r\n\r\nx", 400},
      {"host after the body",
       "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: a\r\n\r\n", 400},
      {"bad chunk", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"long target", absl::StrCat("GET /", std::string(5000, 'x'), " HTTP/1.1\r\n\r\n"), 431},
      {"long header", absl::StrCat(post, "X: ", std::string(5000, 'x'), "\r\n\r\n"), 431},
      {"large body", post + "Content-Length: 1001\r\n\r\n", 413},
      {"enormous body", post + "Content-Length: 18446744073709551615\r\n\r\n", 413},
      {"large chunk",
       absl::StrCat(post, "Transfer-Encoding: chunked\r\n\r\n3e9\r\n", std::string(1001, 'x')),
       413},
      {"sent body",
       absl::StrCat(post, "Content-Length: 4000000\r\n\r\n", std::string(4000000, 'x')), 413},
      {"body that is not wanted", post + "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n",
       413},
  };
  gateway::TransportOptions options;
  options.max_body_bytes = 1000;
  options.max_header_bytes = 4096;
  TransportServer server(options);
  size_t too_large = 0;
  for (const auto& [name, request, status] : cases) {
    SCOPED_TRACE(name);
    if (status == 413 || status == 431) ++too_large;
    RawClient client(server.port());
    client.Send(request);
    const ReceivedResponse response = client.ReadResponse();
    EXPECT_EQ(response.status, status) << response.body;
    EXPECT_EQ(response.Header("Content-Type"), "application/json");
    EXPECT_EQ(response.Header("Connection"), "close");
    EXPECT_TRUE(absl::StartsWith(response.body, R"({"error":{"code":")")) << response.body;
    EXPECT_EQ(client.ReadToEnd(), Ending::kClosed);
  }
  server.Run([&](Transport&) {
    EXPECT_EQ(server.refused(), std::vector<Refusal>(too_large, Refusal::kRequestSize));
  });
}

TEST(TransportHttpTest, BodyIsAskedForWhereTheClientWaits) {
  TransportServer server;
  RawClient client(server.port());
  client.Send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().status, 100);
  client.Send("body");
  EXPECT_EQ(client.ReadResponse().body, "PUT / body");
}

TEST(TransportHttpTest, OldClientsAreServed) {
  TransportServer server;
  RawClient client(server.port());
  client.Send("GET /old HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client.ReadResponse().body, "GET /old ");
  EXPECT_EQ(client.ReadToEnd(), Ending::kClosed);
  RawClient waits(server.port());
  waits.Send("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody");
  EXPECT_EQ(waits.ReadResponse().status, 200) << "it knows no 100";
  RawClient chunked(server.port());
  chunked.Send(
      "PUT / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  EXPECT_EQ(chunked.ReadResponse().status, 400);
  EXPECT_EQ(chunked.ReadToEnd(), Ending::kClosed);
}

TEST(TransportHttpTest, WhatFollowsTheBodyIsNoHeader) {
  TransportServer::Hooks hooks;
  hooks.on_request = [](HttpRequest request, Responder respond) {
    HttpResponse response;
    for (const auto& [name, value] : request.headers) {
      absl::StrAppend(&response.body, name, "=", value, " ");
    }
    absl::StrAppend(&response.body, request.body);
    respond(std::move(response));
  };
  TransportServer server({}, hooks);
  RawClient client(server.port());
  for (int i = 0; i < 2; ++i) {
    client.Send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n"
        "0\r\nAuthorization: b\r\nHost: c\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(client.ReadResponse().body, "host=a transfer-encoding=chunked body");
  }
}

TEST(TransportHttpTest, ResponderMayBeCalledLaterOnceOrNever) {
  std::vector<Responder> waiting;
  TransportServer::Hooks hooks;
  hooks.on_request = [&](HttpRequest, Responder respond) { waiting.push_back(std::move(respond)); };
  {
    TransportServer server({}, hooks);
    RawClient client(server.port());
    const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const auto arrived = [&](size_t count) {
      return server.WaitUntil([&, count](Transport&) { return waiting.size() == count; });
    };
    client.Send(request);
    ASSERT_TRUE(arrived(1));
    server.Run([&](Transport&) {
      HttpResponse response;
      response.status = 201;
      waiting[0](std::move(response));
      waiting[0]({});
    });
    EXPECT_EQ(client.ReadResponse().status, 201);
    client.Send(request);
    ASSERT_TRUE(arrived(2));
    server.Run([&](Transport&) { waiting[0]({}); });  // the first one's is no answer to this
    server.Run([&](Transport&) { waiting.clear(); });
    EXPECT_EQ(client.ReadResponse().status, 500);

    RawClient lost(server.port());
    lost.Send(request);
    ASSERT_TRUE(arrived(1));
    lost.Abort();
    server.Run([&](Transport&) { waiting[0]({}); });
    EXPECT_TRUE(server.WaitUntil([](Transport& t) { return t.connections() == 1; }));

    client.Send(request);
    ASSERT_TRUE(arrived(2));
  }
  waiting[1]({});  // the transport is gone
}

TEST(TransportHttpTest, SlowRequestsAreCutOff) {
  gateway::TransportOptions options;
  options.request_timeout = milliseconds(150);
  TransportServer server(options);
  for (const std::string start :
       {"G", "GET / HTTP/1.1\r\nHost: a\r\nX: ",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nb"}) {
    SCOPED_TRACE(start);
    RawClient client(server.port());
    client.Send(start);
    // One more byte now and then does not help.
    while (!client.WaitForInput(milliseconds(20))) client.Send("a");
    const ReceivedResponse response = client.ReadResponse();
    EXPECT_EQ(response.status, 408);
    EXPECT_TRUE(absl::StrContains(response.body, "a request may take 150ms to arrive"));
    client.ReadToEnd();
  }
  server.Run([&](Transport&) {
    EXPECT_EQ(server.refused(), std::vector<Refusal>(3, Refusal::kRequestTime));
  });
  EXPECT_TRUE(server.WaitUntil([](Transport& t) { return t.connections() == 0; }));
}

TEST(TransportHttpTest, SilentConnectionsAreClosed) {
  gateway::TransportOptions options;
  options.handshake_timeout = milliseconds(250);
  TransportServer hasty(options);
  RawClient silent(hasty.port());
  EXPECT_EQ(silent.ReadToEnd(), Ending::kClosed);

  options = {};
  options.keep_alive_timeout = milliseconds(1000);
  TransportServer server(options);
  RawClient idle(server.port());
  idle.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(idle.ReadResponse().status, 200);
  EXPECT_EQ(idle.ReadToEnd(), Ending::kClosed);
}

TEST(TransportHttpTest, ResponseThatIsNotReadIsGivenUp) {
  TransportServer::Hooks hooks;
  hooks.on_request = [](HttpRequest, Responder respond) {
    HttpResponse response;
    response.body = std::string(16 << 20, 'x');
    respond(std::move(response));
  };
  gateway::TransportOptions options;
  options.keep_alive_timeout = milliseconds(100);
  TransportServer server(options, hooks);
  RawClient client(server.port(), 4096);
  client.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(client.WaitForReset());
}

TEST(TransportHttpTest, DrainEndsIdleConnectionsAndAnswersTheOthers) {
  std::vector<Responder> waiting;
  TransportServer::Hooks hooks;
  hooks.on_request = [&](HttpRequest, Responder respond) { waiting.push_back(std::move(respond)); };
  TransportServer server({}, hooks);
  RawClient idle(server.port());
  RawClient busy(server.port());
  RawClient socket(server.port());
  busy.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(socket.Handshake());
  ASSERT_TRUE(server.WaitUntil(
      [&](Transport& transport) { return waiting.size() == 1 && transport.connections() == 3; }));
  server.Run([](Transport& transport) {
    transport.StopAccepting();
    transport.DrainHttp();
  });
  EXPECT_EQ(idle.ReadToEnd(), Ending::kClosed);
  server.Run([&](Transport&) { waiting[0]({}); });
  const ReceivedResponse response = busy.ReadResponse();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("Connection"), "close");
  EXPECT_EQ(busy.ReadToEnd(), Ending::kClosed);
  socket.SendFrame(kTextFrame, "hello");
  EXPECT_EQ(socket.ReadFrame()->payload, "hello");
  EXPECT_FALSE(RawClient(server.port()).connected());
}

TEST(TransportHttpTest, AddressesThatCannotBeListenedOnAreNamed) {
  TransportServer server;
  server.Run([&](Transport& transport) {
    for (const std::string address :
         {"", "8000", ":8000", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:http"}) {
      const auto port = transport.Listen(address, false);
      EXPECT_EQ(port.status().code(), absl::StatusCode::kInvalidArgument) << address;
      EXPECT_TRUE(absl::StrContains(std::string(port.status().message()), address));
    }
  });
}

TEST(TransportHttpTest, PortInUseIsNamed) {
  TransportServer server;
  const std::string address = absl::StrCat("127.0.0.1:", server.port());
  boost::asio::io_context io;
  const auto second = Transport::Create(io, {}, server);
  const auto port = second->Listen(address, false);
  EXPECT_EQ(port.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(std::string(port.status().message()), address)) << port.status();
}

TEST(TransportHttpTest, TransportsOfSeveralThreadsShareAPort) {
  TransportServer handler;
  boost::asio::io_context io;
  const auto first = Transport::Create(io, {}, handler);
  const auto second = Transport::Create(io, {}, handler);
  const auto port = first->Listen("localhost:0", true);
  ASSERT_TRUE(port.ok()) << port.status();
  EXPECT_EQ(second->Listen(absl::StrCat("localhost:", *port), true).value(), *port);
}

TEST(TransportHttpTest, ServesAgainAfterDescriptorsRanOut) {
  EchoProgram program(/*descriptors=*/64);
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 120; ++i) crowd.push_back(std::make_unique<RawClient>(program.port()));
  // One that found no descriptor is refused in words: they have run out.
  std::vector<pollfd> waiting;
  for (const auto& client : crowd) waiting.push_back({client->fd(), POLLIN, 0});
  ASSERT_GT(::poll(waiting.data(), waiting.size(), 10000), 0);
  const auto refused = std::find_if(waiting.begin(), waiting.end(),
                                    [](const pollfd& one) { return one.revents != 0; });
  RawClient& surplus = *crowd[static_cast<size_t>(refused - waiting.begin())];
  EXPECT_EQ(surplus.ReadResponse().status, 503);
  crowd.front()->Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nstill");
  EXPECT_EQ(crowd.front()->ReadResponse().body, "still") << "those that are in are served";
  crowd.clear();
  for (int i = 0; i < 3; ++i) {
    RawClient client(program.port());
    ASSERT_TRUE(client.Handshake());
    client.SendFrame(kTextFrame, "hello");
    EXPECT_EQ(client.ReadFrame()->payload, "hello");
  }
}

}  // namespace
}  // namespace agentdesk::testing
