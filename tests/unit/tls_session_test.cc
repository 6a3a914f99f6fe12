#include "ws_gateway/tls_session.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ws_gateway/outbox.h"

namespace agentdesk::gateway {
namespace {

using Outcome = TlsSession::Outcome;

// Ciphers without certificates do for what is tested here.
std::shared_ptr<SSL_CTX> Context(const SSL_METHOD* method) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), SSL_CTX_free);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  EXPECT_EQ(SSL_CTX_set_cipher_list(context.get(), "AECDH:@SECLEVEL=0"), 1);
  return context;
}

// Notes the size of each record that comes, from its header.
void NoteRecord(int is_write, int /*version*/, int type, const void* data, size_t size, SSL*,
                void* records) {
  if (is_write != 0 || type != SSL3_RT_HEADER || size < 5) return;
  const auto* const header = static_cast<const unsigned char*>(data);
  if (header[0] != SSL3_RT_APPLICATION_DATA) return;
  static_cast<std::vector<size_t>*>(records)->push_back(size_t{header[3]} * 256 + header[4]);
}

class TlsSessionTest : public ::testing::Test {
 protected:
  TlsSessionTest() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_.data()), 0);
    const int small = 32 * 1024;
    ::setsockopt(fds_[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    session_ = std::make_unique<TlsSession>(*server_, fds_[0]);
    client_.reset(SSL_new(browser_.get()), SSL_free);
    SSL_set_fd(client_.get(), fds_[1]);
    SSL_set_msg_callback(client_.get(), NoteRecord);
    SSL_set_msg_callback_arg(client_.get(), &records_);
  }
  ~TlsSessionTest() override {
    client_.reset();
    for (const int fd : fds_) ::close(fd);
  }

  void Shake() {
    for (int turns = 0; turns < 10; ++turns) {
      ERR_clear_error();
      const bool client_done = SSL_connect(client_.get()) == 1;
      if (session_->Handshake() == Outcome::kDone && client_done) return;
    }
    FAIL() << "no handshake";
  }
  void Append(size_t payload_size, int64_t mark) {
    Frames frames = MakeFrame(std::string(payload_size, static_cast<char>('a' + mark % 26)));
    absl::StrAppend(&expected_, frames.bytes);
    outbox_.Append(std::move(frames), mark, std::chrono::steady_clock::now());
  }
  // Reads all that is there. How the reading ended.
  int Receive() {
    std::string bytes(64 * 1024, 0);
    while (true) {
      ERR_clear_error();
      size_t got = 0;
      const int result = SSL_read_ex(client_.get(), bytes.data(), bytes.size(), &got);
      if (result != 1) return SSL_get_error(client_.get(), result);
      received_.append(bytes, 0, got);
    }
  }
  void ReceiveAll() {
    while (!outbox_.empty() || !session_->flushed()) {
      Receive();
      ASSERT_FALSE(outbox_.Flush(*session_));
    }
    Receive();
  }

  std::array<int, 2> fds_ = {-1, -1};
  const std::shared_ptr<SSL_CTX> server_ = Context(TLS_server_method());
  const std::shared_ptr<SSL_CTX> browser_ = Context(TLS_client_method());
  std::unique_ptr<TlsSession> session_;
  std::shared_ptr<SSL> client_;
  Outbox outbox_;
  std::vector<size_t> records_;
  std::string expected_;
  std::string received_;
};

TEST_F(TlsSessionTest, WaitingFramesShareRecords) {
  Shake();
  for (int64_t mark = 1; mark <= 50; ++mark) Append(300, mark);
  ASSERT_FALSE(outbox_.Flush(*session_));
  EXPECT_EQ(outbox_.written_mark(), 50);
  ReceiveAll();
  EXPECT_EQ(received_, expected_);
  EXPECT_EQ(records_.size(), 1u);
}

TEST_F(TlsSessionTest, LargeFramesFillRecordsAndAllArrivesInOrder) {
  Shake();
  int64_t mark = 0;
  for (const size_t size : {70'000u, 1u, 20'000u, 5'000u, 16'384u, 200'000u, 126u})
    Append(size, ++mark);
  ASSERT_FALSE(outbox_.Flush(*session_));
  EXPECT_FALSE(outbox_.empty());  // the socket takes less
  EXPECT_LT(outbox_.written_mark(), mark);
  ReceiveAll();
  EXPECT_EQ(received_, expected_);
  EXPECT_EQ(outbox_.written_mark(), mark);
  EXPECT_LE(records_.size(), expected_.size() / TlsSession::kMaxRecord + 1);
}

TEST_F(TlsSessionTest, WhatARecordHasTakenGoesOutWholeThoughTheQueueIsDropped) {
  Shake();
  int64_t mark = 0;
  while (session_->flushed()) {
    Append(1000, ++mark);
    ASSERT_FALSE(outbox_.Flush(*session_));
  }
  const int64_t written = outbox_.written_mark();
  for (int i = 0; i < 100; ++i) Append(1000, ++mark);
  outbox_.DropUnstarted();
  EXPECT_TRUE(outbox_.empty());
  expected_.resize(static_cast<size_t>(written) * MakeFrame(std::string(1000, 'x')).bytes.size());
  Append(10, 0);
  ASSERT_FALSE(outbox_.Flush(*session_));
  EXPECT_FALSE(outbox_.empty());  // it has to wait for the record
  ReceiveAll();
  EXPECT_EQ(received_, expected_);
}

TEST_F(TlsSessionTest, TheEndIsToldOnce) {
  Shake();
  session_->End();
  session_->End();
  EXPECT_EQ(Receive(), SSL_ERROR_ZERO_RETURN);
  size_t got = 0;
  std::array<char, 16> bytes;
  EXPECT_EQ(session_->Read(bytes.data(), bytes.size(), got), Outcome::kNeedsInput);
  SSL_shutdown(client_.get());
  EXPECT_EQ(session_->Read(bytes.data(), bytes.size(), got), Outcome::kEnd);
}

TEST_F(TlsSessionTest, WhatIsNoTlsBreaksIt) {
  ASSERT_EQ(::write(fds_[1], "GET / HTTP/1.1\r\n", 16), 16);
  EXPECT_EQ(session_->Handshake(), Outcome::kBroken);
  EXPECT_EQ(session_->Flush(), Outcome::kBroken);
  session_->End();
}

TEST_F(TlsSessionTest, APeerThatIsGoneBreaksIt) {
  Shake();
  ::close(fds_[1]);
  fds_[1] = ::open("/dev/null", O_RDONLY);
  Append(10, 1);
  EXPECT_TRUE(outbox_.Flush(*session_));
}

}  // namespace
}  // namespace agentdesk::gateway
