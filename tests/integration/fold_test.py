"""Snapshot and live in one (P4): the events alone keep the state current, over agentdesk.v1."""

import json
import unittest
from typing import Any

import every_event
import http_client
from agentdesk_test import DeskTestCase
from desk_client import ticket_pb2
from ws_client import FullBrowser

# What no event tells of, as the contract says.
OBSERVATIONS = {"lease_expires_at", "sequence"}


class Fold:
    """What a reader knows that has seen one snapshot and each event since."""

    def __init__(self) -> None:
        self.tickets: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.questions: dict[str, dict[str, Any]] = {}  # those that are open
        self.kinds: set[str] = set()

    def take(self, message: dict[str, Any]) -> None:
        if message["type"] == "snapshot":
            for name, key in (("tickets", "ticket_id"), ("sessions", "session_id"),
                              ("questions", "question_id")):
                getattr(self, name).update({item[key]: item for item in message[name]})
        elif "timestamp" in message:
            self.kinds.add(message["type"])
            getattr(self, f"_{message['type']}")(message)

    def _show(self, event: dict[str, Any]) -> None:
        ticket = event["ticket"]
        self.tickets[ticket["ticket_id"]] = dict(ticket)
        self.sessions[ticket["session_id"]] = {
            "session_id": ticket["session_id"], "ticket_id": ticket["ticket_id"], "state": "open",
            "open_questions": 0, "create_time": ticket["create_time"],
            "created_by": ticket["created_by"],
            **{name: ticket[name] for name in ("tenant", "trace_id") if name in ticket}}

    _ticket_created = _ticket_updated = _show

    def _become(self, event: dict[str, Any], status: str) -> None:
        self.tickets[event["ticket_id"]].update(status=status, update_time=event["timestamp"])

    def _agent_started(self, event: dict[str, Any]) -> None:
        self._become(event, "running")

    def _job_requeued(self, event: dict[str, Any]) -> None:
        self._become(event, "queued")

    def _job_waiting(self, event: dict[str, Any]) -> None:
        self._become(event, "waiting")

    def _ticket_cancelled(self, event: dict[str, Any]) -> None:
        self._become(event, event["status"])

    def _end(self, event: dict[str, Any], status: str) -> None:
        self._become(event, status)
        self.sessions[event["session_id"]].update(state="closed", close_time=event["timestamp"])

    def _agent_complete(self, event: dict[str, Any]) -> None:
        self._end(event, event["status"])

    def _agent_error(self, event: dict[str, Any]) -> None:
        self._end(event, "failed")

    def _count(self, event: dict[str, Any], change: int) -> None:
        ticket = self.tickets[event["ticket_id"]]
        ticket["open_questions"] += change
        ticket["update_time"] = event["timestamp"]
        self.sessions[event["session_id"]]["open_questions"] = ticket["open_questions"]

    def _agent_question(self, event: dict[str, Any]) -> None:
        header = {"type", "sequence", "timestamp", "actor"}
        self.questions[event["question_id"]] = {
            **{name: value for name, value in event.items() if name not in header},
            "state": "open", "create_time": event["timestamp"], "asked_by": event["actor"],
            "asked_sequence": event["sequence"]}
        self._count(event, 1)

    def _close_question(self, event: dict[str, Any]) -> None:
        del self.questions[event["question_id"]]
        self._count(event, -1)

    _question_answered = _question_expired = _question_withdrawn = _close_question

    def _say(self, event: dict[str, Any]) -> None:
        """A transcript is its events: nothing else changes."""

    _agent_message = _tool_call = _user_message = _say


class FoldTest(DeskTestCase):
    core_flags = ("--expiry_hold=0s",)

    def get(self, path: str) -> Any:
        answer = http_client.call(self.gateway.address, "GET", path)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json

    def state(self, resource: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in resource.items() if name not in OBSERVATIONS}

    def test_snapshot_and_every_type_of_event_are_the_state(self) -> None:
        before = every_event.live(self.desk)
        browser = FullBrowser(self.gateway.address, query="snapshot=1")
        self.addCleanup(browser.close)
        browser.wait_text(lambda m: m.get("more") is False, "whole snapshot")
        # Tickets that the snapshot shows go on, one that it does not show begins again, new ones come.
        for ticket_id in before:
            if self.desk.ticket(ticket_id).status not in (ticket_pb2.JOB_STATUS_COMPLETED,
                                                          ticket_pb2.JOB_STATUS_CANCELLED):
                self.desk.call(self.desk.tickets.CancelTicket,
                               ticket_pb2.CancelTicketRequest(ticket_id=ticket_id))
        cancelled = [t for t in before
                     if self.desk.ticket(t).status == ticket_pb2.JOB_STATUS_CANCELLED]
        self.desk.call(self.desk.tickets.RetryTicket,
                       ticket_pb2.RetryTicketRequest(ticket_id=cancelled[0]))
        every_event.live(self.desk)
        self.check(browser)

    def check(self, browser: FullBrowser) -> None:
        head = self.desk.head().head_sequence
        browser.wait_sequence(head)
        fold = Fold()
        for text in list(browser.texts):
            fold.take(json.loads(text))
        self.assertEqual(fold.kinds, every_event.EVENT_TYPES)
        self.assertGreater(len(fold.tickets), 5)
        for ticket_id, ticket in fold.tickets.items():
            self.assertEqual(ticket, self.state(self.get(f"/tickets/{ticket_id}")))
        unknown = [t for t in self.get("/tickets?page_size=1000")["tickets"]
                   if t["ticket_id"] not in fold.tickets]
        self.assertEqual({t["status"] for t in unknown} - {"completed", "failed", "cancelled"}, set())
        for session_id, session in fold.sessions.items():
            shown = self.get(f"/sessions/{session_id}")
            self.assertEqual(session, {name: shown[name] for name in shown if name not in
                                       ("transcript", "desk", "up_to", "more", "sequence")})
        open_now = self.get("/questions?state=open&page_size=1000")["questions"]
        self.assertGreater(len(open_now), 1)
        self.assertEqual(fold.questions, {q["question_id"]: q for q in open_now})


if __name__ == "__main__":
    unittest.main()
