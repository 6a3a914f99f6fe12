#include "core_service/base/admin_http.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/clock.h"

namespace agentdesk {
namespace {

// A client that says what it is told to.
class Client {
 public:
  explicit Client(const AdminHttp& server) {
    const Address address = *Address::Parse(server.address());
    fd_ = socket(address.socket.ss_family, SOCK_STREAM, 0);
    connected_ =
        connect(fd_, reinterpret_cast<const sockaddr*>(&address.socket), address.size) == 0;
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  void Say(absl::string_view bytes) { send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // Everything that comes until the server closes.
  std::string Hear() {
    std::string heard;
    char bytes[4096];
    while (true) {
      const ssize_t size = recv(fd_, bytes, sizeof(bytes), 0);
      if (size <= 0) return heard;
      heard.append(bytes, static_cast<size_t>(size));
    }
  }
  std::string Ask(absl::string_view bytes) {
    Say(bytes);
    return Hear();
  }

 private:
  int fd_ = -1;
  bool connected_ = false;
};

AdminHttp::Limits ManyConnections() {
  AdminHttp::Limits limits;
  limits.max_connections = 512;
  return limits;
}

constexpr char kGet[] = "GET /page HTTP/1.1\r\nHost: a\r\n\r\n";

class AdminHttpTest : public ::testing::Test {
 protected:
  void Start(AdminHttp::Limits limits = ManyConnections()) {
    std::vector<AdminHttp::Page> pages;
    pages.push_back({"/page",
                     [] {
                       AdminHttp::Answer answer;
                       answer.body = "a page\n";
                       return answer;
                     },
                     /*blocks=*/false});
    pages.push_back({"/large",
                     [] {
                       AdminHttp::Answer answer;
                       answer.body = std::string(8 << 20, 'x');
                       return answer;
                     },
                     /*blocks=*/false});
    pages.push_back({"/slow",
                     [this] {
                       released_.wait();
                       AdminHttp::Answer answer;
                       answer.status = 503;
                       answer.body = "slow\n";
                       return answer;
                     },
                     /*blocks=*/true});
    auto server = AdminHttp::Start(*Address::Parse("127.0.0.1:0"), std::move(pages), limits);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  std::promise<void> release_;
  std::shared_future<void> released_ = release_.get_future().share();
  std::unique_ptr<AdminHttp> server_;
};

TEST_F(AdminHttpTest, AnswersAndCloses) {
  Start();
  const std::string answer = Client(*server_).Ask(kGet);
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "\r\nContent-Length: 7\r\n")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "\r\nConnection: close\r\n")) << answer;
  EXPECT_TRUE(absl::EndsWith(answer, "\r\n\r\na page\n")) << answer;
}

TEST_F(AdminHttpTest, RefusesInWords) {
  Start();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"HEAD /page?a=b HTTP/1.0\r\n\r\n", "HTTP/1.1 200 "},
      {"GET /none HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "},
      {"POST /page HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 "},
      {"GET /page\r\n\r\n", "HTTP/1.1 400 "},
      {"\x16\x03\x01\r\n\r\n", "HTTP/1.1 400 "},
      {"GET /page HTTP/1.1\r\nA: " + std::string(9000, 'a'), "HTTP/1.1 431 "},
  };
  for (const auto& [request, expected] : cases) {
    const std::string answer = Client(*server_).Ask(request);
    EXPECT_TRUE(absl::StartsWith(answer, expected)) << request.substr(0, 40) << answer;
  }
}

TEST_F(AdminHttpTest, HeadHasNoBody) {
  Start();
  const std::string answer = Client(*server_).Ask("HEAD /page HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(absl::EndsWith(answer, "\r\n\r\n")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "\r\nContent-Length: 7\r\n")) << answer;
}

TEST_F(AdminHttpTest, ARequestMayComeInPieces) {
  Start();
  Client client(*server_);
  for (const char byte : absl::string_view(kGet)) client.Say(absl::string_view(&byte, 1));
  EXPECT_TRUE(absl::EndsWith(client.Hear(), "a page\n"));
}

TEST_F(AdminHttpTest, ALargeAnswerArrivesWhole) {
  Start();
  const std::string answer = Client(*server_).Ask("GET /large HTTP/1.1\r\n\r\n");
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, size_t{8 << 20});
}

TEST_F(AdminHttpTest, ASlowPageHoldsUpNobody) {
  Start();
  Client slow(*server_);
  slow.Say("GET /slow HTTP/1.1\r\n\r\n");
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(absl::EndsWith(Client(*server_).Ask(kGet), "a page\n"));
  }
  release_.set_value();
  EXPECT_TRUE(absl::EndsWith(slow.Hear(), "slow\n"));
}

TEST_F(AdminHttpTest, WhoeverSaysNothingIsInNobodysWay) {
  AdminHttp::Limits limits;
  limits.max_connections = 8;
  limits.timeout = absl::Hours(1);
  Start(limits);
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<Client>(*server_));
    ASSERT_TRUE(silent.back()->connected());
    silent.back()->Say("GET /page");
    if (i % 20 == 0) {
      EXPECT_TRUE(absl::EndsWith(Client(*server_).Ask(kGet), "a page\n"));
    }
  }
  EXPECT_TRUE(absl::EndsWith(Client(*server_).Ask(kGet), "a page\n"));
  EXPECT_EQ(silent.front()->Hear(), "") << "the one that was silent for longest had to go";
}

TEST_F(AdminHttpTest, ARequestThatNeverEndsIsClosed) {
  AdminHttp::Limits limits = ManyConnections();
  limits.timeout = absl::Milliseconds(50);
  Start(limits);
  Client client(*server_);
  client.Say("GET /page");
  EXPECT_EQ(client.Hear(), "");
}

TEST_F(AdminHttpTest, APortInUseIsRefused) {
  Start();
  const auto second = AdminHttp::Start(*Address::Parse(server_->address()), {}, {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace agentdesk
