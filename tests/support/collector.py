"""A collector of spans, as OpenTelemetry's would be: OTLP over HTTP with JSON."""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any

from agentdesk_test import wait_until


class Collector:
    """What takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for resource in body["resourceSpans"]:
                    service = resource["resource"]["attributes"][0]["value"]["stringValue"]
                    for scope in resource["scopeSpans"]:
                        collector.spans += [{**span, "service": service} for span in scope["spans"]]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_span(self, **fields: Any) -> dict[str, Any]:
        def find() -> Any:
            return next((span for span in list(self.spans) if all(
                span.get(name) == value for name, value in fields.items())), None)
        return wait_until(find, f"a span with {fields}")

    def close(self) -> None:
        """From here on nothing is taken. May be called again."""
        self._server.shutdown()
        self._server.server_close()
