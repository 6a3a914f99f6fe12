#ifndef AGENTDESK_WS_GATEWAY_TRANSPORT_H_
#define AGENTDESK_WS_GATEWAY_TRANSPORT_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ws_gateway/frame.h"

namespace boost::asio {
class io_context;
}

namespace agentdesk::gateway {

class AddressLimit;

// HTTP and WebSocket (RFC 9110, RFC 9112, RFC 6455) on one port, over TLS or not, for one thread.
// Everything of Boost.Beast is behind this header, in one .cc: each unit that instantiates its
// WebSocket operations costs half a minute of compiling.
//
// Thread rules: an object of this header belongs to the thread that runs its io_context; every call
// into it and every callback out of it happens there. No callback is made from within a call of the
// callee, so a handler may call anything here at any time, except destroy the Transport.

struct HttpRequest {
  std::string method;  // upper case
  std::string target;  // path and query as sent, origin form; `*` is possible with OPTIONS
  std::string body;
  std::string remote_address;  // without the port
  // In order of arrival, names in lower case.
  std::vector<std::pair<std::string, std::string>> headers;

  // The first value of a header, named in lower case; empty when absent.
  absl::string_view Header(absl::string_view name) const;
};

class SocketHandler;
class TlsAcceptor;

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;  // counted but not sent in answer to HEAD; ignored for 204 and 304
  // Writes the body instead, for as long as it likes; it gets no messages. Where the response
  // cannot be sent, or answers HEAD, it is destroyed without a call.
  std::unique_ptr<SocketHandler> stream;
  // More headers. The transport itself sets Date, Server, Connection and Content-Length.
  std::vector<std::pair<std::string, std::string>> headers;
};

// Takes the one response to a request, at any later time, on the transport's thread; calls after
// the first do nothing, nor does any when the client or the transport is gone. Dropped without a
// call: the client gets a 500.
using Responder = absl::AnyInvocable<void(HttpResponse)>;

// The write side of one accepted WebSocket, or of one response that is streamed. Owned by the
// transport: valid until its handler's OnClosed has returned.
class Socket {
 public:
  virtual ~Socket() = default;

  // Queues frames and writes them as soon as the socket takes them: at once when nothing waits,
  // else gathered with whatever else waits. Never blocks, never calls back into the handler.
  // Ignored once closing. A socket whose queue passes the limits of TransportOptions is closed with
  // 4430.
  void Send(const Frames& frames) { Send(frames, 0); }
  // The same for frames whose writing is to be known: `mark` is greater than all before it. Returns
  // whether the kernel has them already.
  virtual bool Send(const Frames& frames, int64_t mark) = 0;
  // Sends a close frame after the frames that are queued (RFC 6455 section 7) and then drops the
  // socket when the peer has answered, or resets it when `close_timeout` is over. With
  // `drop_queue`, only the frame under way is finished first. Later calls do nothing; messages that
  // still arrive are not delivered. A reason longer than 123 bytes is cut. A stream just ends; with
  // `drop_queue`, perhaps in the midst of what is under way.
  virtual void Close(uint16_t code, absl::string_view reason, bool drop_queue) = 0;
  // The greatest mark of whose frames the kernel has taken the last byte.
  virtual int64_t written_mark() const = 0;
  // What waits to be written here, in bytes; the kernel's own buffer is not counted.
  virtual size_t queued_bytes() const = 0;
};

// What a browser's connection does. One object per WebSocket or stream, owned by the transport.
class SocketHandler {
 public:
  virtual ~SocketHandler() = default;

  // The handshake is done; `socket` may be used until OnClosed.
  virtual void OnOpen(Socket& socket) = 0;
  // One complete text message, valid UTF-8. The bytes are valid during the call.
  virtual void OnText(absl::string_view message) = 0;
  // The same for a binary message; only with TransportOptions::allow_binary.
  virtual void OnBinary(absl::string_view /*message*/) {}
  // A ping or pong has come; a ping is answered here.
  virtual void OnControl() {}
  // The queue has become empty after a Send had to leave something in it.
  virtual void OnDrained() {}
  // The socket is gone, for whatever reason; the last call, exactly one for each handler, also
  // where the handshake failed and OnOpen never came. `code` is the close code that was sent or
  // received first (1005: a close without a code), 1006 where there was none.
  virtual void OnClosed(uint16_t code) = 0;
};

// What to do with a request to upgrade to a WebSocket: accept it with `handler`, or refuse it with
// `refusal`.
struct UpgradeDecision {
  std::unique_ptr<SocketHandler> handler;  // null: refused
  HttpResponse refusal;
};

// Which limit of the transport's own somebody has passed, who was told so as far as there was a
// way.
enum class Refusal : uint8_t {
  kConnections,           // in all
  kConnectionsOfAddress,  // see AddressLimit
  kRequestTime,           // an HTTP request came too slowly
  kRequestSize,           // or its head or body was too large
};

// What the transport asks of the program. Must outlive the transport.
class TransportHandler {
 public:
  virtual ~TransportHandler() = default;

  virtual void OnRequest(HttpRequest request, Responder respond) = 0;
  virtual UpgradeDecision OnUpgrade(const HttpRequest& request) = 0;
  // One of the subprotocols that are offered, to be named in the response; empty: none. Also asked
  // where the socket is accepted only to be closed, as a browser that offers subprotocols takes no
  // socket without one, and would not see the code.
  virtual std::string ChooseSubprotocol(const HttpRequest& /*request*/) { return {}; }
  // Somebody was refused of whom nothing else is told here.
  virtual void OnRefused(Refusal /*why*/) {}
};

struct TransportOptions {
  TlsAcceptor* tls = nullptr;  // null: no TLS; otherwise nothing else is spoken. Outlives all
  size_t max_message_bytes = 256 * 1024;  // inbound WebSocket message; more is closed with 1009
  bool allow_binary = false;              // else a binary message is closed with 1003
  size_t max_body_bytes = 1024 * 1024;    // HTTP body; more is answered with 413
  size_t max_header_bytes = 16 * 1024;    // request line and headers; more is answered with 431
  size_t max_queued_bytes = 1024 * 1024;  // of one socket; more is closed with 4430
  // The durations are kept to an eighth of the shortest of them: one timer serves all connections.
  std::chrono::milliseconds max_queue_age{10000};  // of the oldest byte that waits; then 4430
  // From accept to the first byte of a request, a TLS handshake included.
  std::chrono::milliseconds handshake_timeout{10000};
  std::chrono::milliseconds request_timeout{10000};  // from a request's first byte to its last
  // An HTTP connection between requests, and the taking of a response.
  std::chrono::milliseconds keep_alive_timeout{60000};
  std::chrono::milliseconds ping_interval{25000};    // protocol pings from the server
  std::chrono::milliseconds pong_timeout{10000};     // no pong within this resets the connection
  std::chrono::milliseconds close_timeout{5000};     // for a close to be written and answered
  std::chrono::milliseconds message_timeout{30000};  // from a message's first byte to its last
  int send_buffer_bytes = 128 * 1024;                // SO_SNDBUF: makes a slow reader visible early
  size_t max_connections = 20000;  // sockets in all; past it a WebSocket is accepted and closed
                                   // with 1013, an HTTP request answered with 503
  // Past it a WebSocket is accepted and closed with 4429, an HTTP request answered with 429. Null:
  // an address may have any number. Outlives all
  AddressLimit* addresses = nullptr;
  std::string server_name = "agentdesk";  // the Server header
};

// What waits to be written to one client, and how to close it for the sake of memory.
struct Backlog {
  size_t bytes = 0;
  absl::AnyInvocable<void()> close;
};

class Transport {
 public:
  // `io` and `handler` must outlive the transport.
  static std::unique_ptr<Transport> Create(boost::asio::io_context& io, TransportOptions options,
                                           TransportHandler& handler);
  // Drops every connection; every handler gets OnClosed before this returns. The io_context need
  // not run any more.
  virtual ~Transport() = default;

  // Listens on `address` ("127.0.0.1:8000", "[::1]:0") and accepts until StopAccepting, also
  // through exhaustion of descriptors. With `share_port` several transports (one per thread) listen
  // on the same port and the kernel spreads connections over them. Call once. Returns the port.
  // Errors name the address.
  virtual absl::StatusOr<uint16_t> Listen(absl::string_view address, bool share_port) = 0;
  virtual void StopAccepting() = 0;
  // Closes HTTP connections as soon as the request under way has been answered.
  virtual void DrainHttp() = 0;
  // Open sockets, also those that are not yet or no longer of use to anyone.
  virtual size_t connections() const = 0;
  // What waits to be written to all sockets and streams, as the limit of each counts it, and the
  // bodies of responses until the kernel has all of them.
  virtual size_t queued_bytes() const = 0;
  // Adds the responses that are not streams and wait to be written. To close one resets its
  // connection, which tells its client as much as can be told in the midst of a response.
  virtual void AddBacklogs(std::vector<Backlog>& backlogs) const = 0;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_TRANSPORT_H_
