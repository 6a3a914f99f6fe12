#include "ws_gateway/http_observer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core_service/base/log.h"
#include "core_service/base/trace_context.h"

namespace agentdesk::gateway {
namespace {

constexpr char kTraceHeader[] = "traceparent";

// A request on its way through the other handler.
struct Observed {
  std::string method;
  std::string path;  // without the query, which may hold what is nobody's business
  std::string parent_span_id;
  TraceContext trace;
  absl::Duration began;
};

void Export(const Observed& request, int status, absl::Time now, absl::Duration took,
            SpanExporter& spans) {
  Span span;
  span.context = request.trace;
  span.parent_span_id = request.parent_span_id;
  span.name = request.method;
  span.kind = Span::Kind::kServer;
  span.start = now - took;
  span.end = now;
  span.failed = status >= 500;
  span.attributes = {{"http.request.method", request.method},
                     {"url.path", request.path},
                     {"http.response.status_code", absl::StrCat(status)}};
  spans.Export(std::move(span));
}

}  // namespace

HttpObserver::HttpObserver(std::unique_ptr<RequestHandler> handler, Metrics& metrics, Clock& clock,
                           IdSource& ids, SpanExporter* spans)
    : handler_(std::move(handler)),
      metrics_(metrics),
      clock_(clock),
      ids_(ids),
      spans_(spans),
      seconds_(metrics.AddHistogram("agentdesk_http_request_seconds",
                                    "Time from an HTTP request's last byte to its answer.",
                                    LatencyBounds())) {}

void HttpObserver::OnRequest(HttpRequest request, Responder respond) {
  std::string path = request.target.substr(0, request.target.find('?'));
  if (path == "/metrics") return handler_->OnRequest(std::move(request), std::move(respond));
  Observed observed;
  observed.method = request.method;
  observed.path = std::move(path);
  observed.began = clock_.Monotonic();
  const absl::Time now = clock_.Now();
  if (const auto parent = TraceContext::Parse(request.Header(kTraceHeader)); parent.has_value()) {
    observed.parent_span_id = parent->span_id;
    observed.trace = parent->Child(ids_, now);
  } else {
    observed.trace = TraceContext::New(ids_, now);
  }
  auto& headers = request.headers;
  headers.erase(std::remove_if(headers.begin(), headers.end(),
                               [](const auto& header) { return header.first == kTraceHeader; }),
                headers.end());
  headers.emplace_back(kTraceHeader, observed.trace.ToHeader());
  handler_->OnRequest(
      std::move(request), [&metrics = metrics_, &clock = clock_, &seconds = seconds_,
                           spans = spans_, observed = std::move(observed),
                           respond = std::move(respond)](HttpResponse response) mutable {
        const absl::Duration took = clock.Monotonic() - observed.began;
        seconds.Observe(absl::ToDoubleSeconds(took));
        metrics
            .AddCounter("agentdesk_http_requests_total", "HTTP requests answered, by status.",
                        {{"code", std::to_string(response.status)}})
            .Increment();
        if (IsDebugLogged()) {
          LogDebug("request", {{"method", observed.method},
                               {"path", observed.path},
                               {"status", response.status},
                               {"ms", absl::ToDoubleMilliseconds(took)},
                               {"trace_id", observed.trace.trace_id}});
        }
        if (spans != nullptr) Export(observed, response.status, clock.Now(), took, *spans);
        respond(std::move(response));
      });
}

}  // namespace agentdesk::gateway
