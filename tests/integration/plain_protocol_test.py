"""The plain protocol, byte for byte, as a foreign client sees it (contract 2.1 and 2.3)."""

import datetime
import json
import time
import unittest

from agentdesk_test import DeskTestCase, wait_until
from desk_client import agent_pb2, event_pb2, new_id, seconds, session_pb2, ticket_pb2
from ws_client import Browser, refused_status


def compact(message: dict) -> str:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def stamp(time) -> str:
    moment = datetime.datetime.fromtimestamp(time.seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{time.nanos // 1000:06d}+00:00"


def plain_text(event) -> str | None:
    """The one text that this event is on a plain connection; None: it is not sent there."""
    kind = event.WhichOneof("payload")
    body = getattr(event, kind)
    time = {"timestamp": stamp(event.time)}
    where = {"session_id": event.session_id, "ticket_id": event.ticket_id}
    if kind == "ticket_created":
        fields = {"ticket_id": event.ticket_id, "ticket_name": body.ticket.ticket_name, **time}
    elif kind == "agent_started":
        fields = {"ticket_id": event.ticket_id, "ticket_name": body.ticket_name,
                  "session_id": event.session_id, **time}
    elif kind == "agent_question":
        fields = {"content": body.question.content, **where,
                  "question_id": body.question.question_id}
        if body.question.choices:
            fields["choices"] = [choice.value for choice in body.question.choices]
        if body.question.HasField("expires_at"):
            fields["expires_at"] = stamp(body.question.expires_at)
        fields |= time
    elif kind == "agent_message":
        fields = {"content": body.content, **where, **time}
    elif kind == "tool_call":
        fields = {"tool_name": body.tool_name, "title": body.title, "content": body.content,
                  "output_type": body.output_type, "session_id": event.session_id, **time}
    elif kind == "user_message":
        fields = {"content": body.content, **where, "from": event.actor.id, **time}
    elif kind == "question_answered":
        fields = {**where, "question_id": body.question_id, "response": body.response,
                  "answered_by": event.actor.id, **time}
    elif kind in ("question_expired", "question_withdrawn"):
        fields = {**where, "question_id": body.question_id, **time}
    elif kind == "agent_complete":
        status = ticket_pb2.JobStatus.Name(body.status).removeprefix("JOB_STATUS_").lower()
        fields = {"job_id": event.job_id, "ticket_id": event.ticket_id, "status": status}
    elif kind == "agent_error":
        fields = {"job_id": event.job_id, "error": body.error}
    elif kind == "ticket_cancelled":
        fields = {"ticket_id": event.ticket_id, **time}
    else:
        return None
    return compact({"type": kind, **fields})


class PlainProtocolTest(DeskTestCase):
    core_flags = ("--expiry_hold=0s",)

    def browser(self, **kwargs) -> Browser:
        browser = Browser(self.gateway.address, **kwargs)
        self.addCleanup(browser.close)
        return browser

    def connected(self, **kwargs) -> Browser:
        """A browser that is surely served: it had its pong."""
        browser = self.browser(**kwargs)
        self.assertEqual(browser.ask({"type": "ping"}), {"type": "pong"})
        return browser

    def test_ping_straight_after_connect(self) -> None:
        browser = self.browser()
        self.assertEqual(browser.ask_text({"type": "ping"}), '{"type":"pong"}')
        self.assertEqual(browser.ask_text({"type": "ping", "more": [1, {"deep": None}]}),
                         '{"type":"pong"}')
        self.assertEqual(browser.texts, ['{"type":"pong"}'] * 2, "nothing else is ever sent")

    def test_unknown_session(self) -> None:
        browser = self.browser()
        for session in (new_id(), "nobody", "Ünïcode", "x" * 500):
            with self.subTest(session=session[:20]):
                text = browser.ask_text(
                    {"type": "user_response", "session_id": session, "response": "yes"})
                message = json.loads(text)["message"]
                self.assertTrue(message)
                self.assertEqual(text, compact({
                    "type": "ack", "session_id": session, "status": "unknown_session",
                    "message": message}))

    def test_ack_repeats_the_request_id_last(self) -> None:
        browser = self.browser()
        text = browser.ask_text({"type": "user_response", "session_id": "nobody",
                                 "response": "yes", "request_id": "r-1"})
        self.assertEqual(list(json.loads(text)),
                         ["type", "session_id", "status", "message", "request_id"])
        self.assertEqual(json.loads(text)["request_id"], "r-1")

    def whole_life(self) -> None:
        """Makes at least one event of each type."""
        desk = self.desk
        name = "Ünïcode \"quoted\" \\ / \u2028 😀 <b>\t\x7f"
        lease = desk.start(name)
        desk.say(lease, "line\nline\r\x00\x1f".replace("\x00", "\x01"))
        desk.call(desk.agents.ReportActivity, agent_pb2.ReportActivityRequest(
            activities=[agent_pb2.Activity(tool_call=event_pb2.ToolCall(
                tool_name="grep", title="Looks", content="a\\b", output_type="text"))],
            **lease.args))
        choices = [session_pb2.Choice(value="a", label="The A"), session_pb2.Choice(value="ö")]
        asked = desk.ask(lease, "With choices?", choices=choices, expires_in=seconds(3600))
        desk.answer(lease.session_id, "ö", question_id=asked.question_id)
        withdrawn = desk.ask(lease, "Never mind?", key="w")
        desk.call(desk.agents.WithdrawQuestion, agent_pb2.WithdrawQuestionRequest(
            question_id=withdrawn.question_id, **lease.args))
        expires = desk.ask(lease, "Quick?", expires_in=seconds(1))
        desk.call(desk.sessions.SendMessage, session_pb2.SendMessageRequest(
            session_id=lease.session_id, content="A word to the agent"))
        wait_until(lambda: self.question_state(expires.question_id)
                   == session_pb2.QUESTION_STATE_EXPIRED, "an expiry")
        desk.complete(lease, "That was all", {"n": 1})
        desk.fail(desk.start("Breaks"), "it broke: \"so\"")
        cancelled = desk.create("Cancelled", queue="nobody")
        desk.call(desk.tickets.CancelTicket,
                  ticket_pb2.CancelTicketRequest(ticket_id=cancelled.ticket_id))

    def question_state(self, question_id: str) -> int:
        return self.desk.call(self.desk.sessions.GetQuestion, session_pb2.GetQuestionRequest(
            question_id=question_id)).question.state

    def test_every_message_byte_for_byte_on_three_clients(self) -> None:
        browsers = [self.connected(), self.connected(origin="http://localhost:3000"),
                    self.connected(origin=f"http://{self.gateway.address}")]
        before = self.desk.head().head_sequence
        self.whole_life()
        events = [event for event in self.desk.log() if event.sequence > before]
        expected = [text for text in map(plain_text, events) if text is not None]
        types = {json.loads(text)["type"] for text in expected}
        self.assertEqual(types, {
            "ticket_created", "agent_started", "agent_question", "agent_message", "tool_call",
            "user_message", "question_answered", "question_expired", "question_withdrawn",
            "agent_complete", "agent_error", "ticket_cancelled"}, "each type was there")
        for browser in browsers:
            browser.wait_for(lambda texts: len(texts) >= len(expected) + 1, "all broadcasts")
            self.assertEqual(browser.texts[1:], expected)

    def test_ack_comes_before_the_broadcast_it_caused(self) -> None:
        browser = self.connected()
        other = self.connected()
        lease = self.desk.start(lease_s=600)

        def is_acknowledged_at_once() -> bool:
            """Whether the ack came within the second for which the broadcast has to wait for it."""
            question = self.desk.ask(lease)
            browser.wait_type("agent_question", question_id=question.question_id)
            start = len(browser.texts)
            began = time.monotonic()
            text = browser.ask_text({"type": "user_response", "session_id": lease.session_id,
                                     "response": "blue", "ignored": True})
            at_once = time.monotonic() - began < 1
            self.assertEqual(text, compact({"type": "ack", "session_id": lease.session_id,
                                            "status": "received"}))
            answered = browser.wait_type("question_answered", question_id=question.question_id)
            kinds = [json.loads(text)["type"] for text in browser.texts[start:]]
            if at_once:
                self.assertLess(kinds.index("ack"), kinds.index("question_answered"))
            self.assertRegex(answered["answered_by"], "^guest-[0-9a-f]{4}$")
            other.wait_type("question_answered", question_id=question.question_id)
            return at_once
        # What is promised ends with that second, and a busy machine may need longer.
        wait_until(is_acknowledged_at_once, "an ack within a second")
        self.assertNotIn("ack", [json.loads(text)["type"] for text in other.texts],
                         "an ack goes to its client alone")

    def test_second_answer_is_told_who_won(self) -> None:
        first, second = self.connected(), self.connected()
        lease = self.desk.start()
        question = self.desk.ask(lease)
        for browser in (first, second):
            browser.wait_type("agent_question", question_id=question.question_id)
        command = {"type": "user_response", "session_id": lease.session_id}
        self.assertEqual(first.ask({**command, "response": "blue"})["status"], "received")
        answered = second.wait_type("question_answered", question_id=question.question_id)
        for named in ({}, {"question_id": question.question_id}):
            with self.subTest(named=named):
                text = second.ask_text({**command, "response": "red", **named})
                ack = json.loads(text)
                self.assertEqual(ack["status"], "already_answered")
                self.assertEqual(ack["answered_by"], answered["answered_by"])
                self.assertEqual(ack["response"], "blue")
                self.assertTrue(ack["message"])
                self.assertEqual(set(ack), {"type", "session_id", "status", "answered_by",
                                            "response", "message"})

    def test_other_outcomes(self) -> None:
        browser = self.connected()
        lease = self.desk.start()
        command = {"type": "user_response", "session_id": lease.session_id, "response": "x"}
        self.assertEqual(browser.ask(command)["status"], "received", "kept as a message")
        browser.wait_type("user_message", content="x")
        one = self.desk.ask(lease, choices=[session_pb2.Choice(value="a")])
        browser.wait_type("agent_question", question_id=one.question_id)
        self.assertEqual(browser.ask(command)["status"], "invalid_response", "not a choice")
        self.assertEqual(browser.ask({**command, "response": ""})["status"], "invalid_response")
        self.assertEqual(browser.ask({**command, "question_id": new_id()})["status"],
                         "unknown_question")
        self.assertEqual(self.question_state(one.question_id), session_pb2.QUESTION_STATE_OPEN)
        two = self.desk.ask(lease)
        browser.wait_type("agent_question", question_id=two.question_id)
        self.assertEqual(browser.ask(command)["status"], "ambiguous")
        self.assertEqual(self.question_state(two.question_id), session_pb2.QUESTION_STATE_OPEN)
        named = browser.ask({**command, "question_id": two.question_id, "response": "y" * 16384})
        self.assertEqual(named["status"], "received", "16 KiB are not too long")
        self.desk.complete(lease)
        browser.wait_type("agent_complete", job_id=lease.job_id)
        late = browser.ask({**command, "question_id": one.question_id, "response": "a"})
        self.assertEqual(late["status"], "withdrawn")

    def test_wrong_messages_leave_the_connection_open(self) -> None:
        browser = self.connected()
        session = new_id()
        cases = [
            ("{", "invalid_json"), ("", "invalid_json"), ('{"type":"ping"} x', "invalid_json"),
            ("[1]", "invalid_message"), ("3", "invalid_message"), ("{}", "invalid_message"),
            ('{"type":5}', "invalid_message"), ('{"type":"nonsense"}', "unknown_type"),
            ('{"type":"subscribe"}', "unknown_type"),
            (compact({"type": "user_response", "session_id": session}), "invalid_message"),
            (compact({"type": "user_response", "response": "x"}), "invalid_message"),
            (compact({"type": "user_response", "session_id": 7, "response": "x"}),
             "invalid_message"),
            (compact({"type": "user_response", "session_id": session, "response": {}}),
             "invalid_message"),
            (compact({"type": "user_response", "session_id": session, "response": "x",
                      "request_id": 5}), "invalid_message"),
            # Depth: 32 levels of arrays and objects, with that of the message.
            ("[" * 5000 + "]" * 5000, "invalid_json"),
            ('{"type":"ping","a":' + "[" * 31 + "]" * 31 + "}", "pong"),
            ('{"type":"ping","a":' + "[" * 32 + "]" * 32 + "}", "invalid_json"),
            # Numbers that no double holds are read as infinite, in fields that nobody reads.
            ('{"type":"ping","n":1e400}', "pong"), ('{"type":"ping","n":1e-400}', "pong"),
            ('{"type":"ping","n":' + "9" * 400 + "}", "pong"),
            # Halves of surrogate pairs are no text.
            (r'{"type":"\ud800"}', "invalid_json"), (r'{"type":"ping","a":"\ud83d"}', "invalid_json"),
            (r'{"type":"ping","a":"\ude00\ud83d"}', "invalid_json"),
            (r'{"type":"ping","\udc00":1}', "invalid_json"),
            (r'{"type":"ping","a":"\ud83d\ude00"}', "pong"),
            # Of two fields with one name the last counts.
            ('{"type":"ping","type":"nonsense"}', "unknown_type"),
            ('{"type":"nonsense","type":"ping"}', "pong"),
        ]
        for text, code in cases:
            with self.subTest(text=text[:60]):
                answer = json.loads(browser.ask_text(text))
                if code == "pong":
                    self.assertEqual(answer, {"type": "pong"})
                    continue
                self.assertEqual(answer["type"], "error")
                self.assertEqual(answer["code"], code)
                self.assertTrue(answer["message"])
        twice = json.loads(browser.ask_text(
            '{"type":"user_response","session_id":"a","session_id":"b","response":"x"}'))
        self.assertEqual((twice["session_id"], twice["status"]), ("b", "unknown_session"))
        answer = browser.ask({"type": "user_response", "session_id": session, "request_id": "r-7"})
        self.assertEqual(answer["request_id"], "r-7")
        self.assertIn("response", answer["message"], "names the field")
        self.assertEqual(list(answer), ["type", "code", "message", "request_id"])
        self.assertEqual(browser.ask({"type": "ping"}), {"type": "pong"})

    def test_close_codes(self) -> None:
        for name, message, code in [("binary", b"\x00\x01", 1003),
                                    ("too large", "x" * (256 * 1024 + 1), 1009)]:
            with self.subTest(name):
                browser = self.connected()
                browser.send(message)
                self.assertEqual(browser.wait_closed(), code)
        almost = self.connected()
        text = compact({"type": "ping", "pad": "x" * (256 * 1024 - 40)})
        self.assertEqual(almost.ask_text(text), '{"type":"pong"}')

    def test_origins(self) -> None:
        own = f"http://{self.gateway.address}"
        for origin in (None, own, "http://localhost:5173", "http://127.0.0.1:8080"):
            with self.subTest(origin=origin):
                self.connected(origin=origin)
        foreign = ["http://evil.example", "null", "https://localhost.evil.example",
                   "http://localhost.evil.example:80", "http://evil.example:8000"]
        for origin in foreign:
            with self.subTest(origin=origin):
                self.assertEqual(refused_status(self.gateway.address, origin=origin), 403)


if __name__ == "__main__":
    unittest.main()
