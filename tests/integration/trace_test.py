"""One trace id is followed from a browser's answer to the agent; spans go out; nothing secret is logged."""

from __future__ import annotations

import json
import unittest
from typing import Any

import http_client
from agentdesk_test import ROOT, DeskTestCase, Program, wait_until
from collector import Collector
from desk_client import new_id, session_pb2
from metrics_text import MetricsPage
from ws_client import Browser

AGENT = f"exec /usr/bin/python3 -B '{ROOT}/tests/support/scripted_agent.py'"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
ANSWER = "the answer that is nobody's business"
TOKEN = "a-token-that-is-nobodys-business"


class TraceTest(DeskTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.collector = Collector()
        cls.addClassCleanup(cls.collector.close)
        flags = (f"--otlp_endpoint={cls.collector.endpoint}", "--log_level=debug")
        cls.core_flags = flags
        cls.gateway_flags = flags
        super().setUpClass()

    def ask(self) -> tuple[Program, session_pb2.Question]:
        queue = new_id()
        worker = Program("agentdesk-worker", f"--core={self.core.address}", f"--agent={AGENT}",
                         f"--queue={queue}", "--log_level=debug")
        self.addCleanup(worker.kill)
        worker.start()
        ticket = self.desk.create("asks", description="asks", queue=queue)

        def find() -> Any:
            return [question for question in self.desk.call(
                self.desk.sessions.ListQuestions, session_pb2.ListQuestionsRequest()).questions
                if question.ticket_id == ticket.ticket_id]
        return worker, wait_until(find, "a question")[0]

    def line(self, program: Program, message: str, **fields: Any) -> dict[str, Any]:
        def find() -> Any:
            return next((line for line in program.logged(message) if all(
                line.get(name) == value for name, value in fields.items())), None)
        return wait_until(find, f"{message} {fields} in the log of {program.name}")

    def lines(self, program: Program) -> list[str]:
        return program.tail(2000).splitlines()

    def test_an_answer_from_the_browser_to_the_agent(self) -> None:
        worker, question = self.ask()
        answer = http_client.call(
            self.gateway.address, "POST", f"/sessions/{question.session_id}/responses?secret={TOKEN}",
            {"response": ANSWER, "question_id": question.question_id},
            traceparent=f"00-{TRACE_ID}-{SPAN_ID}-01", authorization=f"Bearer {TOKEN}")
        self.assertEqual(answer.json["status"], "received")
        request = self.line(self.gateway, "request", trace_id=TRACE_ID)
        self.assertEqual((request["method"], request["status"]), ("POST", 200))
        self.line(self.gateway, "call of the core", trace_id=TRACE_ID, call="SubmitResponse")
        self.line(self.core, "call", trace_id=TRACE_ID,
                  method="agentdesk.v1.SessionService/SubmitResponse", code="OK")
        answered = [event for event in self.desk.log(session_ids=[question.session_id])
                    if event.WhichOneof("payload") == "question_answered"]
        self.assertEqual([event.trace_id for event in answered], [TRACE_ID])
        given = self.line(worker, "input", trace_id=TRACE_ID)
        self.assertEqual((given["kind"], given["sequence"]), ("answer", answered[0].sequence))
        # The agent itself is told, for a log of its own.
        job = wait_until(lambda: (job := self.desk.job(question.job_id)).result_json and job,
                         "the end of the job")
        self.assertEqual(json.loads(job.result_json)["answer"]["trace_id"], TRACE_ID)

        of_gateway = self.collector.wait_span(traceId=TRACE_ID, service="agentdesk-gateway", name="POST")
        self.assertEqual(of_gateway["parentSpanId"], SPAN_ID)
        of_call = self.collector.wait_span(traceId=TRACE_ID, service="agentdesk-gateway",
                                           name="SubmitResponse")
        self.assertEqual(of_call["parentSpanId"], of_gateway["spanId"])
        of_core = self.collector.wait_span(traceId=TRACE_ID, service="agentdesk-core")
        self.assertEqual(of_core["name"], "agentdesk.v1.SessionService/SubmitResponse")
        self.assertEqual(of_core["parentSpanId"], of_call["spanId"])
        self.assertLessEqual(int(of_core["startTimeUnixNano"]), int(of_core["endTimeUnixNano"]))

        for program in (self.core, self.gateway, worker):
            lines = self.lines(program)
            self.assertGreater(len(lines), 1)
            for line in lines:
                self.assertNotIn(TOKEN, line)
                if json.loads(line)["level"] != "debug":
                    self.assertNotIn(ANSWER, line)
        self.assertEqual(worker.stop(), 0)

    def test_an_answer_on_a_socket_begins_a_trace(self) -> None:
        _, question = self.ask()
        browser = Browser(self.gateway.address)
        self.addCleanup(browser.close)
        browser.ask({"type": "user_response", "session_id": question.session_id,
                     "question_id": question.question_id, "response": "red"})
        answered = [event for event in self.desk.log(session_ids=[question.session_id])
                    if event.WhichOneof("payload") == "question_answered"]
        trace_id = answered[0].trace_id
        self.assertRegex(trace_id, "^[0-9a-f]{32}$")
        self.line(self.gateway, "call of the core", trace_id=trace_id, via="websocket")
        self.line(self.core, "call", trace_id=trace_id)
        span = self.collector.wait_span(traceId=trace_id, service="agentdesk-gateway")
        self.assertNotIn("parentSpanId", span)

    def test_what_was_exported_is_counted(self) -> None:
        pages = (MetricsPage(lambda: self.core.admin), MetricsPage(lambda: self.gateway.address))
        before = [page.value("agentdesk_spans_exported_total") for page in pages]
        self.desk.create()
        http_client.call(self.gateway.address, "GET", "/tickets")
        for page, exported in zip(pages, before):
            page.wait(lambda now, n=exported: now > n, "agentdesk_spans_exported_total")
            # Of a collector that a busy machine keeps from answering nobody can say so much.
            self.assertEqual(page.value("agentdesk_spans_dropped_total", reason="overflow"), 0)


class NoCollectorTest(DeskTestCase):
    core_flags = ("--otlp_endpoint=http://127.0.0.1:9/v1/traces",)
    gateway_flags = core_flags

    def test_a_collector_that_is_not_there_holds_up_nobody(self) -> None:
        for _ in range(50):
            answer = http_client.call(self.gateway.address, "GET", "/tickets", timeout=10)
            self.assertEqual(answer.status, 200)
        for page in (MetricsPage(lambda: self.core.admin), MetricsPage(lambda: self.gateway.address)):
            page.wait(lambda now: now > 0, "agentdesk_spans_dropped_total", reason="collector")


if __name__ == "__main__":
    unittest.main()
