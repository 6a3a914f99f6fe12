"""What one identity may use of core and gateway: it is told when it is too much, and nobody else feels it."""

import contextlib
import pathlib
import tempfile
import unittest
from typing import Any

import grpc
import http_client
import websockets
from agentdesk_test import System, wait_until
from desk_client import (DeskClient, Refusal, agent_pb2, event_pb2, refusal_of, session_pb2,
                         ticket_pb2)
from metrics_text import MetricsPage
from tokens import As, Issuer, auth_config, bearer, make_key, two_issuers
from ws_client import Browser, FullBrowser

CREATE = ticket_pb2.CreateTicketRequest(ticket_name="One more")
LIVE = event_pb2.SubscribeRequest(live=True)


class IdentityLimitsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-limits-")
        cls.addClassCleanup(scratch.cleanup)
        folder = pathlib.Path(scratch.name)
        cls.issuer = Issuer()
        (folder / "keys.json").write_text(cls.issuer.key_set())
        _, public = make_key(folder, "ES256")
        config = auth_config(folder, two_issuers(public), gateways=["gateway-1"])
        own_token = folder / "gateway.token"
        own_token.write_text(cls.issuer.token("gateway-1"))
        cls.system = System(
            [f"--auth_config={config}", "--max_calls_per_second_per_identity=10",
             "--max_streams_per_identity=2", "--max_open_tickets_per_tenant=3",
             "--max_open_questions_per_session=2"],
            [f"--auth_config={config}", f"--core_token_file={own_token}",
             "--max_messages_per_second_per_user=5"])
        cls.addClassCleanup(cls.system.close)
        cls.desk = DeskClient(cls.system.core.address)
        cls.addClassCleanup(cls.desk.close)
        cls.page = MetricsPage(lambda: cls.system.core.admin)

    def who(self, subject: str, **more: Any) -> As:
        return As(self.desk, bearer(self.issuer.token(subject, **more)))

    def refused(self, method: Any, request: Any) -> Refusal:
        with self.assertRaises(grpc.RpcError) as error:
            method(request)
        refusal = refusal_of(error.exception)
        self.assertEqual(refusal.code, grpc.StatusCode.RESOURCE_EXHAUSTED, refusal)
        self.assertGreater(refusal.retry_after_s, 0)
        self.page.wait(lambda now: now > 0, "agentdesk_refused_calls_total", reason=refusal.reason)
        return refusal

    def test_calls_a_second(self) -> None:
        many, other = self.who("many"), self.who("other")
        refusal: Refusal | None = None
        for _ in range(1000):
            try:
                many.events.GetDesk(event_pb2.GetDeskRequest())
            except grpc.RpcError as error:
                refusal = refusal_of(error)
                break
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limited"))
        self.assertLessEqual(refusal.retry_after_s, 0.1)
        self.assertRegex(refusal.text, r"one identity may make 10 a second; repeat in ")
        other.events.GetDesk(event_pb2.GetDeskRequest())
        # The user whom a gateway names counts, not the gateway.
        token = {"Authorization": f"Bearer {self.issuer.token('many')}"}

        def is_refused() -> Any:
            answer = http_client.call(self.system.gateway.address, "GET", "/tickets", **token)
            return answer if answer.status == 429 else None
        answer = wait_until(is_refused, "a call over HTTP that is refused")
        self.assertEqual((answer.error["code"], answer.headers["retry-after"]),
                         ("rate_limited", "1"))
        answer = http_client.call(self.system.gateway.address, "GET", "/tickets",
                                  Authorization=f"Bearer {self.issuer.token('third')}")
        self.assertEqual(answer.status, 200)

    def test_messages_of_all_sockets_of_a_user(self) -> None:
        def browser(subject: str) -> Browser:
            browser = Browser(self.system.gateway.address, protocol="agentdesk.v1", headers={
                "Authorization": f"Bearer {self.issuer.token(subject)}"})
            self.addCleanup(browser.close)
            browser.wait_type("hello")
            return browser
        first, second, other = browser("chatty"), browser("chatty"), browser("calm")
        with contextlib.suppress(websockets.ConnectionClosed):  # the code tells
            for _ in range(300):
                first.send({"type": "ping"})
        self.assertEqual(first.wait_closed(), 4429)
        refusal = first.wait_type("error", code="rate_limited")
        self.assertEqual(refusal["message"], "too many messages of this user")
        self.assertLessEqual(refusal["retry_after_ms"], 200)

        def is_refused() -> bool:
            answer = second.ask({"type": "ping"})
            return answer["type"] == "error" and answer["code"] == "rate_limited"
        wait_until(is_refused, "a refusal on the user's other socket")
        self.assertEqual(other.ask({"type": "ping"}), {"type": "pong"})

    def test_streams(self) -> None:
        follower = self.who("follower")
        streams = [follower.events.Subscribe(LIVE) for _ in range(2)]
        for stream in streams:
            next(stream)
        refusal = self.refused(lambda request: next(follower.events.Subscribe(request)), LIVE)
        self.assertEqual(refusal.reason, "too_many_streams")
        self.assertIn("may have 2 at a time", refusal.text)
        next(self.who("another").events.Subscribe(LIVE))
        streams[0].cancel()

        def is_let_in() -> bool:
            try:
                next(follower.events.Subscribe(LIVE))
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
                return False
            return True
        wait_until(is_let_in, "a place that was given back")

    def test_a_browser_for_whom_the_core_has_no_stream_is_told_when_to_come_back(self) -> None:
        watcher = self.who("watcher")
        for stream in [watcher.events.Subscribe(LIVE) for _ in range(2)]:
            next(stream)
            self.addCleanup(stream.cancel)
        token = {"Authorization": f"Bearer {self.issuer.token('watcher')}"}
        browser = FullBrowser(self.system.gateway.address, query="snapshot=1", headers=token)
        self.assertEqual(browser.wait_closed(), 4429)
        self.assertRegex(browser.close_reason, "^too many streams, retry in [0-9]+ s$")

    def test_open_tickets(self) -> None:
        acme = self.who("boss", tenant="acme")
        tickets = [acme.tickets.CreateTicket(CREATE).ticket_id for _ in range(3)]
        refusal = self.refused(self.who("clerk", tenant="acme").tickets.CreateTicket, CREATE)
        self.assertEqual(refusal.reason, "too_many_open_tickets")
        self.assertIn("a tenant may have 3 that have not ended", refusal.text)
        self.who("boss", tenant="globex").tickets.CreateTicket(CREATE)
        over_http = http_client.call(
            self.system.gateway.address, "POST", "/tickets/create", {"ticket_name": "One more"},
            Authorization=f"Bearer {self.issuer.token('web', tenant='acme')}")
        self.assertEqual((over_http.status, over_http.error["code"], over_http.headers["retry-after"]),
                         (429, "too_many_open_tickets", "30"))
        acme.tickets.CancelTicket(ticket_pb2.CancelTicketRequest(ticket_id=tickets[0]))
        acme.tickets.CreateTicket(CREATE)

    def test_open_questions(self) -> None:
        worker = self.who("worker", tenant="asks")
        worker.tickets.CreateTicket(CREATE)
        claim = worker.agents.ClaimJob(agent_pb2.ClaimJobRequest(queues=["default"], worker="w"))

        def asks(key: str) -> agent_pb2.AskQuestionRequest:
            return agent_pb2.AskQuestionRequest(job_id=claim.job.job_id, key=key, content="May I?",
                                                lease_token=claim.lease_token)
        first, _ = (worker.agents.AskQuestion(asks(key)).question for key in ("first", "second"))
        refusal = self.refused(worker.agents.AskQuestion, asks("third"))
        self.assertEqual(refusal.reason, "too_many_open_questions")
        self.assertIn("a session may have 2", refusal.text)
        worker.sessions.SubmitResponse(session_pb2.SubmitResponseRequest(
            session_id=first.session_id, question_id=first.question_id, response="yes"))
        worker.agents.AskQuestion(asks("third"))


if __name__ == "__main__":
    unittest.main()
