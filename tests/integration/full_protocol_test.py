"""agentdesk.v1 on the socket: hello, every event once, resume, gaps (contract 2.2)."""

import json
import unittest

import oracle
from agentdesk_test import DeskTestCase
from desk_client import new_id, ticket_pb2
from ws_client import FullBrowser


class FullProtocolTest(DeskTestCase):
    def browser(self, query: str = "") -> FullBrowser:
        browser = FullBrowser(self.gateway.address, query=query)
        self.addCleanup(browser.close)
        return browser

    def head(self) -> int:
        return self.desk.head().head_sequence

    def test_hello_comes_first_and_no_event_unasked(self) -> None:
        self.desk.create()
        browser = self.browser()
        hello = browser.wait_type("hello")
        self.assertEqual(browser.subprotocol, "agentdesk.v1")
        self.assertEqual(json.loads(browser.texts[0]), hello)
        self.assertEqual(list(hello)[:7], ["type", "protocol", "desk", "sequence", "user",
                                           "heartbeat_ms", "limits"])
        self.assertEqual(hello["protocol"], "agentdesk.v1")
        self.assertEqual(hello["desk"], self.desk.head().desk_id)
        self.assertGreaterEqual(hello["sequence"], 1)
        self.assertEqual(hello["heartbeat_ms"], 15000)
        asks = self.browser("live=1")
        asks.wait_type("subscribed")
        asks.wait_sequence(self.desk.create().sequence)
        self.assertEqual(browser.ask({"type": "ping"})["type"], "pong")
        self.assertEqual(browser.seen, [])

    def test_subscribe_from_the_beginning_then_live(self) -> None:
        for _ in range(5):
            self.desk.create()
        lease = self.desk.start("Told in full")
        browser = self.browser()
        hello = browser.wait_type("hello")
        browser.send({"type": "subscribe", "from": {"desk": hello["desk"], "after": 0}})
        browser.wait_type("subscribed")
        self.desk.say(lease, "hello")
        self.desk.complete(lease)
        head = self.head()
        browser.wait_sequence(head)
        oracle.check_complete(browser.seen, 0, head)
        by_sequence = {event.sequence: event for event in self.desk.log()}
        for sequence, text in browser.seen:
            message = json.loads(text)
            event = by_sequence[sequence]
            self.assertEqual(list(message)[:2], ["type", "sequence"])
            self.assertEqual(message["type"], event.WhichOneof("payload"))
            self.assertEqual(message["ticket_id"], event.ticket_id)
            self.assertIn("timestamp", message)
        created = next(json.loads(text) for _, text in browser.seen
                       if json.loads(text)["type"] == "ticket_created")
        self.assertEqual(created["ticket"]["priority"], 5)

    def test_resume_in_the_url_meets_live_without_a_seam(self) -> None:
        for _ in range(3):
            self.desk.create()
        desk_id = self.desk.head().desk_id
        for after in range(0, self.head() + 1):
            with self.subTest(after=after):
                browser = self.browser(f"after={after}&desk={desk_id}")
                created = self.desk.create()
                browser.wait_sequence(created.sequence)
                oracle.check_complete(browser.seen, after, created.sequence)

    def test_live_only(self) -> None:
        self.desk.create()
        browser = self.browser("live=1")
        browser.wait_type("hello")
        # Not the core's head: the gateway may be about to hear of the ticket above.
        before = browser.wait_type("subscribed")["up_to"]
        created = self.desk.create()
        browser.wait_sequence(created.sequence)
        oracle.check_complete(browser.seen, before, created.sequence)

    def test_filter(self) -> None:
        one, other = self.desk.start(), self.desk.start()
        browser = self.browser()
        hello = browser.wait_type("hello")
        browser.send({"type": "subscribe", "from": {"desk": hello["desk"], "after": 0},
                      "filter": {"session_ids": [one.session_id], "types": ["agent_message"]}})
        browser.wait_type("subscribed")
        for text in ("a", "b"):
            self.desk.say(other, text)
            self.desk.say(one, text)
        self.desk.say(one, "last")
        browser.wait_type("agent_message", content="last")
        self.assertEqual([json.loads(text)["content"] for _, text in browser.seen],
                         ["a", "b", "last"])

    def test_positions_that_cannot_be_served(self) -> None:
        head = self.head()
        desk_id = self.desk.head().desk_id
        cases = [(f"after=1&desk={new_id()}", "other_desk"), ("after=1", "other_desk"),
                 (f"after={head + 1000}&desk={desk_id}", "ahead")]
        for query, reason in cases:
            with self.subTest(query=query):
                browser = self.browser(query)
                gap = browser.wait_type("gap")
                self.assertEqual(gap["reason"], reason)
                self.assertEqual(gap["desk"], desk_id)
                self.assertGreaterEqual(gap["available_from"], 1)
                self.check_snapshot_then_live(browser, 1)

    def test_snapshot_and_live_in_one(self) -> None:
        lease = self.desk.start("Still runs")
        question = self.desk.ask(lease)
        ended = self.desk.start("Has ended")
        self.desk.complete(ended)
        browser = self.browser("snapshot=1")
        parts = self.check_snapshot_then_live(browser, 0)
        tickets = {ticket["ticket_id"] for part in parts for ticket in part["tickets"]}
        self.assertIn(lease.ticket_id, tickets)
        self.assertNotIn(ended.ticket_id, tickets)
        questions = {asked["question_id"] for part in parts for asked in part["questions"]}
        self.assertIn(question.question_id, questions)
        sessions = {session["session_id"] for part in parts for session in part["sessions"]}
        self.assertIn(lease.session_id, sessions)

    def check_snapshot_then_live(self, browser: FullBrowser, after_gap: int) -> list[dict]:
        """All parts of one snapshot, and then every event that follows it."""
        browser.wait_for(lambda texts: any(json.loads(text).get("more") is False for text in texts),
                         "whole snapshot")
        parts = [message for text in list(browser.texts)
                 if (message := json.loads(text))["type"] == "snapshot"]
        self.assertEqual([part["more"] for part in parts], [True] * (len(parts) - 1) + [False])
        self.assertEqual(len({part["up_to"] for part in parts}), 1)
        kinds = [json.loads(text)["type"] for text in browser.texts]
        self.assertEqual(kinds.count("gap"), after_gap)
        if after_gap:
            self.assertLess(kinds.index("gap"), kinds.index("snapshot"))
        created = self.desk.create()
        browser.wait_sequence(created.sequence)
        oracle.check_complete(browser.seen, parts[0]["up_to"], created.sequence)
        return parts

    def test_ack_names_what_it_answers(self) -> None:
        lease = self.desk.start()
        question = self.desk.ask(lease)
        browser = self.browser("live=1")
        browser.wait_type("hello")
        ack = browser.ask({"type": "user_response", "session_id": lease.session_id,
                           "question_id": question.question_id, "response": "blue",
                           "request_id": "r-1"})
        self.assertEqual(ack["status"], "received")
        self.assertEqual(ack["request_id"], "r-1")
        self.assertEqual(ack["question_id"], question.question_id)
        self.assertLessEqual(ack["sequence"], self.head())
        error = browser.ask({"type": "user_response", "request_id": "r-2"})
        self.assertEqual((error["type"], error["request_id"]), ("error", "r-2"))

    def test_cancel_and_retry_repeated_under_their_ids(self) -> None:
        created = self.desk.create(queue="nobody")
        browser = self.browser("live=1")
        browser.wait_type("hello")

        def ask(kind: str, request_id: str) -> str:
            ack = browser.ask({"type": kind, "ticket_id": created.ticket_id, "request_id": request_id})
            self.assertEqual(ack["type"], "ack", ack)
            return self.desk.ticket(created.ticket_id).job_id

        cancel, retry = new_id(), new_id()
        self.assertEqual(ask("cancel_ticket", cancel), created.job_id)
        retried = ask("retry_ticket", retry)
        self.assertNotEqual(retried, created.job_id)
        self.assertEqual([ask("cancel_ticket", cancel), ask("retry_ticket", retry)], [retried] * 2)
        self.assertEqual(self.desk.job(retried).status, ticket_pb2.JOB_STATUS_QUEUED)


if __name__ == "__main__":
    unittest.main()
