#include "ws_gateway/transport.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core_service/base/log.h"
#include "ws_gateway/outbox.h"

namespace agentdesk::gateway {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using Clock = std::chrono::steady_clock;
using Tcp = net::ip::tcp;
// The concrete executor: the type-erased default costs memory and time in each operation.
using Executor = net::io_context::executor_type;
using TcpSocket = net::basic_stream_socket<Tcp, Executor>;
using TcpAcceptor = net::basic_socket_acceptor<Tcp, Executor>;
using ErrorCode = boost::system::error_code;
using BeastRequest = http::request<http::string_body>;
using BeastResponse = http::response<http::string_body>;

constexpr uint16_t kProtocolError = 1002;
constexpr uint16_t kNotText = 1003;
constexpr uint16_t kNoCode = 1005;
constexpr uint16_t kAbnormal = 1006;
constexpr uint16_t kNotUtf8 = 1007;
constexpr uint16_t kTooLarge = 1009;
constexpr uint16_t kTryAgainLater = 1013;
constexpr uint16_t kReadTooSlowly = 4430;

constexpr auto kNever = Clock::time_point::max();
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr int kRetryAfterSeconds = 5;
// An inbound buffer that a large message has grown past this is given back.
constexpr size_t kKeptBuffer = 4096;

absl::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

HttpResponse ErrorResponse(int status, absl::string_view code, absl::string_view message) {
  HttpResponse response;
  response.status = status;
  response.body =
      absl::StrCat(R"({"error":{"code":")", code, R"(","message":")", message, R"("}})");
  return response;
}

HttpResponse OverloadResponse() {
  HttpResponse response =
      ErrorResponse(503, "too_many_connections", "the server has too many connections");
  response.headers.emplace_back("Retry-After", absl::StrCat(kRetryAfterSeconds));
  return response;
}

// A last word on a socket that is about to be closed and that Beast does not write to.
void WriteAndForget(int fd, const HttpResponse& response) {
  std::string bytes =
      absl::StrCat("HTTP/1.1 ", response.status, " ",
                   View(http::obsolete_reason(static_cast<http::status>(response.status))),
                   "\r\nConnection: close\r\nContent-Type: ", response.content_type,
                   "\r\nContent-Length: ", response.body.size());
  for (const auto& [name, value] : response.headers) {
    absl::StrAppend(&bytes, "\r\n", name, ": ", value);
  }
  absl::StrAppend(&bytes, "\r\n\r\n", response.body);
  [[maybe_unused]] const ssize_t sent =
      ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

std::string AddressText(const net::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return net::ip::make_address_v4(net::ip::v4_mapped, address.to_v6()).to_string();
  }
  return address.to_string();
}

HttpRequest PlainRequest(BeastRequest& message, absl::string_view remote_address) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  // The absolute form names this server again (RFC 9112 section 3.2.2).
  for (const absl::string_view scheme : {"http://", "https://"}) {
    if (!absl::StartsWithIgnoreCase(request.target, scheme)) continue;
    const size_t path = request.target.find_first_of("/?", scheme.size());
    request.target = path == std::string::npos ? "/" : request.target.substr(path);
    if (request.target.front() != '/') request.target.insert(0, 1, '/');
    break;
  }
  request.remote_address = std::string(remote_address);
  for (const auto& field : message) {
    request.headers.emplace_back(absl::AsciiStrToLower(View(field.name_string())),
                                 std::string(field.value()));
  }
  request.body = std::move(message.body());
  return request;
}

bool AsksForWebSocket(const BeastRequest& message) {
  return http::token_list{message[http::field::connection]}.exists("upgrade") &&
         http::token_list{message[http::field::upgrade]}.exists("websocket");
}

// What is wrong with a request to upgrade, by RFC 6455 section 4.2.1.
std::optional<HttpResponse> HandshakeFault(const BeastRequest& message) {
  if (message.method() != http::verb::get) {
    HttpResponse response =
        ErrorResponse(405, "method_not_allowed", "a WebSocket is opened with GET");
    response.headers.emplace_back("Allow", "GET");
    return response;
  }
  if (message.version() < 11 || !message.body().empty()) {
    return ErrorResponse(400, "invalid_request",
                         "a WebSocket is opened over HTTP/1.1 without a body");
  }
  if (message[http::field::sec_websocket_version] != "13") {
    HttpResponse response =
        ErrorResponse(426, "unsupported_version", "the WebSocket version must be 13 (RFC 6455)");
    response.headers.emplace_back("Upgrade", "websocket");
    response.headers.emplace_back("Sec-WebSocket-Version", "13");
    return response;
  }
  std::string nonce;
  if (!absl::Base64Unescape(View(message[http::field::sec_websocket_key]), &nonce) ||
      nonce.size() != 16) {
    return ErrorResponse(400, "invalid_request",
                         "Sec-WebSocket-Key must be the base64 of 16 bytes");
  }
  return std::nullopt;
}

class HttpConnection;
class WebSocketConnection;
class Connection;

class BeastTransport final : public Transport {
 public:
  BeastTransport(net::io_context& io, TransportOptions options, TransportHandler& handler);
  ~BeastTransport() override;

  absl::StatusOr<uint16_t> Listen(absl::string_view address, bool share_port) override;
  void StopAccepting() override;
  void DrainHttp() override;
  size_t connections() const override { return connections_.size(); }

  const TransportOptions& options() const { return options_; }
  TransportHandler& handler() { return handler_; }
  bool draining() const { return draining_; }

  void Add(std::shared_ptr<Connection> connection);
  void Remove(Connection& connection);
  // Puts `upgraded` where `connection` was.
  void Replace(Connection& connection, std::shared_ptr<Connection> upgraded);
  // Counts a connection that has sent its first request; false: there are too many.
  bool Admit();

 private:
  void Accept();
  void OnAccepted(ErrorCode error, TcpSocket socket);
  void PauseAccepting();
  void RefuseOne();
  void ArmSweep();

  net::io_context& io_;
  const TransportOptions options_;
  TransportHandler& handler_;
  TcpAcceptor acceptor_;
  Tcp::endpoint peer_;
  net::steady_timer accept_timer_;
  net::steady_timer sweep_timer_;
  std::chrono::milliseconds sweep_interval_;
  bool sweeping_ = false;
  bool draining_ = false;
  bool exhausted_ = false;
  // Given up for a moment when descriptors run out, to take a connection and refuse it.
  int spare_descriptor_ = -1;
  size_t admitted_ = 0;
  // Each connection knows its slot; removal moves the last one into it.
  std::vector<std::shared_ptr<Connection>> connections_;
  // Callbacks of the timers and of the acceptor may run after the destructor; this tells them.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

// An accepted socket. The transport's list owns it, and so does each of its asynchronous
// operations, since the buffers of these are within it and Asio calls back after a cancellation
// too, when the transport may be gone: then gone() holds, and nothing but the members may be
// touched.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  explicit Connection(BeastTransport& transport) : transport_(&transport) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  virtual ~Connection() = default;

  // Called every sweep interval: whatever is due by `now`.
  virtual void Sweep(Clock::time_point now) = 0;
  // Ends the connection at once, because the transport ends.
  virtual void Drop() = 0;
  virtual void CloseIfIdleHttp() {}

 protected:
  friend class BeastTransport;

  virtual TcpSocket& socket() = 0;

  bool gone() const { return transport_ == nullptr; }
  const TransportOptions& options() const { return transport_->options(); }
  void ExpectWithin(std::chrono::milliseconds timeout) { deadline_ = Clock::now() + timeout; }
  bool overdue(Clock::time_point now) const { return now >= deadline_; }

  // Closes the socket and leaves the transport. The caller holds a reference to *this.
  void Leave() {
    if (gone()) return;
    ErrorCode ignored;
    socket().close(ignored);
    std::exchange(transport_, nullptr)->Remove(*this);
  }

  // The same with a reset, so that the kernel keeps nothing for a peer that does not listen.
  void Reset() {
    if (gone()) return;
    ErrorCode ignored;
    socket().set_option(net::socket_base::linger(true, 0), ignored);
    Leave();
  }

  void HalfClose() {
    ErrorCode ignored;
    socket().shutdown(net::socket_base::shutdown_send, ignored);
  }

  // Discards what arrives until the peer closes. To close with unread input would be a reset, which
  // overtakes what was written last: the peer would never learn why.
  void Discard() {
    socket().async_wait(net::socket_base::wait_read,
                        [this, self = shared_from_this()](ErrorCode error) {
                          if (gone()) return;
                          if (error || !DiscardSome()) return Leave();
                          Discard();
                        });
  }

  BeastTransport* transport_;  // null once the connection has left it
  size_t slot_ = 0;
  bool admitted_ = false;
  Clock::time_point deadline_ = kNever;

 private:
  // False: the peer has closed, or is lost.
  bool DiscardSome() {
    constexpr int kMaxReads = 16;  // then others get their turn
    std::array<char, 16 * 1024> bytes;
    for (int i = 0; i < kMaxReads; ++i) {
      const ssize_t size =
          ::recv(socket().native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
      if (size == 0) return false;
    }
    return true;
  }
};

// The stream layer between Beast's WebSocket stream and the TCP socket. Reads pass through. Writes
// do not reach the socket: each is one whole frame (or the handshake's response), which goes into
// the connection's outbox as it is and counts as written, so that the frames of the hub and those
// of Beast never mix, and Beast never waits for a slow reader.
class OutboxStream {
 public:
  using executor_type = Executor;

  // `early_input`: what came behind the request to upgrade.
  OutboxStream(TcpSocket socket, std::string early_input, WebSocketConnection& connection)
      : socket_(std::move(socket)), early_input_(std::move(early_input)), connection_(connection) {}

  executor_type get_executor() noexcept { return socket_.get_executor(); }
  TcpSocket& socket() { return socket_; }

  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (early_input_.empty()) {
      socket_.async_read_some(buffers, std::forward<Handler>(handler));
      return;
    }
    const size_t size = net::buffer_copy(buffers, net::buffer(early_input_));
    early_input_.erase(0, size);
    net::post(get_executor(),
              beast::bind_handler(std::forward<Handler>(handler), ErrorCode(), size));
  }

  template <typename Buffers, typename Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    const size_t size = beast::buffer_bytes(buffers);
    Take(beast::buffers_to_string(buffers));
    net::post(get_executor(),
              beast::bind_handler(std::forward<Handler>(handler), ErrorCode(), size));
  }

 private:
  void Take(std::string bytes);

  TcpSocket socket_;
  std::string early_input_;
  WebSocketConnection& connection_;
};

// Beast calls these when it is done with the stream. The connection does what is to be done, as it
// alone knows what is still to be written.
template <typename Handler>
void async_teardown(beast::role_type /*role*/, OutboxStream& stream, Handler&& handler) {
  net::post(stream.get_executor(),
            beast::bind_handler(std::forward<Handler>(handler), ErrorCode()));
}
void beast_close_socket(OutboxStream& stream) {
  ErrorCode ignored;
  stream.socket().close(ignored);
}

class WebSocketConnection final : public Connection, public Socket {
 public:
  // Without a handler it is closed with 1013 as soon as it is open.
  WebSocketConnection(BeastTransport& transport, TcpSocket socket, std::string early_input,
                      std::unique_ptr<SocketHandler> handler)
      : Connection(transport),
        ws_(std::move(socket), std::move(early_input), *this),
        handler_(std::move(handler)) {}

  void Start(const BeastRequest& request, absl::string_view subprotocol) {
    ExpectWithin(options().handshake_timeout);
    ws_.read_message_max(options().max_message_bytes);
    ws_.control_callback([this](websocket::frame_type kind, beast::string_view /*payload*/) {
      if (kind == websocket::frame_type::pong) pong_due_ = kNever;
    });
    ws_.set_option(websocket::stream_base::decorator(
        [server = options().server_name,
         protocol = std::string(subprotocol)](websocket::response_type& response) {
          response.set(http::field::server, server);
          if (!protocol.empty()) response.set(http::field::sec_websocket_protocol, protocol);
        }));
    ws_.async_accept(request, [this, self = shared_from_this()](ErrorCode error) {
      if (!gone()) OnAccepted(error);
    });
  }

  // One whole frame of Beast's, or its response to the handshake.
  void TakeFromBeast(std::string bytes) {
    // RFC 6455 section 5.5.1: after the close frame nothing more is sent.
    if (gone() || closing()) return;
    constexpr char kCloseFrame = static_cast<char>(0x80 | static_cast<int>(Opcode::kClose));
    if (bytes.front() == kCloseFrame) {
      phase_ = Phase::kClosing;
      ExpectWithin(options().close_timeout);
    }
    auto owner = std::make_shared<const std::string>(std::move(bytes));
    const absl::string_view view = *owner;
    Queue(Frames{std::move(owner), view, 0});
  }

  void Send(const Frames& frames) override {
    if (phase_ == Phase::kOpen) Queue(frames);
  }

  void Close(uint16_t code, absl::string_view reason, bool drop_queue) override {
    if (phase_ != Phase::kOpen) return;
    phase_ = Phase::kClosing;
    close_code_ = code;
    ExpectWithin(options().close_timeout);
    if (drop_queue) outbox_.DropUnstarted();
    Queue(MakeCloseFrame(code, reason));
  }

  int64_t written_sequence() const override { return outbox_.written_sequence(); }
  size_t queued_bytes() const override { return outbox_.queued_bytes(); }

  void Sweep(Clock::time_point now) override {
    if (overdue(now) || now >= pong_due_) {
      Reset();
      NotifyClosed();
      return;
    }
    if (phase_ != Phase::kOpen) return;
    if (!outbox_.empty()) {
      // A ping would only wait behind the rest, and the age of the rest tells as much.
      if (now - outbox_.oldest() >= options().max_queue_age) CloseSlowReader();
    } else if (now >= ping_due_) {
      static const Frames ping = MakeFrame("", Opcode::kPing);
      ping_due_ = now + options().ping_interval;
      if (pong_due_ == kNever) pong_due_ = now + options().pong_timeout;
      Queue(ping);
    }
  }

  void Drop() override {
    Leave();
    NotifyClosed();
  }

 private:
  enum class Phase : uint8_t {
    kHandshake,
    kOpen,
    kClosing,    // a close frame is queued or written, or writing has failed
    kLingering,  // no more is read as WebSocket: what is queued is written, what comes discarded
  };

  TcpSocket& socket() override { return ws_.next_layer().socket(); }
  bool closing() const { return phase_ == Phase::kClosing || phase_ == Phase::kLingering; }

  void OnAccepted(ErrorCode error) {
    // A new socket has room for the response; one without is no one's.
    if (error || phase_ != Phase::kHandshake || !outbox_.empty()) {
      Leave();
      NotifyClosed();
      return;
    }
    phase_ = Phase::kOpen;
    deadline_ = kNever;
    ping_due_ = Clock::now() + options().ping_interval;
    if (handler_ == nullptr) {
      Close(kTryAgainLater,
            absl::StrCat("too many connections, retry in ", kRetryAfterSeconds, " s"), false);
    } else {
      handler_->OnOpen(*this);
    }
    Read();
  }

  void Read() {
    ws_.async_read(input_, [this, self = shared_from_this()](ErrorCode error, size_t /*size*/) {
      if (!gone()) OnRead(error);
    });
  }

  void OnRead(ErrorCode error) {
    if (error) return OnReadEnd(error);
    if (phase_ == Phase::kOpen) {
      const auto bytes = input_.cdata();
      const absl::string_view message(static_cast<const char*>(bytes.data()), bytes.size());
      if (ws_.got_text()) {
        handler_->OnText(message);
      } else if (options().allow_binary) {
        handler_->OnBinary(message);
      } else {
        Close(kNotText, "binary messages are not understood", false);
      }
    }
    input_.consume(input_.size());
    if (input_.capacity() > kKeptBuffer) input_.shrink_to_fit();
    Read();
  }

  void OnReadEnd(ErrorCode error) {
    static const auto& kWebSocketErrors =
        websocket::make_error_code(websocket::error::closed).category();
    if (error.category() != kWebSocketErrors) {
      Leave();
      NotifyClosed();
      return;
    }
    // The peer has closed or broken the protocol, and Beast's close frame is in the outbox, unless
    // one of ours was there first.
    if (close_code_ == 0) close_code_ = CodeOf(error);
    phase_ = Phase::kLingering;
    ExpectWithin(options().close_timeout);
    if (outbox_.empty()) HalfClose();
    Discard();
    NotifyClosed();
  }

  uint16_t CodeOf(ErrorCode error) const {
    if (error == websocket::error::closed) {
      const uint16_t code = ws_.reason().code;
      return code == websocket::close_code::none ? kNoCode : code;
    }
    if (error == websocket::error::message_too_big) return kTooLarge;
    if (error == websocket::error::bad_frame_payload) return kNotUtf8;
    return kProtocolError;
  }

  void Queue(Frames frames) {
    outbox_.Append(std::move(frames), Clock::now());
    if (!waits_for_room_) Flush();
    if (phase_ == Phase::kOpen && outbox_.queued_bytes() > options().max_queued_bytes) {
      CloseSlowReader();
    }
  }

  void Flush() {
    if (outbox_.Flush(socket().native_handle())) {
      // The read under way will meet the same fate, after what the peer has sent before, perhaps a
      // close frame; so the connection ends there. That also keeps Send from calling the handler.
      outbox_.Clear();
      if (!closing()) {
        phase_ = Phase::kClosing;
        ExpectWithin(options().close_timeout);
      }
      return;
    }
    if (outbox_.empty()) return;
    waits_for_room_ = true;
    socket().async_wait(net::socket_base::wait_write,
                        [this, self = shared_from_this()](ErrorCode /*error*/) {
                          waits_for_room_ = false;
                          if (!gone()) OnRoom();
                        });
  }

  void OnRoom() {
    Flush();
    if (!outbox_.empty()) return;
    if (phase_ == Phase::kOpen) handler_->OnDrained();
    if (phase_ == Phase::kLingering) HalfClose();
  }

  void CloseSlowReader() { Close(kReadTooSlowly, "read too slowly: resume", true); }

  void NotifyClosed() {
    if (handler_ == nullptr) return;
    const std::unique_ptr<SocketHandler> handler = std::move(handler_);
    handler->OnClosed(close_code_ == 0 ? kAbnormal : close_code_);
  }

  websocket::stream<OutboxStream, false> ws_;
  std::unique_ptr<SocketHandler> handler_;
  beast::flat_buffer input_;
  Outbox outbox_;
  Phase phase_ = Phase::kHandshake;
  bool waits_for_room_ = false;
  uint16_t close_code_ = 0;
  Clock::time_point ping_due_ = kNever;
  Clock::time_point pong_due_ = kNever;
};

void OutboxStream::Take(std::string bytes) {
  if (!bytes.empty()) connection_.TakeFromBeast(std::move(bytes));
}

// Requests are taken one at a time, so pipelined ones are answered in order.
class HttpConnection final : public Connection {
 public:
  HttpConnection(BeastTransport& transport, TcpSocket socket, std::string remote_address)
      : Connection(transport),
        socket_(std::move(socket)),
        remote_address_(std::move(remote_address)) {}

  void Start() { AwaitRequest(options().handshake_timeout); }

  void Respond(HttpResponse response) {
    if (!gone() && phase_ == Phase::kAnswering) Write(std::move(response), keep_alive_);
  }

  void Sweep(Clock::time_point now) override {
    if (!overdue(now)) return;
    if (phase_ == Phase::kReading) {
      WriteAndForget(socket_.native_handle(),
                     ErrorResponse(408, "request_timeout", "the request took too long to arrive"));
      Leave();
    } else if (phase_ == Phase::kIdle) {
      Leave();
    } else {
      Reset();
    }
  }

  void Drop() override { Leave(); }

  void CloseIfIdleHttp() override {
    if (phase_ == Phase::kIdle) Leave();
  }

 private:
  enum class Phase : uint8_t { kIdle, kReading, kAnswering, kWriting, kLingering };

  TcpSocket& socket() override { return socket_; }

  void AwaitRequest(std::chrono::milliseconds timeout) {
    if (input_.size() > 0) return Read();
    input_.shrink_to_fit();
    phase_ = Phase::kIdle;
    ExpectWithin(timeout);
    socket_.async_wait(net::socket_base::wait_read,
                       [this, self = shared_from_this()](ErrorCode error) {
                         if (gone()) return;
                         if (error) return Leave();
                         Read();
                       });
  }

  void Read() {
    phase_ = Phase::kReading;
    ExpectWithin(options().request_timeout);
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(options().max_header_bytes));
    parser_->body_limit(options().max_body_bytes);
    http::async_read_header(socket_, input_, *parser_,
                            [this, self = shared_from_this()](ErrorCode error, size_t /*size*/) {
                              if (!gone()) OnHeader(error);
                            });
  }

  void OnHeader(ErrorCode error) {
    if (error) return OnReadError(error);
    if (parser_->is_done()) return OnRequest();
    if (beast::iequals(parser_->get()[http::field::expect], "100-continue")) {
      // Nothing else is being written. If this is lost, the client sends its body after a while.
      constexpr absl::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      [[maybe_unused]] const ssize_t sent = ::send(socket_.native_handle(), kContinue.data(),
                                                   kContinue.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    http::async_read(socket_, input_, *parser_,
                     [this, self = shared_from_this()](ErrorCode read_error, size_t /*size*/) {
                       if (gone()) return;
                       if (read_error) return OnReadError(read_error);
                       OnRequest();
                     });
  }

  void OnReadError(ErrorCode error) {
    static const auto& kHttpErrors = http::make_error_code(http::error::end_of_stream).category();
    if (error == http::error::body_limit) {
      Write(ErrorResponse(413, "too_large",
                          absl::StrCat("the body may have ", options().max_body_bytes, " bytes")),
            false);
    } else if (error == http::error::header_limit) {
      Write(ErrorResponse(
                431, "headers_too_large",
                absl::StrCat("the headers may have ", options().max_header_bytes, " bytes")),
            false);
    } else if (error.category() == kHttpErrors && error != http::error::end_of_stream &&
               error != http::error::partial_message) {
      Write(ErrorResponse(400, "invalid_request", absl::StrCat("not HTTP: ", error.message())),
            false);
    } else {
      Leave();
    }
  }

  void OnRequest() {
    deadline_ = kNever;
    const bool chunked = parser_->chunked();
    BeastRequest message = parser_->release();
    parser_.reset();
    version_ = message.version();
    is_head_ = message.method() == http::verb::head;
    keep_alive_ = message.keep_alive();
    // A body whose end cannot be known would be read as the next request.
    if (message.count(http::field::transfer_encoding) > 0 && !chunked) {
      return Write(ErrorResponse(400, "invalid_request", "the only transfer encoding is chunked"),
                   false);
    }
    const size_t hosts = message.count(http::field::host);
    if (hosts > 1 || (hosts == 0 && version_ >= 11)) {
      return Write(ErrorResponse(400, "invalid_request", "one Host header is required"), false);
    }
    if (!admitted_) admitted_ = transport_->Admit();
    if (AsksForWebSocket(message)) return Upgrade(message);
    if (!admitted_) return Write(OverloadResponse(), false);
    phase_ = Phase::kAnswering;
    transport_->handler().OnRequest(PlainRequest(message, remote_address_),
                                    PendingResponse(weak_from_this()));
  }

  void Upgrade(BeastRequest& message) {
    if (std::optional<HttpResponse> fault = HandshakeFault(message)) {
      return Write(std::move(*fault), keep_alive_);
    }
    UpgradeDecision decision;
    if (admitted_) {
      decision = transport_->handler().OnUpgrade(PlainRequest(message, remote_address_));
      if (decision.handler == nullptr) return Write(std::move(decision.refusal), keep_alive_);
    } else {
      // A browser that offers subprotocols takes no socket without one, and would not see the code.
      for (const auto offered : http::token_list{message[http::field::sec_websocket_protocol]}) {
        decision.subprotocol = std::string(offered);
        break;
      }
    }
    auto upgraded = std::make_shared<WebSocketConnection>(*transport_, std::move(socket_),
                                                          beast::buffers_to_string(input_.cdata()),
                                                          std::move(decision.handler));
    std::exchange(transport_, nullptr)->Replace(*this, upgraded);
    upgraded->Start(message, decision.subprotocol);
  }

  void Write(HttpResponse response, bool keep_alive) {
    keep_alive = keep_alive && !transport_->draining();
    phase_ = Phase::kWriting;
    ExpectWithin(options().keep_alive_timeout);
    BeastResponse& message = response_.emplace();
    message.version(version_);
    message.result(static_cast<unsigned>(response.status));
    message.set(http::field::date,
                absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone()));
    message.set(http::field::server, options().server_name);
    for (const auto& [name, value] : response.headers) message.insert(name, value);
    message.keep_alive(keep_alive);
    if (response.status != 204 && response.status != 304) {
      if (!response.content_type.empty()) {
        message.set(http::field::content_type, response.content_type);
      }
      message.content_length(response.body.size());
      if (!is_head_) message.body() = std::move(response.body);
    }
    http::async_write(socket_, message,
                      [this, keep_alive, self = shared_from_this()](ErrorCode error, size_t) {
                        if (gone()) return;
                        response_.reset();
                        if (error) return Leave();
                        if (keep_alive && !transport_->draining()) {
                          return AwaitRequest(options().keep_alive_timeout);
                        }
                        phase_ = Phase::kLingering;
                        ExpectWithin(options().close_timeout);
                        HalfClose();
                        Discard();
                      });
  }

  // The Responder that a handler holds. It does not keep the connection.
  class PendingResponse {
   public:
    explicit PendingResponse(std::weak_ptr<Connection> connection)
        : connection_(std::move(connection)) {}
    PendingResponse(PendingResponse&&) = default;
    PendingResponse& operator=(PendingResponse&&) = delete;
    ~PendingResponse() { (*this)(ErrorResponse(500, "internal", "the request was not answered")); }

    void operator()(HttpResponse response) {
      if (const auto connection = std::exchange(connection_, {}).lock()) {
        static_cast<HttpConnection&>(*connection).Respond(std::move(response));
      }
    }

   private:
    std::weak_ptr<Connection> connection_;
  };

  TcpSocket socket_;
  const std::string remote_address_;
  Phase phase_ = Phase::kIdle;
  beast::flat_buffer input_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<BeastResponse> response_;
  unsigned version_ = 11;
  bool is_head_ = false;
  bool keep_alive_ = false;
};

BeastTransport::BeastTransport(net::io_context& io, TransportOptions options,
                               TransportHandler& handler)
    : io_(io),
      options_(std::move(options)),
      handler_(handler),
      acceptor_(io),
      accept_timer_(io),
      sweep_timer_(io) {
  const auto shortest =
      std::min({options_.max_queue_age, options_.handshake_timeout, options_.request_timeout,
                options_.keep_alive_timeout, options_.ping_interval, options_.pong_timeout,
                options_.close_timeout});
  using std::chrono::milliseconds;
  sweep_interval_ = std::clamp(shortest / 8, milliseconds(5), milliseconds(500));
}

BeastTransport::~BeastTransport() {
  alive_.reset();
  StopAccepting();
  while (!connections_.empty()) {
    const std::shared_ptr<Connection> connection = connections_.back();
    connection->Drop();
  }
  if (spare_descriptor_ >= 0) ::close(spare_descriptor_);
}

absl::StatusOr<uint16_t> BeastTransport::Listen(absl::string_view address, bool share_port) {
  const size_t colon = address.rfind(':');
  absl::string_view host = address.substr(0, colon);
  uint32_t port = 0;
  if (colon == absl::string_view::npos || host.empty() ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port > 0xffff) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on \"", address, "\": HOST:PORT is needed"));
  }
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);

  ErrorCode error;
  const auto failed = [&] {
    acceptor_.close();
    return absl::UnavailableError(
        absl::StrCat("cannot listen on \"", address, "\": ", error.message()));
  };
  const auto found = Tcp::resolver(io_).resolve(std::string(host), std::to_string(port),
                                                Tcp::resolver::passive, error);
  if (error) return failed();
  const Tcp::endpoint endpoint = *found.begin();
  if (acceptor_.open(endpoint.protocol(), error)) return failed();
  if (acceptor_.set_option(net::socket_base::reuse_address(true), error)) return failed();
  const int on = 1;
  if (share_port &&
      ::setsockopt(acceptor_.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) {
    error.assign(errno, boost::system::system_category());
    return failed();
  }
  if (acceptor_.bind(endpoint, error)) return failed();
  if (acceptor_.listen(net::socket_base::max_listen_connections, error)) return failed();
  const Tcp::endpoint bound = acceptor_.local_endpoint(error);
  if (error) return failed();
  Accept();
  return bound.port();
}

void BeastTransport::StopAccepting() {
  ErrorCode ignored;
  acceptor_.close(ignored);
  accept_timer_.cancel();
}

void BeastTransport::Accept() {
  if (spare_descriptor_ < 0) spare_descriptor_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  acceptor_.async_accept(
      peer_, [this, alive = std::weak_ptr<char>(alive_)](ErrorCode error, TcpSocket socket) {
        if (alive.expired() || !acceptor_.is_open()) return;
        OnAccepted(error, std::move(socket));
      });
}

void BeastTransport::OnAccepted(ErrorCode error, TcpSocket socket) {
  if (error) {
    // Of the errors of accept(2) only this one is about the connection and not about this process.
    if (error == net::error::connection_aborted) return Accept();
    if (!std::exchange(exhausted_, true)) {
      LogWarning("cannot accept connections", {{"error", error.message()}});
    }
    RefuseOne();
    return PauseAccepting();
  }
  if (std::exchange(exhausted_, false)) LogInfo("accepting connections again");
  // Beyond the limit some more are let in, to be refused in words.
  const size_t most = options_.max_connections + std::max<size_t>(16, options_.max_connections / 8);
  if (connections_.size() >= most) {
    WriteAndForget(socket.native_handle(), OverloadResponse());
    return Accept();
  }
  ErrorCode ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  socket.set_option(net::socket_base::send_buffer_size(options_.send_buffer_bytes), ignored);
  const auto connection =
      std::make_shared<HttpConnection>(*this, std::move(socket), AddressText(peer_.address()));
  Add(connection);
  connection->Start();
  Accept();
}

void BeastTransport::RefuseOne() {
  if (spare_descriptor_ < 0) return;
  ::close(std::exchange(spare_descriptor_, -1));
  // Asio has made the acceptor non-blocking.
  const int fd = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) {
    WriteAndForget(fd, OverloadResponse());
    ::close(fd);
  }
}

void BeastTransport::PauseAccepting() {
  accept_timer_.expires_after(kAcceptPause);
  accept_timer_.async_wait([this, alive = std::weak_ptr<char>(alive_)](ErrorCode) {
    if (!alive.expired() && acceptor_.is_open()) Accept();
  });
}

void BeastTransport::DrainHttp() {
  draining_ = true;
  for (const auto& connection : std::vector(connections_)) connection->CloseIfIdleHttp();
}

void BeastTransport::Add(std::shared_ptr<Connection> connection) {
  connection->slot_ = connections_.size();
  connections_.push_back(std::move(connection));
  ArmSweep();
}

void BeastTransport::Remove(Connection& connection) {
  if (connection.admitted_) --admitted_;
  const size_t slot = connection.slot_;
  std::swap(connections_[slot], connections_.back());
  connections_[slot]->slot_ = slot;
  connections_.pop_back();
}

void BeastTransport::Replace(Connection& connection, std::shared_ptr<Connection> upgraded) {
  upgraded->slot_ = connection.slot_;
  upgraded->admitted_ = connection.admitted_;
  connections_[connection.slot_] = std::move(upgraded);
}

bool BeastTransport::Admit() {
  if (admitted_ >= options_.max_connections) return false;
  ++admitted_;
  return true;
}

void BeastTransport::ArmSweep() {
  if (sweeping_ || connections_.empty()) return;
  sweeping_ = true;
  sweep_timer_.expires_after(sweep_interval_);
  sweep_timer_.async_wait([this, alive = std::weak_ptr<char>(alive_)](ErrorCode) {
    if (alive.expired()) return;
    const auto now = Clock::now();
    // Backwards, since one that leaves is replaced by the last one, which has had its turn then.
    for (size_t slot = connections_.size(); slot-- > 0;) {
      if (slot >= connections_.size()) continue;
      const std::shared_ptr<Connection> connection = connections_[slot];
      connection->Sweep(now);
    }
    sweeping_ = false;
    ArmSweep();
  });
}

}  // namespace

absl::string_view HttpRequest::Header(absl::string_view name) const {
  for (const auto& [header, value] : headers) {
    if (header == name) return value;
  }
  return {};
}

std::unique_ptr<Transport> Transport::Create(net::io_context& io, TransportOptions options,
                                             TransportHandler& handler) {
  return std::make_unique<BeastTransport>(io, std::move(options), handler);
}

}  // namespace agentdesk::gateway
