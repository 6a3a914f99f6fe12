#include "ws_gateway/transport.h"

#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "ws_gateway/acceptor.h"
#include "ws_gateway/address_limit.h"
#include "ws_gateway/connection_set.h"
#include "ws_gateway/http_message.h"
#include "ws_gateway/maybe_tls_stream.h"
#include "ws_gateway/outbox_connection.h"
#include "ws_gateway/stream_connection.h"
#include "ws_gateway/tcp.h"
#include "ws_gateway/tls_acceptor.h"

namespace agentdesk::gateway {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using ErrorCode = boost::system::error_code;

constexpr uint16_t kProtocolError = 1002;
constexpr uint16_t kNotText = 1003;
constexpr uint16_t kNoCode = 1005;
constexpr uint16_t kNotUtf8 = 1007;
constexpr uint16_t kTooLarge = 1009;
constexpr uint16_t kTryAgainLater = 1013;
constexpr uint16_t kTooMany = 4429;

// The first byte of a close frame.
constexpr char kCloseFrame = static_cast<char>(0x80 | static_cast<int>(Opcode::kClose));
// An inbound buffer that a large message has grown past this is given back.
constexpr size_t kKeptBuffer = 4096;
// How many messages are read between two sweeps from one who was told to go.
constexpr int kReadsOfClosing = 32;

// The first byte of a TLS connection: a record of the type handshake (RFC 8446 section 5.1).
constexpr char kHandshakeRecord = 22;

// What the connections of one transport share.
struct Server {
  const TransportOptions options;
  TransportHandler& handler;
  bool draining = false;
};

class WebSocketConnection;

// The stream layer between Beast's WebSocket stream and the connection. Reads pass through. Writes
// do not reach the peer: each is one whole frame (or the handshake's response), which goes into
// the connection's outbox as it is and counts as written, so that the frames of the hub and those
// of Beast never mix, and Beast never waits for a slow reader.
class OutboxStream {
 public:
  using executor_type = TcpExecutor;

  // `early_input`: what came behind the request to upgrade.
  OutboxStream(MaybeTlsStream peer, std::string early_input, WebSocketConnection& connection)
      : peer_(std::move(peer)), early_input_(std::move(early_input)), connection_(connection) {}

  executor_type get_executor() noexcept { return peer_.get_executor(); }
  MaybeTlsStream& peer() { return peer_; }

  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (early_input_.empty()) {
      peer_.async_read_some(buffers, std::forward<Handler>(handler));
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

  MaybeTlsStream peer_;
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
// Closed it is only when the connection leaves its set: until then the connection may write to it
// by its number.
void beast_close_socket(OutboxStream& stream) {
  ErrorCode ignored;
  stream.peer().socket().shutdown(net::socket_base::shutdown_both, ignored);
}

class WebSocketConnection final : public OutboxConnection {
 public:
  // Without a handler it is closed as soon as it is open, since there is no room: see `refusal`.
  WebSocketConnection(const TransportOptions& options, MaybeTlsStream peer, std::string early_input,
                      std::unique_ptr<SocketHandler> handler, std::optional<Refusal> refusal)
      : OutboxConnection(options, std::move(handler)),
        refusal_(refusal),
        ws_(std::move(peer), std::move(early_input), *this) {}

  void Start(const BeastRequest& request, absl::string_view subprotocol) {
    ExpectWithin(options_.handshake_timeout);
    ws_.read_message_max(options_.max_message_bytes);
    ws_.control_callback([this](websocket::frame_type kind, beast::string_view /*payload*/) {
      if (kind == websocket::frame_type::pong) pong_due_ = kNever;
      if (kind != websocket::frame_type::close && phase_ == Phase::kOpen && handler_ != nullptr) {
        handler_->OnControl();
      }
    });
    ws_.set_option(websocket::stream_base::decorator(
        [server = options_.server_name,
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
    if (bytes.front() == kCloseFrame) {
      phase_ = Phase::kClosing;
      ExpectWithin(options_.close_timeout);
      // Beast gives no reasons. This is the one refusal that an honest client can avoid next time.
      if (bytes == MakeCloseFrame(kTooLarge, "").bytes) {
        return Queue(MakeCloseFrame(
            kTooLarge, absl::StrCat("a message may have ", options_.max_message_bytes, " bytes")));
      }
    }
    Queue(OwnFrames(std::move(bytes)));
  }

  void Close(uint16_t code, absl::string_view reason, bool drop_queue) override {
    if (phase_ != Phase::kOpen) return;
    phase_ = Phase::kClosing;
    close_code_ = code;
    ExpectWithin(options_.close_timeout);
    if (drop_queue) outbox_.DropUnstarted();
    Queue(MakeCloseFrame(code, reason));
  }

  void Sweep(Clock::time_point now) override {
    const bool open = phase_ == Phase::kOpen;
    if (overdue(now) || (open && now >= pong_due_)) return Abandon();
    if (std::exchange(reading_waits_, false)) Read();
    if (!open) return;
    if (ws_.is_message_done()) {
      message_due_ = kNever;
    } else if (message_due_ == kNever) {
      message_due_ = now + options_.message_timeout;
    } else if (now >= message_due_) {
      return Close(kTooMany,
                   absl::StrCat("a message may take ", options_.message_timeout.count(),
                                " ms to arrive, retry in ", kRetryAfterSeconds, " s"),
                   false);
    }
    if (!outbox_.empty()) {
      // A ping would only wait behind the rest, and the age of the rest tells as much.
      CloseIfSlow(now);
    } else if (now >= ping_due_) {
      static const Frames ping = MakeFrame("", Opcode::kPing);
      ping_due_ = now + options_.ping_interval;
      if (pong_due_ == kNever) pong_due_ = now + options_.pong_timeout;
      Queue(ping);
    }
  }

 private:
  MaybeTlsStream& stream() override { return ws_.next_layer().peer(); }

  void OnAccepted(ErrorCode error) {
    // A new socket has room for the response; one without is no one's.
    if (error || phase_ != Phase::kHandshake || !flushed()) return Drop();
    Open();
    ExpectNothing();
    ping_due_ = Clock::now() + options_.ping_interval;
    if (refusal_ == Refusal::kConnectionsOfAddress) {
      Close(kTooMany,
            absl::StrCat("too many connections of this address, retry in ",
                         kAddressRetryAfterSeconds, " s"),
            false);
    } else if (refusal_.has_value()) {
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
    message_due_ = kNever;
    if (phase_ == Phase::kOpen) {
      const auto bytes = input_.cdata();
      const absl::string_view message(static_cast<const char*>(bytes.data()), bytes.size());
      if (ws_.got_text()) {
        handler_->OnText(message);
      } else if (options_.allow_binary) {
        handler_->OnBinary(message);
      } else {
        Close(kNotText, "binary messages are not understood", false);
      }
    }
    input_.consume(input_.size());
    if (input_.capacity() > kKeptBuffer) input_.shrink_to_fit();
    // Who was told to go answers that soon, and who goes on sending must not keep this thread from
    // the others.
    reading_waits_ = closing() && ++read_while_closing_ % kReadsOfClosing == 0;
    if (!reading_waits_) Read();
  }

  void OnReadEnd(ErrorCode error) {
    static const auto& kWebSocketErrors =
        websocket::make_error_code(websocket::error::closed).category();
    if (error.category() != kWebSocketErrors) return Drop();
    // The peer has closed or broken the protocol, and Beast's close frame is in the outbox, unless
    // one of ours was there first.
    if (close_code_ == 0) close_code_ = CodeOf(error);
    phase_ = Phase::kLingering;
    ExpectWithin(options_.close_timeout);
    if (flushed()) HalfClose();
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

  const std::optional<Refusal> refusal_;
  websocket::stream<OutboxStream, false> ws_;
  beast::flat_buffer input_;
  Clock::time_point ping_due_ = kNever;
  Clock::time_point pong_due_ = kNever;
  Clock::time_point message_due_ = kNever;  // the rest of a message
  bool reading_waits_ = false;              // for the next sweep
  int read_while_closing_ = 0;              // messages
};

void OutboxStream::Take(std::string bytes) {
  if (!bytes.empty()) connection_.TakeFromBeast(std::move(bytes));
}

// Requests are taken one at a time, so pipelined ones are answered in order.
class HttpConnection final : public TcpConnection {
 public:
  HttpConnection(Server& server, TcpSocket socket, std::string remote_address)
      : server_(server), stream_(std::move(socket)), remote_address_(std::move(remote_address)) {}

  void Start() {
    ExpectWithin(server_.options.handshake_timeout);
    if (server_.options.tls == nullptr) return AwaitRequest();
    phase_ = Phase::kTlsHandshake;
    // Until it has said something a connection costs no more than without TLS.
    AwaitInput([this] { StartTls(); });
  }

  void Respond(HttpResponse response) {
    if (!gone() && phase_ == Phase::kAnswering) Write(std::move(response), keep_alive_);
  }

  void Sweep(Clock::time_point now) override {
    if (!overdue(now)) return;
    if (phase_ == Phase::kReading) {
      stream_.SendAndForget(Serialize(TooSlowResponse(server_.options)));
      server_.handler.OnRefused(Refusal::kRequestTime);
      Leave();
    } else if (phase_ == Phase::kIdle || phase_ == Phase::kTlsHandshake) {
      Leave();
    } else {
      Reset();
    }
  }

  void Drop() override { Leave(); }

  bool writes_response() const override { return phase_ == Phase::kWriting; }

  void LeaveIfIdle() override {
    const bool silent = phase_ == Phase::kTlsHandshake && stream_.tls() == nullptr;
    if (phase_ == Phase::kIdle || silent) Leave();
  }

 private:
  enum class Phase : uint8_t { kTlsHandshake, kIdle, kReading, kAnswering, kWriting, kLingering };

  MaybeTlsStream& stream() override { return stream_; }

  template <typename Then>
  void AwaitInput(Then then) {
    stream_.socket().async_wait(net::socket_base::wait_read,
                                [this, then, self = shared_from_this()](ErrorCode error) {
                                  if (gone()) return;
                                  if (error) return Leave();
                                  then();
                                });
  }

  void StartTls() {
    const int fd = stream_.socket().native_handle();
    char first = 0;
    const ssize_t size = ::recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (size <= 0) return Leave();
    if (first != kHandshakeRecord) {
      stream_.SendAndForget(Serialize(ErrorResponse(
          400, "tls_required", "this port speaks TLS: the address begins with https or wss")));
      return Linger();
    }
    stream_.StartTls(server_.options.tls->Accept(fd),
                     [this, self = shared_from_this()](TlsSession::Outcome outcome) {
                       if (gone()) return;
                       if (outcome == TlsSession::Outcome::kDone) return AwaitRequest();
                       Linger();
                     });
  }

  void AwaitRequest() {
    if (input_.size() > 0) return Read();
    if (stream_.tls() != nullptr && stream_.tls()->has_input()) return Read();
    input_.shrink_to_fit();
    phase_ = Phase::kIdle;
    AwaitInput([this] { Read(); });
  }

  void Read() {
    phase_ = Phase::kReading;
    ExpectWithin(server_.options.request_timeout);
    version_ = 11;
    is_head_ = false;
    parser_.emplace();
    head_.reset();
    parser_->header_limit(static_cast<uint32_t>(server_.options.max_header_bytes));
    parser_->body_limit(server_.options.max_body_bytes);
    http::async_read_header(stream_, input_, *parser_,
                            [this, self = shared_from_this()](ErrorCode error, size_t /*size*/) {
                              if (!gone()) OnHeader(error);
                            });
  }

  void OnHeader(ErrorCode error) {
    if (error) return OnReadError(error);
    if (parser_->is_done()) return OnRequest();
    const BeastRequest& head = parser_->get();
    // Beast takes what follows the last chunk for headers.
    if (parser_->chunked()) head_ = head.base();
    if (head.version() >= 11 && beast::iequals(head[http::field::expect], "100-continue")) {
      // Nothing else is being written. If this is lost, the client sends its body after a while.
      stream_.SendAndForget("HTTP/1.1 100 Continue\r\n\r\n");
    }
    http::async_read(stream_, input_, *parser_,
                     [this, self = shared_from_this()](ErrorCode read_error, size_t /*size*/) {
                       if (gone()) return;
                       if (read_error) return OnReadError(read_error);
                       OnRequest();
                     });
  }

  void OnReadError(ErrorCode error) {
    if (error == http::error::body_limit || error == http::error::header_limit) {
      server_.handler.OnRefused(Refusal::kRequestSize);
    }
    if (std::optional<HttpResponse> response = ReadFault(error, server_.options)) {
      Write(*std::move(response), false);
    } else {
      Leave();
    }
  }

  void OnRequest() {
    ExpectNothing();
    const bool chunked = parser_->chunked();
    BeastRequest message = parser_->release();
    parser_.reset();
    if (head_.has_value()) message.base() = *std::move(head_);
    head_.reset();
    version_ = message.version();
    is_head_ = message.method() == http::verb::head;
    keep_alive_ = message.keep_alive();
    if (std::optional<HttpResponse> fault = RequestFault(message, chunked)) {
      return Write(*std::move(fault), false);
    }
    const std::optional<Refusal> refusal = Admit();
    if (AsksForWebSocket(message)) return Upgrade(message, refusal);
    if (refusal.has_value()) {
      server_.handler.OnRefused(*refusal);
      return Write(NoRoomResponse(*refusal), false);
    }
    phase_ = Phase::kAnswering;
    server_.handler.OnRequest(PlainRequest(message, remote_address_),
                              PendingResponse(weak_from_this()));
  }

  void Upgrade(BeastRequest& message, std::optional<Refusal> refusal) {
    if (std::optional<HttpResponse> fault = HandshakeFault(message)) {
      return Write(std::move(*fault), keep_alive_);
    }
    const HttpRequest request = PlainRequest(message, remote_address_);
    UpgradeDecision decision;
    if (refusal.has_value()) {
      server_.handler.OnRefused(*refusal);
    } else {
      decision = server_.handler.OnUpgrade(request);
      if (decision.handler == nullptr) return Write(std::move(decision.refusal), keep_alive_);
    }
    auto upgraded = std::make_shared<WebSocketConnection>(server_.options, std::move(stream_),
                                                          beast::buffers_to_string(input_.cdata()),
                                                          std::move(decision.handler), refusal);
    PassTo(upgraded);
    upgraded->Start(message, server_.handler.ChooseSubprotocol(request));
  }

  void Stream(HttpResponse response) {
    auto stream = std::make_shared<StreamConnection>(server_.options, std::move(stream_),
                                                     std::move(response.stream));
    PassTo(stream);
    stream->Start(SerializeHead(std::move(response), version_, server_.options.server_name));
  }

  void Write(HttpResponse response, bool keep_alive) {
    if (response.stream != nullptr && !is_head_) return Stream(std::move(response));
    keep_alive = keep_alive && !server_.draining;
    phase_ = Phase::kWriting;
    ExpectWithin(server_.options.keep_alive_timeout);
    BeastResponse& message = response_.emplace(
        ToBeast(std::move(response), version_, is_head_, server_.options.server_name));
    message.keep_alive(keep_alive);
    SetQueued(message.body().size());
    http::async_write(stream_, message,
                      [this, keep_alive, self = shared_from_this()](ErrorCode error, size_t) {
                        if (gone()) return;
                        response_.reset();
                        SetQueued(0);
                        if (error) return Leave();
                        if (keep_alive && !server_.draining) {
                          ExpectWithin(server_.options.keep_alive_timeout);
                          return AwaitRequest();
                        }
                        Linger();
                      });
  }

  void Linger() {
    phase_ = Phase::kLingering;
    ExpectWithin(server_.options.close_timeout);
    HalfClose();
    Discard();
  }

  // The Responder that a handler holds. It does not keep the connection.
  class PendingResponse {
   public:
    explicit PendingResponse(std::weak_ptr<TcpConnection> connection)
        : connection_(std::move(connection)) {}
    PendingResponse(PendingResponse&&) = default;
    PendingResponse& operator=(PendingResponse&&) = delete;
    ~PendingResponse() {
      if (connection_.expired()) return;
      (*this)(ErrorResponse(500, "internal", "the request was not answered"));
    }

    void operator()(HttpResponse response) {
      if (const auto connection = std::exchange(connection_, {}).lock()) {
        static_cast<HttpConnection&>(*connection).Respond(std::move(response));
      }
    }

   private:
    std::weak_ptr<TcpConnection> connection_;
  };

  Server& server_;
  MaybeTlsStream stream_;
  const std::string remote_address_;
  Phase phase_ = Phase::kIdle;
  beast::flat_buffer input_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::request_header<>> head_;  // of a request whose body comes in chunks
  std::optional<BeastResponse> response_;
  unsigned version_ = 11;
  bool is_head_ = false;
  bool keep_alive_ = false;
};

// Before TLS there is nothing that could be said.
std::string RefusalAtAccept(const TransportOptions& options, Refusal why) {
  return options.tls == nullptr ? Serialize(NoRoomResponse(why)) : std::string();
}

class BeastTransport final : public Transport {
 public:
  BeastTransport(net::io_context& io, TransportOptions options, TransportHandler& handler)
      : server_{std::move(options), handler},
        connections_(io, server_.options),
        refusal_(RefusalAtAccept(server_.options, Refusal::kConnections)),
        address_refusal_(RefusalAtAccept(server_.options, Refusal::kConnectionsOfAddress)),
        acceptor_(io, refusal_, [this](TcpSocket socket, std::string remote_address) {
          OnConnection(std::move(socket), std::move(remote_address));
        }) {}

  absl::StatusOr<uint16_t> Listen(absl::string_view address, bool share_port) override {
    return acceptor_.Listen(address, share_port);
  }
  void StopAccepting() override { acceptor_.Stop(); }
  void DrainHttp() override {
    server_.draining = true;
    connections_.RemoveIdle();
  }
  size_t connections() const override { return connections_.size(); }
  size_t queued_bytes() const override { return connections_.queued(); }
  void AddBacklogs(std::vector<Backlog>& backlogs) const override {
    connections_.AddBacklogs(backlogs);
  }

 private:
  void OnConnection(TcpSocket socket, std::string remote_address) {
    const size_t limit = server_.options.max_connections;
    if (connections_.size() >= limit + RoomForRefusals(limit)) {
      return Refuse(std::move(socket), Refusal::kConnections);
    }
    AddressLimit::Place place;
    if (AddressLimit* const addresses = server_.options.addresses; addresses != nullptr) {
      std::optional<AddressLimit::Place> found = addresses->Enter(remote_address);
      if (!found.has_value()) return Refuse(std::move(socket), Refusal::kConnectionsOfAddress);
      place = *std::move(found);
    }
    ErrorCode ignored;
    socket.set_option(net::ip::tcp::no_delay(true), ignored);
    socket.set_option(net::socket_base::send_buffer_size(server_.options.send_buffer_bytes),
                      ignored);
    const auto connection =
        std::make_shared<HttpConnection>(server_, std::move(socket), std::move(remote_address));
    connections_.Add(connection, std::move(place));
    connection->Start();
  }

  // One that there is no room for, not even to hear what it wants.
  void Refuse(TcpSocket socket, Refusal why) {
    MaybeTlsStream(std::move(socket))
        .SendAndForget(why == Refusal::kConnections ? refusal_ : address_refusal_);
    server_.handler.OnRefused(why);
  }

  Server server_;
  ConnectionSet connections_;
  const std::string refusal_;
  const std::string address_refusal_;
  Acceptor acceptor_;
};

}  // namespace

std::unique_ptr<Transport> Transport::Create(net::io_context& io, TransportOptions options,
                                             TransportHandler& handler) {
  return std::make_unique<BeastTransport>(io, std::move(options), handler);
}

}  // namespace agentdesk::gateway
