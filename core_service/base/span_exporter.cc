#include "core_service/base/span_exporter.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core_service/base/clock.h"
#include "core_service/base/json_text.h"
#include "core_service/base/log.h"

namespace agentdesk {
namespace {

constexpr char kDropped[] = "agentdesk_spans_dropped_total";
constexpr char kDroppedHelp[] =
    "Spans that were dropped: too many waited, or the collector did not take them.";

struct Endpoint {
  std::string host;
  std::string port;
  std::string path;
};

absl::StatusOr<Endpoint> Parse(absl::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(
      "must be http://HOST:PORT/PATH, such as "
      "http://127.0.0.1:4318/v1/traces; there is no encryption, so the "
      "collector should be on this machine");
  if (!absl::ConsumePrefix(&text, "http://")) return wrong;
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos) return wrong;
  const absl::string_view authority = text.substr(0, slash);
  const size_t colon = authority.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(authority.substr(colon + 1), &port) || port < 1 || port > 65535) {
    return wrong;
  }
  absl::string_view host = authority.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[") && !absl::ConsumeSuffix(&host, "]")) return wrong;
  const absl::string_view path = text.substr(slash);
  const bool printable =
      std::all_of(path.begin(), path.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!printable) return wrong;
  return Endpoint{std::string(host), absl::StrCat(port), std::string(path)};
}

// A socket that is closed at the end, and whose every step is over at `deadline`.
class Connection {
 public:
  explicit Connection(absl::Duration deadline) : deadline_(deadline) {}
  ~Connection() {
    if (fd_ >= 0) close(fd_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool Open(const Endpoint& endpoint) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &found) != 0) {
      return false;
    }
    for (const addrinfo* address = found; address != nullptr && fd_ < 0;
         address = address->ai_next) {
      fd_ = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (fd_ >= 0 && !Connect(*address)) close(std::exchange(fd_, -1));
    }
    freeaddrinfo(found);
    return fd_ >= 0;
  }
  bool Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<size_t>(sent));
      } else if (!IsWait(sent) || !Await(POLLOUT)) {
        return false;
      }
    }
    return true;
  }
  // The first bytes of the answer, as many as its status needs.
  std::string Receive(size_t size) {
    std::string bytes;
    char part[256];
    while (bytes.size() < size) {
      const ssize_t received = recv(fd_, part, sizeof(part), 0);
      if (received > 0) {
        bytes.append(part, static_cast<size_t>(received));
      } else if (!IsWait(received) || !Await(POLLIN)) {
        break;
      }
    }
    return bytes;
  }

 private:
  static bool IsWait(ssize_t result) {
    return result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  }
  bool Connect(const addrinfo& address) {
    if (connect(fd_, address.ai_addr, address.ai_addrlen) == 0) return true;
    if (errno != EINPROGRESS || !Await(POLLOUT)) return false;
    int error = 0;
    socklen_t size = sizeof(error);
    return getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
  }
  bool Await(short events) {
    const absl::Duration left = deadline_ - Clock::Real().Monotonic();
    if (left <= absl::ZeroDuration()) return false;
    pollfd fd{fd_, events, 0};
    return poll(&fd, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) > 0;
  }

  const absl::Duration deadline_;
  int fd_ = -1;
};

void AppendAttribute(std::string& out, absl::string_view name, absl::string_view value) {
  absl::StrAppend(&out, out.back() == '[' ? "" : ",", "{\"key\":", JsonText(name),
                  ",\"value\":{\"stringValue\":", JsonText(value), "}}");
}

}  // namespace

absl::Status SpanExporter::CheckEndpoint(absl::string_view endpoint) {
  return Parse(endpoint).status();
}

absl::StatusOr<std::unique_ptr<SpanExporter>> SpanExporter::Start(Options options,
                                                                  Metrics& metrics) {
  if (options.endpoint.empty()) return nullptr;
  if (absl::Status status = CheckEndpoint(options.endpoint); !status.ok()) return status;
  std::unique_ptr<SpanExporter> exporter(new SpanExporter(std::move(options), metrics));
  exporter->thread_ = std::thread([raw = exporter.get()] { raw->Run(); });
  return exporter;
}

SpanExporter::SpanExporter(Options options, Metrics& metrics)
    : options_(std::move(options)),
      exported_(metrics.AddCounter("agentdesk_spans_exported_total",
                                   "Spans that the collector has taken.")),
      overflowed_(metrics.AddCounter(kDropped, kDroppedHelp, {{"reason", "overflow"}})),
      undelivered_(metrics.AddCounter(kDropped, kDroppedHelp, {{"reason", "collector"}})) {}

SpanExporter::~SpanExporter() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void SpanExporter::Export(Span span) {
  if (!span.context.sampled) return;
  bool full = false;
  {
    MutexLock lock(mutex_);
    if (queue_.size() >= options_.max_queue) {
      overflowed_.Increment();
      return;
    }
    queue_.push_back(std::move(span));
    full = queue_.size() == options_.max_batch;
  }
  if (full) changed_.NotifyOne();
}

bool SpanExporter::TakeBatch(std::vector<Span>& batch) {
  const auto until =
      std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(options_.interval);
  MutexLock lock(mutex_);
  while (!stopping_ && queue_.size() < options_.max_batch &&
         std::chrono::steady_clock::now() < until) {
    changed_.WaitUntil(mutex_, until);
  }
  const size_t count = std::min(queue_.size(), options_.max_batch);
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
  std::move(queue_.begin(), end, std::back_inserter(batch));
  queue_.erase(queue_.begin(), end);
  return !stopping_ || !batch.empty();
}

void SpanExporter::Run() {
  absl::Duration give_up = absl::InfiniteDuration();
  while (true) {
    std::vector<Span> batch;
    if (!TakeBatch(batch)) return;
    {
      MutexLock lock(mutex_);
      if (stopping_ && give_up == absl::InfiniteDuration()) {
        give_up = Clock::Real().Monotonic() + options_.timeout;
      }
    }
    if (batch.empty()) continue;
    if (Clock::Real().Monotonic() >= give_up) return;
    Deliver(batch);
  }
}

void SpanExporter::Deliver(const std::vector<Span>& batch) {
  const Endpoint endpoint = *Parse(options_.endpoint);
  const std::string body = EncodeSpans(options_.service, batch);
  Connection connection(Clock::Real().Monotonic() + options_.timeout);
  constexpr size_t kStatusLine = 12;  // HTTP/1.1 200
  std::string answer;
  if (connection.Open(endpoint) &&
      connection.Send(absl::StrCat(
          "POST ", endpoint.path, " HTTP/1.1\r\nHost: ", endpoint.host, ":", endpoint.port,
          "\r\nContent-Type: application/json\r\nContent-Length: ", body.size(),
          "\r\nConnection: close\r\n\r\n", body))) {
    answer = connection.Receive(kStatusLine);
  }
  const bool taken =
      absl::StartsWith(answer, "HTTP/1.1 2") || absl::StartsWith(answer, "HTTP/1.0 2");
  (taken ? exported_ : undelivered_).Increment(static_cast<double>(batch.size()));
  if (!taken && !warned_) {
    LogWarning("the collector of spans takes none",
               {{"endpoint", options_.endpoint}, {"answer", answer.substr(0, kStatusLine)}});
  }
  warned_ = !taken;
}

std::string EncodeSpans(absl::string_view service, const std::vector<Span>& spans) {
  std::string out = "{\"resourceSpans\":[{\"resource\":{\"attributes\":[";
  AppendAttribute(out, "service.name", service);
  AppendAttribute(out, "service.version", AGENTDESK_VERSION);
  absl::StrAppend(&out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"agentdesk\"},\"spans\":[");
  for (const Span& span : spans) {
    absl::StrAppend(&out, out.back() == '[' ? "" : ",", "{\"traceId\":\"", span.context.trace_id,
                    "\",\"spanId\":\"", span.context.span_id, "\"");
    if (!span.parent_span_id.empty()) {
      absl::StrAppend(&out, ",\"parentSpanId\":\"", span.parent_span_id, "\"");
    }
    absl::StrAppend(&out, ",\"name\":", JsonText(span.name),
                    ",\"kind\":", static_cast<int>(span.kind), ",\"startTimeUnixNano\":\"",
                    absl::ToUnixNanos(span.start), "\",\"endTimeUnixNano\":\"",
                    absl::ToUnixNanos(span.end), "\",\"attributes\":[");
    for (const auto& [name, value] : span.attributes) AppendAttribute(out, name, value);
    // 2: STATUS_CODE_ERROR.
    absl::StrAppend(&out, "],\"status\":{", span.failed ? "\"code\":2" : "", "}}");
  }
  return absl::StrCat(out, "]}]}]}");
}

}  // namespace agentdesk
