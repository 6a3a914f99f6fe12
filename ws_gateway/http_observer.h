#ifndef AGENTDESK_WS_GATEWAY_HTTP_OBSERVER_H_
#define AGENTDESK_WS_GATEWAY_HTTP_OBSERVER_H_

#include <memory>

#include "core_service/base/clock.h"
#include "core_service/base/metrics.h"
#include "core_service/base/span_exporter.h"
#include "core_service/base/uuid.h"
#include "ws_gateway/request_handler.h"

namespace agentdesk::gateway {

// Sees how the requests end that another handler answers: counts them, logs them at debug and
// exports their spans. Each becomes part of its sender's trace (`traceparent`), or of a new one,
// and the other handler finds that in the same header. It does not see `/metrics`: to read them
// counts for nothing. Belongs to its shard's thread, the responders as well.
class HttpObserver final : public RequestHandler {
 public:
  // What it is given must outlive the responders too; `spans` may be null.
  HttpObserver(std::unique_ptr<RequestHandler> handler, Metrics& metrics, Clock& clock,
               IdSource& ids, SpanExporter* spans);

  void OnRequest(HttpRequest request, Responder respond) override;

 private:
  const std::unique_ptr<RequestHandler> handler_;
  Metrics& metrics_;
  Clock& clock_;
  IdSource& ids_;
  SpanExporter* const spans_;
  Metrics::Histogram& seconds_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_HTTP_OBSERVER_H_
