#include "tools/agentdesk-bench/rpc_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tools/agentdesk-bench/failure.h"

namespace agentdesk::bench {
namespace {

constexpr int32_t kWindow = 16 << 20;
constexpr size_t kPrefix = 5;  // before each message: a flag and four bytes of its size
constexpr size_t kReadSize = 256 * 1024;

nghttp2_nv Header(absl::string_view name, absl::string_view value) {
  const auto bytes = [](absl::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

absl::string_view View(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

uint32_t SizeIn(absl::string_view prefix) {
  uint32_t size = 0;
  for (size_t i = 1; i < kPrefix; ++i) size = size << 8 | static_cast<uint8_t>(prefix[i]);
  return size;
}

}  // namespace

struct RpcConnection::Stream {
  std::string request;
  size_t sent = 0;
  std::string input;  // of a message that has not come whole
  int status = -1;
  bool cancelled = false;
  OnMessage on_message;
  OnEnd on_end;

  void Take(absl::string_view bytes) {
    // What lies whole in the bytes is not copied, and what does not is copied once.
    const bool has_part = !input.empty();
    if (has_part) {
      input.append(bytes.data(), bytes.size());
      bytes = input;
    }
    size_t taken = 0;
    while (bytes.size() - taken >= kPrefix) {
      const size_t size = SizeIn(bytes.substr(taken, kPrefix));
      if (bytes.size() - taken < kPrefix + size) break;
      if (on_message) on_message(bytes.substr(taken + kPrefix, size));
      taken += kPrefix + size;
      if (cancelled) return;
    }
    if (has_part) {
      input.erase(0, taken);
    } else {
      input.assign(bytes.data() + taken, bytes.size() - taken);
    }
  }
};

struct RpcConnection::Callbacks {
  static Stream* StreamOf(nghttp2_session* session, int32_t id) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }
  static ssize_t Read(nghttp2_session* /*session*/, int32_t /*id*/, uint8_t* to, size_t room,
                      uint32_t* flags, nghttp2_data_source* source, void* /*self*/) {
    auto& stream = *static_cast<Stream*>(source->ptr);
    const size_t size = std::min(room, stream.request.size() - stream.sent);
    std::copy_n(stream.request.data() + stream.sent, size, to);
    stream.sent += size;
    if (stream.sent == stream.request.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }
  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t /*flags*/,
                      void* /*self*/) {
    if (View(name, name_size) != "grpc-status") return 0;
    if (Stream* stream = StreamOf(session, frame->hd.stream_id)) {
      if (!absl::SimpleAtoi(View(value, value_size), &stream->status)) stream->status = -1;
    }
    return 0;
  }
  static int OnData(nghttp2_session* session, uint8_t /*flags*/, int32_t id, const uint8_t* bytes,
                    size_t size, void* /*self*/) {
    if (Stream* stream = StreamOf(session, id)) stream->Take(View(bytes, size));
    return 0;
  }
  static int OnClose(nghttp2_session* /*session*/, int32_t id, uint32_t /*error*/, void* self) {
    auto& streams = static_cast<RpcConnection*>(self)->streams_;
    const auto found = streams.find(id);
    if (found == streams.end()) return 0;
    const std::unique_ptr<Stream> stream = std::move(found->second);
    streams.erase(found);
    if (stream->on_end) stream->on_end(stream->status);
    return 0;
  }
};

RpcConnection::RpcConnection(EventLoop& loop, uint16_t port)
    : loop_(loop), authority_(absl::StrCat("127.0.0.1:", port)), socket_(StartConnecting(port)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::OnClose);
  const int made = nghttp2_session_client_new(&session_, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  if (made != 0) Fail("nghttp2: ", nghttp2_strerror(made));
  const std::array<nghttp2_settings_entry, 2> settings = {
      nghttp2_settings_entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindow},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kWindow);
  loop_.Watch(socket_.get(), EPOLLOUT, *this);
  loop_.RunUntil([this] { return connected_; }, "connection for gRPC");
}

RpcConnection::~RpcConnection() { nghttp2_session_del(session_); }

int32_t RpcConnection::Start(absl::string_view path, const google::protobuf::MessageLite& request,
                             OnMessage on_message, OnEnd on_end) {
  auto stream = std::make_unique<Stream>();
  const size_t size = request.ByteSizeLong();
  stream->request.resize(kPrefix);
  for (size_t i = 1; i < kPrefix; ++i) {
    stream->request[i] = static_cast<char>(size >> (8 * (kPrefix - 1 - i)));
  }
  request.AppendToString(&stream->request);
  stream->on_message = std::move(on_message);
  stream->on_end = std::move(on_end);
  const std::array<nghttp2_nv, 6> headers = {
      Header(":method", "POST"), Header(":scheme", "http"),
      Header(":path", path),     Header(":authority", authority_),
      Header("te", "trailers"),  Header("content-type", "application/grpc")};
  nghttp2_data_provider body{};
  body.source.ptr = stream.get();
  body.read_callback = Callbacks::Read;
  const int32_t id = nghttp2_submit_request(session_, nullptr, headers.data(), headers.size(),
                                            &body, stream.get());
  if (id < 0) Fail("nghttp2: ", nghttp2_strerror(id));
  streams_.emplace(id, std::move(stream));
  return id;
}

void RpcConnection::Cancel(int32_t stream) {
  nghttp2_session_set_stream_user_data(session_, stream, nullptr);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  found->second->cancelled = true;
  cancelled_.push_back(std::move(found->second));
  streams_.erase(found);
}

void RpcConnection::Flush() {
  while (true) {
    if (output_.empty()) {
      const uint8_t* bytes = nullptr;
      while (const ssize_t size = nghttp2_session_mem_send(session_, &bytes)) {
        if (size < 0) Fail("nghttp2: ", nghttp2_strerror(static_cast<int>(size)));
        output_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
        if (output_.size() >= kReadSize) break;
      }
      if (output_.empty()) break;
    }
    const ssize_t sent =
        send(socket_.get(), output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) FailErrno("a gRPC connection sends");
    if (sent > 0) sent_ += static_cast<size_t>(sent);
    if (sent_ < output_.size()) break;
    output_.clear();
    sent_ = 0;
  }
  const bool waits = !output_.empty();
  if (waits != watches_room_)
    loop_.Change(socket_.get(), waits ? EPOLLIN | EPOLLOUT : EPOLLIN, *this);
  watches_room_ = waits;
}

void RpcConnection::Call(absl::string_view path, const google::protobuf::MessageLite& request,
                         google::protobuf::MessageLite& response) {
  bool parsed = false;
  bool ended = false;
  int status = -1;
  Start(
      path, request,
      [&](absl::string_view message) {
        parsed = response.ParseFromArray(message.data(), static_cast<int>(message.size()));
      },
      [&](int end) {
        status = end;
        ended = true;
      });
  Flush();
  loop_.RunUntil([&] { return ended; }, absl::StrCat("answer to ", path));
  if (status != 0 || !parsed) Fail(path, " ended with status ", status);
}

void RpcConnection::OnReady(uint32_t events) {
  if (!connected_) {
    CheckConnected(socket_.get());
    connected_ = true;
    loop_.Change(socket_.get(), EPOLLIN, *this);
  }
  cancelled_.clear();
  if ((events & EPOLLIN) != 0) {
    static std::vector<uint8_t> buffer(kReadSize);
    const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size == 0) Fail("a gRPC connection was closed");
    if (size < 0 && errno != EAGAIN && errno != EINTR) FailErrno("a gRPC connection reads");
    if (size > 0) {
      const ssize_t taken =
          nghttp2_session_mem_recv(session_, buffer.data(), static_cast<size_t>(size));
      if (taken < 0) Fail("nghttp2: ", nghttp2_strerror(static_cast<int>(taken)));
    }
  }
  Flush();
}

}  // namespace agentdesk::bench
