// What the server makes of frames that no well-behaved client sends, and of odd ones that are
// right: RFC 6455 as a table of bytes.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/echo_program.h"
#include "tests/support/raw_client.h"
#include "tests/support/transport_server.h"

namespace agentdesk::testing {
namespace {

constexpr size_t kMaxMessage = 1000;          // of the server within the test
constexpr size_t kMaxEchoMessage = 16 << 20;  // of ws_echo
// Frames of a fragmented message.
constexpr uint8_t kTextStart = 0x01;
constexpr uint8_t kContinued = 0x00;
constexpr uint8_t kContinuedEnd = 0x80;

struct FrameCase {
  std::string name;
  std::string bytes;                   // what the client sends
  std::vector<ReceivedFrame> answers;  // what comes back before the close frame
  int close_code = 0;                  // of the close frame
  bool allow_binary = false;
  bool byte_by_byte = false;
};

std::string Close(int code = 1000) { return ClientFrame(kCloseFrame, ClosePayload(code)); }
ReceivedFrame Text(absl::string_view payload) { return {kTextFrame, std::string(payload)}; }
ReceivedFrame Pong(absl::string_view payload) { return {kPongFrame, std::string(payload)}; }

// A masked frame's header that claims `length` in the form with 64 bits, and nothing of its
// payload.
std::string HugeHeader(uint64_t length) {
  std::string header = {'\x81', '\xff'};
  for (int shift = 56; shift >= 0; shift -= 8) {
    header.push_back(static_cast<char>((length >> shift) & 0xff));
  }
  return header + "mask";
}

// What a server has to do whose messages may have `max_message` bytes, at least 1000.
std::vector<FrameCase> Cases(size_t max_message) {
  const std::string euro = "\u20ac";
  std::vector<FrameCase> cases = {
      {"text", ClientFrame(kTextFrame, "hello") + Close(), {Text("hello")}, 1000},
      {"empty text", ClientFrame(kTextFrame, "") + Close(), {Text("")}, 1000},
      {"text of 126 bytes",
       ClientFrame(kTextFrame, std::string(126, 'x')) + Close(),
       {Text(std::string(126, 'x'))},
       1000},
      {"the largest text",
       ClientFrame(kTextFrame, std::string(max_message, 'x')) + Close(),
       {Text(std::string(max_message, 'x'))},
       1000},
      {"byte by byte",
       ClientFrame(kTextFrame, "hello") + ClientFrame(kPingFrame, "p") + Close(),
       {Text("hello"), Pong("p")},
       1000,
       false,
       true},

      {"fragments",
       ClientFrame(kTextStart, "a") + ClientFrame(kContinued, "b") +
           ClientFrame(kContinuedEnd, "c") + Close(),
       {Text("abc")},
       1000},
      {"empty fragments",
       ClientFrame(kTextStart, "") + ClientFrame(kContinued, "") + ClientFrame(kContinuedEnd, "") +
           Close(),
       {Text("")},
       1000},
      {"ping between fragments",
       ClientFrame(kTextStart, "a") + ClientFrame(kPingFrame, "now") +
           ClientFrame(kContinuedEnd, "b") + Close(),
       {Pong("now"), Text("ab")},
       1000},
      {"close between fragments", ClientFrame(kTextStart, "a") + Close(1001), {}, 1001},
      {"continuation of nothing", ClientFrame(kContinuedEnd, "a"), {}, 1002},
      {"unfinished continuation of nothing", ClientFrame(kContinued, "a"), {}, 1002},
      {"continuation after the end",
       ClientFrame(kTextStart, "a") + ClientFrame(kContinuedEnd, "b") +
           ClientFrame(kContinuedEnd, "c"),
       {Text("ab")},
       1002},
      {"text within fragments",
       ClientFrame(kTextStart, "a") + ClientFrame(kTextFrame, "b"),
       {},
       1002},

      {"ping", ClientFrame(kPingFrame, "") + Close(), {Pong("")}, 1000},
      {"the largest ping",
       ClientFrame(kPingFrame, std::string(125, 'p')) + Close(),
       {Pong(std::string(125, 'p'))},
       1000},
      {"ping that is no text",
       ClientFrame(kPingFrame, "\xff\xfe") + Close(),
       {Pong("\xff\xfe")},
       1000},
      {"many pings",
       ClientFrame(kPingFrame, "1") + ClientFrame(kPingFrame, "2") + ClientFrame(kPingFrame, "3") +
           Close(),
       {Pong("1"), Pong("2"), Pong("3")},
       1000},
      {"unasked pong",
       ClientFrame(kPongFrame, "x") + ClientFrame(kTextFrame, "a") + Close(),
       {Text("a")},
       1000},
      {"ping too large", ClientFrame(kPingFrame, std::string(126, 'p')), {}, 1002},
      {"pong too large", ClientFrame(kPongFrame, std::string(126, 'p')), {}, 1002},
      {"close too large",
       ClientFrame(kCloseFrame, ClosePayload(1000, std::string(124, 'x'))),
       {},
       1002},
      {"fragmented ping", ClientFrame(0x09, "p"), {}, 1002},
      {"fragmented pong", ClientFrame(0x0a, "p"), {}, 1002},
      {"fragmented close", ClientFrame(0x08, ClosePayload(1000)), {}, 1002},

      {"unmasked text", std::string("\x81\x05hello", 7), {}, 1002},
      {"unmasked ping", std::string("\x89\x00", 2), {}, 1002},
      {"length of 16 bits that fits 7", std::string("\x81\xfe\x00\x05maskhello", 13), {}, 1002},
      {"length of 64 bits that fits 16", HugeHeader(200), {}, 1002},

      {"one byte too large", ClientFrame(kTextFrame, std::string(max_message + 1, 'x')), {}, 1009},
      {"fragments too large",
       ClientFrame(kTextStart, std::string(max_message, 'x')) + ClientFrame(kContinuedEnd, "x"),
       {},
       1009},
      {"length of 2^32", HugeHeader(uint64_t{1} << 32), {}, 1009},
      {"length of 2^63", HugeHeader(uint64_t{1} << 63), {}, 1009},
      {"length of 2^64-1", HugeHeader(~uint64_t{0}), {}, 1009},

      {"UTF-8",
       ClientFrame(kTextFrame, "\u00e9\u20ac\U0001f600") + Close(),
       {Text("\u00e9\u20ac\U0001f600")},
       1000},
      {"UTF-8 split between fragments",
       ClientFrame(kTextStart, euro.substr(0, 1)) + ClientFrame(kContinued, euro.substr(1, 1)) +
           ClientFrame(kContinuedEnd, euro.substr(2)) + Close(),
       {Text(euro)},
       1000},
      {"stray byte", ClientFrame(kTextFrame, "a\xff"), {}, 1007},
      {"overlong", ClientFrame(kTextFrame, "\xc0\x80"), {}, 1007},
      {"surrogate", ClientFrame(kTextFrame, "\xed\xa0\x80"), {}, 1007},
      {"beyond Unicode", ClientFrame(kTextFrame, "\xf4\x90\x80\x80"), {}, 1007},
      {"cut character", ClientFrame(kTextFrame, "a\xe2\x82"), {}, 1007},
      {"cut character over fragments",
       ClientFrame(kTextStart, "\xe2") + ClientFrame(kContinuedEnd, "\x82"),
       {},
       1007},
      {"wrong second half",
       ClientFrame(kTextStart, "\xe2\x82") + ClientFrame(kContinuedEnd, "a"),
       {},
       1007},
      {"binary that is no text",
       ClientFrame(kBinaryFrame, "\xff\x00") + Close(),
       {{kBinaryFrame, "\xff"}},
       1000,
       true},

      {"close without a code", ClientFrame(kCloseFrame, ""), {}, 1000},
      {"close with a reason", ClientFrame(kCloseFrame, ClosePayload(1000, "bye \u20ac")), {}, 1000},
      {"close with half a code", ClientFrame(kCloseFrame, "\x03"), {}, 1002},
      {"close with a reason that is no text",
       ClientFrame(kCloseFrame, ClosePayload(1000, "\xff")),
       {},
       1002},
      {"text after close", Close() + ClientFrame(kTextFrame, "late"), {}, 1000},
      {"ping after close", Close() + ClientFrame(kPingFrame, "late"), {}, 1000},
      {"close twice", Close(1001) + Close(1000), {}, 1001},
  };
  for (const int bit : {0x40, 0x20, 0x10}) {
    for (const int frame : {kTextFrame, kPingFrame, kCloseFrame}) {
      cases.push_back({absl::StrCat("reserved bit ", bit, " of frame ", frame),
                       ClientFrame(static_cast<uint8_t>(frame | bit), ""),
                       {},
                       1002});
    }
  }
  for (const int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
    cases.push_back({absl::StrCat("opcode ", opcode),
                     ClientFrame(static_cast<uint8_t>(0x80 | opcode), ""),
                     {},
                     1002});
  }
  for (const int code : {0, 1, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999}) {
    cases.push_back({absl::StrCat("close with ", code), Close(code), {}, 1002});
  }
  for (const int code :
       {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999}) {
    cases.push_back({absl::StrCat("close with ", code), Close(code), {}, code});
  }
  return cases;
}

gateway::TransportOptions Options(bool allow_binary) {
  gateway::TransportOptions options;
  options.max_message_bytes = kMaxMessage;
  options.allow_binary = allow_binary;
  return options;
}

// Sends the case's bytes and checks all that comes back.
void Check(const FrameCase& test, uint16_t port) {
  RawClient client(port);
  ASSERT_TRUE(client.Handshake());
  if (test.byte_by_byte) {
    for (const char byte : test.bytes) ASSERT_TRUE(client.Send(std::string(1, byte)));
  } else {
    ASSERT_TRUE(client.Send(test.bytes));
  }
  std::vector<ReceivedFrame> answers;
  std::optional<ReceivedFrame> frame = client.ReadFrame();
  for (; frame && frame->opcode() != 8; frame = client.ReadFrame()) answers.push_back(*frame);
  EXPECT_TRUE(answers == test.answers) << answers.size() << " frames came, others than expected";
  ASSERT_TRUE(frame) << "no close frame";
  EXPECT_EQ(frame->first_byte, kCloseFrame);
  EXPECT_EQ(frame->close_code(), test.close_code);
  client.SendFrame(kCloseFrame, frame->payload.substr(0, 2));
  // The server has nothing more to say and ends its side, without a reset that might have
  // overtaken the code.
  EXPECT_FALSE(client.ReadFrame());
  EXPECT_EQ(client.ending(), Ending::kClosed);
}

TEST(Rfc6455FramesTest, EachIsAnsweredByTheBook) {
  TransportServer text_server(Options(false));
  TransportServer binary_server(Options(true));
  std::vector<FrameCase> cases = Cases(kMaxMessage);
  cases.push_back({"binary where it is not taken", ClientFrame(kBinaryFrame, "abc"), {}, 1003});
  for (const FrameCase& test : cases) {
    SCOPED_TRACE(test.name);
    TransportServer& server = test.allow_binary ? binary_server : text_server;
    Check(test, server.port());
    EXPECT_TRUE(server.WaitForClosed());
  }
}

// The program that conformance clients are pointed at, with its larger limit.
TEST(Rfc6455FramesTest, EachIsAnsweredByTheBookByTheEchoProgram) {
  EchoProgram program;
  for (const FrameCase& test : Cases(kMaxEchoMessage)) {
    SCOPED_TRACE(test.name);
    Check(test, program.port());
  }
}

TEST(Rfc6455FramesTest, FramesBehindTheHandshakeAreNotLost) {
  TransportServer server;
  RawClient client(server.port());
  client.Send(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
      "Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
      ClientFrame(kTextFrame, "early") + ClientFrame(kTextFrame, std::string(100000, 'x')));
  EXPECT_EQ(client.ReadResponse().status, 101);
  EXPECT_EQ(client.ReadFrame(), Text("early"));
  EXPECT_EQ(client.ReadFrame(), Text(std::string(100000, 'x')));
}

// The client sends all of a message that is far too large before it reads: the code still arrives.
TEST(Rfc6455FramesTest, OversizeIsToldToAClientThatReadsLate) {
  TransportServer server(Options(false));
  RawClient client(server.port());
  ASSERT_TRUE(client.Handshake());
  ASSERT_TRUE(client.SendFrame(kTextFrame, std::string(8 << 20, 'x')));
  const auto frame = client.ReadFrame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->close_code(), 1009);
  EXPECT_EQ(frame->close_reason(), "a message may have 1000 bytes");
  EXPECT_EQ(client.ReadToEnd(), Ending::kClosed);
  EXPECT_EQ(server.WaitForClosed(), 1009);
}

TEST(Rfc6455FramesTest, HandshakeFaultsAreRefusedInWords) {
  const std::string get = "GET /ws HTTP/1.1\r\n";
  const std::string host = "Host: localhost\r\n";
  const std::string upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  const std::string version = "Sec-WebSocket-Version: 13\r\n";
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const struct {
    std::string name;
    std::string request;
    int status;
  } cases[] = {
      {"right", get + host + upgrade + version + key, 101},
      {"no key", get + host + upgrade + version, 400},
      {"short key", get + host + upgrade + version + "Sec-WebSocket-Key: c2hvcnQ=\r\n", 400},
      {"key that is no base64",
       get + host + upgrade + version + "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n", 400},
      {"no version", get + host + upgrade + key, 426},
      {"old version", get + host + upgrade + key + "Sec-WebSocket-Version: 8\r\n", 426},
      {"no host", get + upgrade + version + key, 400},
      {"POST", "POST /ws HTTP/1.1\r\n" + host + upgrade + version + key, 405},
      {"HTTP/1.0", "GET /ws HTTP/1.0\r\n" + host + upgrade + version + key, 400},
      {"body", get + host + upgrade + version + key + "Content-Length: 0001\r\n", 400},
      {"no Upgrade", get + host + "Connection: Upgrade\r\n" + version + key, 200},
      {"no Connection", get + host + "Upgrade: websocket\r\n" + version + key, 200},
      {"another protocol", get + host + "Connection: Upgrade\r\nUpgrade: h2c\r\n" + version + key,
       200},
  };
  TransportServer server;
  for (const auto& [name, request, status] : cases) {
    SCOPED_TRACE(name);
    RawClient client(server.port());
    client.Send(request + "\r\nx");
    const ReceivedResponse response = client.ReadResponse();
    EXPECT_EQ(response.status, status) << response.body;
    EXPECT_EQ(response.Header("Sec-WebSocket-Version"), status == 426 ? "13" : "");
    EXPECT_EQ(response.body.starts_with(R"({"error":{"code":")"), status >= 400);
  }
}

TEST(Rfc6455FramesTest, SubprotocolAndRefusalAreTheHandlers) {
  TransportServer::Hooks hooks;
  hooks.on_upgrade = [](const gateway::HttpRequest& request,
                        std::unique_ptr<gateway::SocketHandler> session) {
    gateway::UpgradeDecision decision;
    if (request.Header("origin") == "http://foreign") {
      decision.refusal.status = 403;
      return decision;
    }
    EXPECT_EQ(request.remote_address, "127.0.0.1");
    decision.handler = std::move(session);
    return decision;
  };
  TransportServer server({}, hooks);
  RawClient accepted(server.port());
  EXPECT_TRUE(accepted.Handshake("Sec-WebSocket-Protocol: agentdesk.v1\r\n"));
  RawClient refused(server.port());
  refused.Send(
      "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
      "Origin: http://foreign\r\n\r\n");
  EXPECT_EQ(refused.ReadResponse().status, 403);
}

}  // namespace
}  // namespace agentdesk::testing
