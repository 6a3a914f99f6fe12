#include "core_service/rpc/acceptor.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "core_service/base/mutex.h"

namespace agentdesk::rpc {
namespace {

// Keeps what it is given, as gRPC would.
class Connections {
 public:
  ~Connections() { CloseAll(); }

  void Take(int fd) {
    {
      MutexLock lock(mutex_);
      fds_.push_back(fd);
    }
    changed_.NotifyAll();
  }
  void AwaitCount(size_t count) {
    MutexLock lock(mutex_);
    while (fds_.size() < count) changed_.Wait(mutex_);
  }
  size_t count() {
    MutexLock lock(mutex_);
    return fds_.size();
  }
  void CloseAll() {
    MutexLock lock(mutex_);
    for (const int fd : fds_) close(fd);
    fds_.clear();
  }

 private:
  Mutex mutex_;
  Condition changed_;
  std::vector<int> fds_ ABSL_GUARDED_BY(mutex_);
};

class Client {
 public:
  explicit Client(const Acceptor& acceptor) {
    const Address address = *Address::Parse(acceptor.address());
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&address.socket), address.size), 0);
  }
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Client() {
    if (fd_ >= 0) close(fd_);
  }

  // Waits until the other side has closed.
  void AwaitClosed() const {
    char byte;
    EXPECT_LE(recv(fd_, &byte, 1, 0), 0);
  }

 private:
  int fd_;
};

class AcceptorTest : public testing::Test {
 protected:
  void Start(int max_connections) {
    auto acceptor = Acceptor::Listen(*Address::Parse("127.0.0.1:0"), max_connections);
    ASSERT_TRUE(acceptor.ok()) << acceptor.status();
    acceptor_ = *std::move(acceptor);
    acceptor_->Start([this](int fd) { connections_.Take(fd); });
  }

  Connections connections_;
  std::unique_ptr<Acceptor> acceptor_;
};

TEST_F(AcceptorTest, SaysThatAPortIsTaken) {
  Start(10);
  const auto second = Acceptor::Listen(*Address::Parse(acceptor_->address()), 10);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(second.status().message()).find(acceptor_->address()), std::string::npos);
}

TEST_F(AcceptorTest, ClosesWhatIsTooMuchAndTakesOnWhenSomeHaveGone) {
  Start(2);
  const Client first(*acceptor_);
  const Client second(*acceptor_);
  connections_.AwaitCount(2);
  const Client refused(*acceptor_);
  refused.AwaitClosed();
  EXPECT_EQ(connections_.count(), 2u);

  connections_.CloseAll();
  // How many are open is looked at only now and then.
  while (connections_.count() == 0) const Client again(*acceptor_);
}

TEST_F(AcceptorTest, GoesOnAfterDescriptorsRanOut) {
  Start(1000);
  std::vector<Client> clients;
  for (int i = 0; i < 8; ++i) clients.emplace_back(*acceptor_);
  connections_.AwaitCount(8);

  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  // A client's socket takes the last number that is left, so there is none for its other end.
  const int lowest_free = dup(0);
  close(lowest_free);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(lowest_free) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  {
    const Client refused(*acceptor_);
    refused.AwaitClosed();
  }
  EXPECT_EQ(connections_.count(), 8u);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);

  const Client served(*acceptor_);
  connections_.AwaitCount(9);
}

TEST_F(AcceptorTest, CutsWhatIsOpen) {
  Start(10);
  const Client client(*acceptor_);
  connections_.AwaitCount(1);
  acceptor_->Stop();
  acceptor_->Cut();
  client.AwaitClosed();
}

}  // namespace
}  // namespace agentdesk::rpc
