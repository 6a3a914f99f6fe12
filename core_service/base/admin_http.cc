#include "core_service/base/admin_http.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core_service/base/clock.h"

namespace agentdesk {
namespace {

constexpr int kBacklog = 1024;
constexpr int kNoDescriptorsPauseMs = 100;
constexpr size_t kWaitingPages = 64;

absl::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Unknown";
  }
}

AdminHttp::Answer Text(int status, absl::string_view text) {
  AdminHttp::Answer answer;
  answer.status = status;
  answer.body = absl::StrCat(text, "\n");
  return answer;
}

// The method and the path of a request; none where it is no request.
std::optional<std::pair<absl::string_view, absl::string_view>> RequestLine(
    absl::string_view request) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(request.substr(0, request.find("\r\n")), ' ');
  if (words.size() != 3 || !absl::StartsWith(words[2], "HTTP/1.")) return std::nullopt;
  return std::pair(words[0], words[1].substr(0, words[1].find('?')));
}

}  // namespace

absl::StatusOr<std::unique_ptr<AdminHttp>> AdminHttp::Start(const Address& address,
                                                            std::vector<Page> pages,
                                                            Limits limits) {
  const absl::StatusOr<int> listener = Listen(address, kBacklog);
  if (!listener.ok()) return listener.status();
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) {
    close(*listener);
    return absl::UnavailableError("no descriptor is left");
  }
  std::unique_ptr<AdminHttp> server(new AdminHttp(*listener, wake, std::move(pages), limits));
  server->thread_ = std::thread([raw = server.get()] { raw->Run(); });
  return server;
}

AdminHttp::AdminHttp(int listener, int wake, std::vector<Page> pages, Limits limits)
    : address_(Address::OfSocket(listener).ToString()),
      pages_(std::move(pages)),
      limits_(limits),
      listener_(listener),
      wake_(wake),
      makers_(std::make_unique<ThreadPool>(/*threads=*/2, kWaitingPages)) {}

AdminHttp::~AdminHttp() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_, 1);
  thread_.join();
  makers_.reset();
  for (const auto& [id, connection] : connections_) close(connection.fd);
  close(listener_);
  close(wake_);
}

void AdminHttp::Run() {
  std::vector<pollfd> fds;
  std::vector<uint64_t> ids;
  while (true) {
    fds.assign({{wake_, POLLIN, 0}, {out_of_descriptors_ ? -1 : listener_, POLLIN, 0}});
    ids.clear();
    absl::Duration next = absl::InfiniteDuration();
    for (const auto& [id, connection] : connections_) {
      const short events = connection.phase == Phase::kMaking    ? short{0}
                           : connection.phase == Phase::kWriting ? short{POLLOUT}
                                                                 : short{POLLIN};
      fds.push_back({connection.fd, events, 0});
      ids.push_back(id);
      next = std::min(next, connection.deadline);
    }
    int wait_ms = out_of_descriptors_ ? kNoDescriptorsPauseMs : -1;
    if (next < absl::InfiniteDuration()) {
      const int64_t left = absl::ToInt64Milliseconds(next - Clock::Real().Monotonic()) + 1;
      const int64_t most = wait_ms < 0 ? left : std::min<int64_t>(left, wait_ms);
      wait_ms = static_cast<int>(std::max<int64_t>(most, 0));
    }
    poll(fds.data(), fds.size(), wait_ms);
    out_of_descriptors_ = false;
    if (fds[0].revents != 0) {
      eventfd_t count = 0;
      eventfd_read(wake_, &count);
      {
        MutexLock lock(mutex_);
        if (stopping_) return;
      }
      TakeMade();
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto entry = connections_.find(ids[i]);
      if (fds[i + 2].revents == 0 || entry == connections_.end()) continue;
      if (Progress(entry->first, entry->second)) continue;
      close(entry->second.fd);
      connections_.erase(entry);
    }
    if (fds[1].revents != 0) AcceptAll();
    DropOverdue();
  }
}

void AdminHttp::AcceptAll() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
      out_of_descriptors_ = errno != EAGAIN;
      return;
    }
    if (connections_.size() >= limits_.max_connections) {
      const auto oldest = std::min_element(
          connections_.begin(), connections_.end(), [](const auto& a, const auto& b) {
            const bool a_reads = a.second.phase == Phase::kReading;
            const bool b_reads = b.second.phase == Phase::kReading;
            return a_reads != b_reads ? a_reads : a.second.deadline < b.second.deadline;
          });
      close(oldest->second.fd);
      connections_.erase(oldest);
    }
    Connection& connection = connections_[next_id_];
    connection.fd = fd;
    connection.deadline = Clock::Real().Monotonic() + limits_.timeout;
    // Most requests are there as soon as their connection is.
    if (!Progress(next_id_, connection)) {
      close(fd);
      connections_.erase(next_id_);
    }
    ++next_id_;
  }
}

bool AdminHttp::Progress(uint64_t id, Connection& connection) {
  switch (connection.phase) {
    case Phase::kReading:
      return Read(id, connection);
    case Phase::kMaking:
      return false;  // the client has gone
    case Phase::kWriting:
      return Write(connection);
    case Phase::kClosing: {
      std::array<char, 4096> rest;
      const ssize_t size = recv(connection.fd, rest.data(), rest.size(), 0);
      return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
    }
  }
  return false;
}

bool AdminHttp::Read(uint64_t id, Connection& connection) {
  std::array<char, 4096> bytes;
  const ssize_t size = recv(connection.fd, bytes.data(), bytes.size(), 0);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  if (size == 0) return false;
  connection.in.append(bytes.data(), static_cast<size_t>(size));
  if (connection.in.find("\r\n\r\n") != std::string::npos) return OnRequest(id, connection);
  if (connection.in.size() <= limits_.max_request_bytes) return true;
  return Respond(connection, Text(431, "the request is too long"));
}

bool AdminHttp::OnRequest(uint64_t id, Connection& connection) {
  const auto line = RequestLine(connection.in);
  if (!line.has_value()) return Respond(connection, Text(400, "this is no HTTP request"));
  const auto [method, path] = *line;
  connection.is_head = method == "HEAD";
  const auto page = std::find_if(pages_.begin(), pages_.end(),
                                 [path = path](const Page& known) { return known.path == path; });
  if (page == pages_.end()) return Respond(connection, Text(404, "there is nothing at this path"));
  if (method != "GET" && method != "HEAD") {
    return Respond(connection, Text(405, "only GET and HEAD can be used here"));
  }
  connection.deadline = Clock::Real().Monotonic() + limits_.timeout;
  if (!page->blocks) return Respond(connection, page->make());
  connection.phase = Phase::kMaking;
  const bool posted = makers_->Post([this, id, &page = *page] { MakeBeside(id, page); });
  return posted || Respond(connection, Text(503, "too many ask at once"));
}

void AdminHttp::MakeBeside(uint64_t id, const Page& page) {
  Answer answer = page.make();
  {
    MutexLock lock(mutex_);
    made_.emplace_back(id, std::move(answer));
  }
  eventfd_write(wake_, 1);
}

void AdminHttp::TakeMade() {
  std::vector<std::pair<uint64_t, Answer>> made;
  {
    MutexLock lock(mutex_);
    made.swap(made_);
  }
  for (const auto& [id, answer] : made) {
    const auto entry = connections_.find(id);
    if (entry == connections_.end() || Respond(entry->second, answer)) continue;
    close(entry->second.fd);
    connections_.erase(entry);
  }
}

bool AdminHttp::Respond(Connection& connection, const Answer& answer) {
  connection.phase = Phase::kWriting;
  connection.in.clear();
  connection.out = absl::StrCat("HTTP/1.1 ", answer.status, " ", ReasonPhrase(answer.status),
                                "\r\nContent-Type: ", answer.content_type,
                                "\r\nContent-Length: ", answer.body.size(),
                                answer.status == 405 ? "\r\nAllow: GET, HEAD" : "",
                                "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n");
  if (!connection.is_head) connection.out += answer.body;
  return Write(connection);
}

bool AdminHttp::Write(Connection& connection) {
  const ssize_t size =
      send(connection.fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  connection.out.erase(0, static_cast<size_t>(size));
  if (!connection.out.empty()) return true;
  // To close with something unread would be a reset, which may overtake the answer.
  shutdown(connection.fd, SHUT_WR);
  connection.phase = Phase::kClosing;
  return true;
}

void AdminHttp::DropOverdue() {
  const absl::Duration now = Clock::Real().Monotonic();
  for (auto entry = connections_.begin(); entry != connections_.end();) {
    const auto connection = entry++;
    if (connection->second.deadline > now) continue;
    close(connection->second.fd);
    connections_.erase(connection);
  }
}

}  // namespace agentdesk
