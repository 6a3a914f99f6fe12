#include "core_service/base/span_exporter.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core_service/base/address.h"

namespace agentdesk {
namespace {

constexpr char kTrace[] = "0af7651916cd43dd8448eb211c80319c";

Span NewSpan(const std::string& name) {
  Span span;
  span.context = {kTrace, "b7ad6b7169203331", true};
  span.name = name;
  span.start = absl::FromUnixNanos(1'700'000'000'000'000'001);
  span.end = span.start + absl::Milliseconds(2);
  return span;
}

// A collector that takes one connection at a time, when it is told to.
class Collector {
 public:
  Collector() {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    const Address address = *Address::Parse("127.0.0.1:0");
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address.socket), address.size), 0);
    EXPECT_EQ(listen(listener_, 16), 0);
  }
  ~Collector() { close(listener_); }

  std::string endpoint() const {
    return absl::StrCat("http://", Address::OfSocket(listener_).ToString(), "/v1/traces");
  }
  // Waits for a request, answers with the status and returns its body.
  std::string Take(int status) {
    const int fd = accept(listener_, nullptr, nullptr);
    std::string request;
    size_t size = 0;
    size_t body = std::string::npos;
    while (body == std::string::npos || request.size() < body + size) {
      char bytes[4096];
      const ssize_t received = recv(fd, bytes, sizeof(bytes), 0);
      if (received <= 0) break;
      request.append(bytes, static_cast<size_t>(received));
      if (body != std::string::npos || !absl::StrContains(request, "\r\n\r\n")) continue;
      body = request.find("\r\n\r\n") + 4;
      const size_t length = request.find("Content-Length: ") + 16;
      EXPECT_TRUE(
          absl::SimpleAtoi(request.substr(length, request.find("\r\n", length) - length), &size));
    }
    EXPECT_TRUE(absl::StartsWith(request, "POST /v1/traces HTTP/1.1\r\n")) << request;
    const std::string answer = absl::StrCat("HTTP/1.1 ", status, " X\r\nContent-Length: 0\r\n\r\n");
    send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    close(fd);
    return request.substr(body);
  }

 private:
  int listener_ = -1;
};

class SpanExporterTest : public ::testing::Test {
 protected:
  std::unique_ptr<SpanExporter> Start(SpanExporter::Options options) {
    auto exporter = SpanExporter::Start(std::move(options), metrics_);
    EXPECT_TRUE(exporter.ok()) << exporter.status();
    return *std::move(exporter);
  }
  bool Counted(absl::string_view line) {
    return absl::StrContains(metrics_.Text(), absl::StrCat(line, "\n"));
  }

  Collector collector_;
  Metrics metrics_;
};

TEST_F(SpanExporterTest, WritesTheJsonOfOtlp) {
  Span span = NewSpan("a \"name\"");
  span.parent_span_id = "00f067aa0ba902b7";
  span.failed = true;
  span.attributes = {{"key", "value"}};
  EXPECT_EQ(
      EncodeSpans("agentdesk-core", {span}),
      absl::StrCat(R"({"resourceSpans":[{"resource":{"attributes":[)",
                   R"({"key":"service.name","value":{"stringValue":"agentdesk-core"}},)",
                   R"({"key":"service.version","value":{"stringValue":")", AGENTDESK_VERSION,
                   R"("}}]},"scopeSpans":[{"scope":{"name":"agentdesk"},"spans":[)",
                   R"({"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331",)",
                   R"("parentSpanId":"00f067aa0ba902b7","name":"a \"name\"","kind":2,)",
                   R"("startTimeUnixNano":"1700000000000000001",)",
                   R"("endTimeUnixNano":"1700000000002000001",)",
                   R"("attributes":[{"key":"key","value":{"stringValue":"value"}}],)",
                   R"("status":{"code":2}}]}]}]})"));
}

TEST_F(SpanExporterTest, DeliversInBatchesAndWhatIsLeftAtTheEnd) {
  auto exporter = Start({.endpoint = collector_.endpoint(),
                         .service = "s",
                         .max_batch = 2,
                         .interval = absl::Hours(1),
                         .timeout = absl::Seconds(60)});
  for (const char* name : {"first", "second", "third"}) exporter->Export(NewSpan(name));
  std::string body = collector_.Take(200);
  EXPECT_TRUE(absl::StrContains(body, "\"first\"") && absl::StrContains(body, "\"second\""))
      << body;
  std::thread ending([&] { exporter.reset(); });
  EXPECT_TRUE(absl::StrContains(collector_.Take(202), "\"third\""));
  ending.join();
  EXPECT_TRUE(Counted("agentdesk_spans_exported_total 3")) << metrics_.Text();
}

TEST_F(SpanExporterTest, WhatIsNotSampledIsNotExported) {
  auto exporter = Start({.endpoint = collector_.endpoint(), .service = "s", .max_batch = 1});
  Span unsampled = NewSpan("unsampled");
  unsampled.context.sampled = false;
  exporter->Export(std::move(unsampled));
  exporter->Export(NewSpan("sampled"));
  EXPECT_FALSE(absl::StrContains(collector_.Take(200), "unsampled"));
}

TEST_F(SpanExporterTest, ACollectorThatTakesNothingHoldsUpNobody) {
  // It listens and never answers.
  auto exporter = Start({.endpoint = collector_.endpoint(),
                         .service = "s",
                         .max_queue = 10,
                         .max_batch = 5,
                         .timeout = absl::Milliseconds(50)});
  for (int i = 0; i < 10000; ++i) exporter->Export(NewSpan("span"));
  exporter.reset();
  EXPECT_TRUE(Counted("agentdesk_spans_exported_total 0")) << metrics_.Text();
  EXPECT_FALSE(Counted("agentdesk_spans_dropped_total{reason=\"overflow\"} 0"));
  EXPECT_FALSE(Counted("agentdesk_spans_dropped_total{reason=\"collector\"} 0"));
}

TEST_F(SpanExporterTest, ARefusalIsCounted) {
  auto exporter = Start({.endpoint = collector_.endpoint(), .service = "s", .max_batch = 1});
  exporter->Export(NewSpan("span"));
  collector_.Take(503);
  exporter.reset();
  EXPECT_TRUE(Counted("agentdesk_spans_dropped_total{reason=\"collector\"} 1")) << metrics_.Text();
}

TEST(SpanEndpointTest, IsChecked) {
  for (const char* good :
       {"http://127.0.0.1:4318/v1/traces", "http://[::1]:4318/", "http://c:1/x"}) {
    EXPECT_TRUE(SpanExporter::CheckEndpoint(good).ok()) << good;
  }
  for (const char* bad : {"", "https://127.0.0.1:4318/v1/traces", "127.0.0.1:4318", "http://a/b",
                          "http://a:0/b", "http://a:1", "http://:1/b", "http://a:1/b c"}) {
    EXPECT_FALSE(SpanExporter::CheckEndpoint(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace agentdesk
