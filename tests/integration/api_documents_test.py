"""docs/asyncapi.yaml and docs/openapi.yaml: valid, and what the gateway really sends is as they say.

The two programs are led through every message and every call, also those that are refused; what
comes is written down and judged by tools/api/check.mjs, which also tells what was never seen.
"""

import json
import pathlib
import subprocess
import tempfile
import unittest
from typing import Any

import every_event
import http_client
from agentdesk_test import DeskTestCase, System, wait_until
from desk_client import new_id, session_pb2
from event_stream import EventStream
from tokens import AUDIENCE, ISSUER, Issuer, auth_config
from ws_client import BareSocket, Browser, FullBrowser

CHECK = pathlib.Path(__file__).resolve().parents[2] / "tools/api/check.mjs"
LOCALHOST = "http://localhost:5173"


def check(*arguments: str) -> str:
    done = subprocess.run(["node", str(CHECK), *arguments], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout


class Records:
    """What was sent and what came, one JSON object a line."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def message(self, channel: str, sender: str, text: str) -> None:
        self.lines.append({"channel": channel, "from": sender, "text": text})

    def write(self) -> str:
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as file:
            for line in self.lines:
                file.write(json.dumps(line) + "\n")
        return file.name


class DocumentsTest(unittest.TestCase):
    def test_both_are_valid(self) -> None:
        check()

    def test_the_judge_notices(self) -> None:
        """What it must complain about, each by itself."""
        position = {"type": "position", "up_to": 1, "time": "2025-11-30T01:35:04.091323+00:00"}
        for text, complaint in [
            ({**position, "more": 1}, "unevaluated"), ({**position, "up_to": "1"}, "must be integer"),
            ({**position, "type": "nonsense"}, "unknown type"), (position, "never seen: v1 gateway gap"),
        ]:
            records = Records()
            records.message("v1", "gateway", json.dumps(text))
            file = records.write()
            self.addCleanup(pathlib.Path(file).unlink)
            with self.assertRaisesRegex(AssertionError, complaint):
                check(file)
        # A field too many deep within, and fields of the plain protocol in another order.
        for channel, text, complaint in [
            ("plain", '{"ticket_id":"%s","type":"ticket_cancelled","timestamp":"%s"}'
             % (new_id(), position["time"]), "order"),
            ("v1", json.dumps({"type": "snapshot", "up_to": 1, "tickets": [{"x": 1}], "sessions": [],
                               "questions": [], "more": False}), "/tickets/0 must have"),
        ]:
            records = Records()
            records.message(channel, "gateway", text)
            file = records.write()
            self.addCleanup(pathlib.Path(file).unlink)
            with self.assertRaisesRegex(AssertionError, complaint):
                check(file)


class TruthTest(DeskTestCase):
    core_flags = ("--expiry_hold=0s",)

    def test_what_the_gateway_sends_is_as_the_documents_say(self) -> None:
        self.records = Records()
        plain = Browser(self.gateway.address)
        plain.ask({"type": "ping"})
        full = FullBrowser(self.gateway.address, query=f"after=7&desk={new_id()}")
        full.wait_text(lambda m: m.get("more") is False, "whole snapshot")
        stream = EventStream(self.gateway.address, last_event_id=f"{new_id()}:7").follow()
        stream.wait_for(lambda m: m.get("more") is False, "whole snapshot")
        every_event.live(self.desk)
        self.say_everything(plain, full)
        self.call_everything()
        head = self.desk.head().head_sequence
        full.wait_sequence(head)
        stream.wait_sequence(head)
        self.refuse_everything()
        self.with_authentication()
        self.without_the_core(full)
        self.end(plain, full, stream)
        self.records.lines.append(
            {"unseen": "#/components/responses/TooMuch", "why": "4,096 calls at a time"})
        file = self.records.write()
        self.addCleanup(pathlib.Path(file).unlink)
        print(check(file).strip())

    # The sockets.

    def ask(self, channel: str, browser: Browser, message: dict[str, Any]) -> dict[str, Any]:
        self.records.message(channel, "client", json.dumps(message))
        return browser.ask(message)

    def say_everything(self, plain: Browser, full: Browser) -> None:
        lease = self.desk.start("Is asked")
        for channel, browser in (("plain", plain), ("v1", full)):
            question = self.desk.ask(lease, choices=[session_pb2.Choice(value="blue")])
            self.ask(channel, browser, {"type": "ping"})
            respond = {"type": "user_response", "session_id": lease.session_id,
                       "question_id": question.question_id, "response": "blue",
                       "request_id": new_id()}
            for changed, status in [
                ({"response": "green"}, "invalid_response"), ({"response": "blue"}, "received"),
                ({"response": "green"}, "request_id_reused"),
                ({"response": "blue", "request_id": new_id()}, "already_answered"),
                ({"session_id": new_id(), "request_id": new_id()}, "unknown_session"),
                ({"session_id": "none", "request_id": new_id()}, "unknown_session"),
                ({"question_id": new_id(), "request_id": new_id()}, "unknown_question"),
            ]:
                answer = self.ask(channel, browser, {**respond, **changed})
                self.assertEqual(answer.get("status", answer.get("code")), status, answer)
            for broken in ("{", "[]", '{"type":"nonsense"}', '{"type":"user_response"}',
                           '{"type":5}'):
                self.assertEqual(json.loads(browser.ask_text(broken))["type"], "error")
        created = self.ask("v1", full, {"type": "create_ticket", "ticket_name": "By socket",
                                        "request_id": "r"})
        self.assertEqual(created["status"], "queued")
        ticket = {"ticket_id": created["ticket_id"]}
        self.ask("v1", full, {"type": "retry_ticket", **ticket})  # not yet: an error
        self.ask("v1", full, {"type": "cancel_ticket", **ticket, "request_id": "c"})
        self.ask("v1", full, {"type": "retry_ticket", **ticket})
        for session_id in (lease.session_id, new_id(), "none"):
            self.ask("v1", full, {"type": "send_message", "session_id": session_id,
                                  "content": "Hello"})
        start = len(full.texts)
        subscribe = {"type": "subscribe", "from": {"desk": self.desk.head().desk_id, "after": 0},
                     "filter": {"types": ["agent_message"]}}
        self.records.message("v1", "client", json.dumps(subscribe))
        full.send(subscribe)
        full.wait_type("subscribed", start=start)
        full.send({"type": "subscribe", "from": "live"})
        full.wait_for(lambda texts: sum('"subscribed"' in text for text in texts[start:]) == 2,
                      "second subscription")

    def with_authentication(self) -> None:
        """What only comes from a gateway that wants tokens."""
        self.call("POST", "/login")
        with tempfile.TemporaryDirectory(prefix="agentdesk-api-") as scratch:
            folder = pathlib.Path(scratch)
            issuer = Issuer()
            (folder / "keys.json").write_text(issuer.key_set())
            (folder / "token").write_text(issuer.token("gateway"))
            config = auth_config(folder, [
                {"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["HS256"],
                 "keys_file": "keys.json"}], gateways=["gateway"])
            system = System([f"--auth_config={config}"],
                            [f"--auth_config={config}", f"--core_token_file={folder}/token"])
            try:
                self.sign_in(system.gateway.address, issuer)
            finally:
                system.close()

    def sign_in(self, address: str, issuer: Issuer) -> None:
        bearer = {"Authorization": f"Bearer {issuer.token()}"}
        less = {"Authorization": f"Bearer {issuer.token(scope='events:read')}"}
        self.call("POST", "/login", address=address, **bearer)
        self.call("POST", "/logout", address=address)
        self.call("GET", "/login", address=address, **bearer)
        for path, headers in (("/tickets", {}), ("/tickets", {"Authorization": "Bearer x"}),
                              ("/tickets", less), ("/login", {})):
            self.call("POST" if path == "/login" else "GET", path, address=address, **headers)
        for channel, protocol in (("plain", None), ("v1", "agentdesk.v1")):
            browser = Browser(address, protocol=protocol)
            message = {"type": "auth", "token": issuer.token(), "request_id": "r"}
            for _ in range(2):
                self.records.message(channel, "client", json.dumps(message))
                browser.send(message)
            if protocol:
                browser.wait_type("ack", status="authenticated")
            respond = {"type": "user_response", "session_id": new_id(), "response": "x",
                       "question_id": new_id()}
            self.assertEqual(self.ask(channel, browser, respond)["status"], "unknown_session")
            browser.send({**message, "token": issuer.token(scope="events:read")})
            wait_until(lambda: browser.ask(respond)["status"] == "forbidden", "a scope that is gone")
            browser.send({**message, "token": "x"})
            self.records.lines.append({"channel": channel, "code": browser.wait_closed()})
            for text in browser.texts:
                self.records.message(channel, "gateway", text)

    def without_the_core(self, full: Browser) -> None:
        self.core.kill()
        for message in ({"type": "user_response", "session_id": new_id(), "response": "x",
                         "request_id": "u"}, {"type": "cancel_ticket", "ticket_id": new_id()},
                        {"type": "send_message", "session_id": new_id(), "content": "x"}):
            self.assertEqual(self.ask("v1", full, message)["status"], "unavailable")
        wait_until(lambda: self.call("GET", "/readyz").status == 503, "a gateway that is not ready")
        self.call("POST", "/tickets/create", {"ticket_name": "x"})
        self.start_core()

    def end(self, plain: Browser, full: Browser, stream: EventStream) -> None:
        for frame, code in (((2, b"x"), 1003), ((1, b"\xff"), 1007), ((1, b"x" * 300_000), 1009),
                            ((0x0B, b""), 1002)):
            odd = BareSocket(self.gateway.address)
            odd.send_frame(*frame)
            opcode, payload = odd.read_frame()
            self.assertEqual((opcode, int.from_bytes(payload[:2], "big")), (8, code))
            self.records.lines.append({"channel": "plain", "code": code})
            odd.close()
        self.assertEqual(self.gateway.stop(), 0)
        stream.wait_ended()
        for channel, browser in (("plain", plain), ("v1", full)):
            self.records.lines.append({"channel": channel, "code": browser.wait_closed()})
            for text in browser.texts:
                self.records.message(channel, "gateway", text)
        for _, text in stream.events:
            self.records.message("stream", "gateway", text)

    # HTTP.

    def call(self, method: str, path: str, body: Any = None, as_path: str = "",
             address: str = "", **headers: str) -> http_client.Answer:
        """`as_path`: the path as the document has it."""
        answer = http_client.call(address or self.gateway.address, method, path, body, **headers)
        self.records.lines.append({
            "method": method, "path": as_path or path.split("?")[0], "status": answer.status,
            "headers": answer.headers, "body": answer.text})
        return answer

    def show(self, path: str, identity: str, query: str = "") -> http_client.Answer:
        documented = {"tickets": "ticket_id", "jobs": "job_id", "sessions": "session_id",
                      "questions": "question_id"}[path]
        return self.call("GET", f"/{path}/{identity}{query}", as_path=f"/{path}/{{{documented}}}")

    def respond(self, session_id: str, body: Any, **headers: str) -> http_client.Answer:
        return self.call("POST", f"/sessions/{session_id}/responses", body,
                         "/sessions/{session_id}/responses", **headers)

    def message(self, session_id: str, body: Any) -> http_client.Answer:
        return self.call("POST", f"/sessions/{session_id}/messages", body,
                         "/sessions/{session_id}/messages")

    def command(self, ticket_id: str, verb: str, body: Any = None) -> http_client.Answer:
        return self.call("POST", f"/tickets/{ticket_id}/{verb}", body,
                         f"/tickets/{{ticket_id}}/{verb}")

    def call_everything(self) -> None:
        created = self.call("POST", "/tickets/create", {
            "ticket_name": "By HTTP", "queue": "http", "run_after": "2025-11-30T01:35:01+00:00",
            "labels": {"a": "b"}, "request_id": new_id()},
            Traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").json
        self.command(created["ticket_id"], "cancel")
        self.command(created["ticket_id"], "retry", {"request_id": new_id()})
        lease = self.desk.claim("http")
        question = self.desk.ask(lease)
        for path in ("/tickets", "/tickets?page_size=1", "/questions", "/questions?state=open",
                     "/health", "/livez", "/readyz", "/metrics", "/"):
            self.assertEqual(self.call("GET", path).status, 200)
        answer = {"response": "blue", "question_id": question.question_id, "request_id": new_id()}
        self.assertEqual(self.respond(lease.session_id, answer).json["status"], "received")
        again = {**answer, "request_id": new_id()}
        self.assertEqual(self.respond(lease.session_id, again).json["status"], "already_answered")
        self.respond("none", answer)
        self.respond(lease.session_id, {"response": "x", "as_of_sequence": 0})
        self.assertEqual(self.message(lease.session_id, {"content": "Hello"}).status, 200)
        self.call("POST", "/webhook/notion", {"page_id": new_id()})
        for ticket in self.call("GET", "/tickets?page_size=1000").json["tickets"]:
            self.show("tickets", ticket["ticket_id"])
            self.show("jobs", ticket["job_id"])
            self.assertEqual(self.show("sessions", ticket["session_id"], "?page_size=1000").status,
                             200)
        for asked in self.call("GET", "/questions?page_size=1000").json["questions"]:
            self.assertEqual(self.show("questions", asked["question_id"]).status, 200)
        head = http_client.call(self.gateway.address, "HEAD", "/events")
        self.records.lines.append({"method": "GET", "path": "/events", "status": head.status,
                                   "headers": head.headers, "body": ""})

    def refuse_everything(self) -> None:
        create = "/tickets/create"
        json_type = {"Content_Type": "application/json"}
        ended = next(t for t in self.call("GET", "/tickets?status=completed").json["tickets"])
        cases = [
            (self.call("POST", create, b"{", **json_type), 400),
            (self.call("POST", create, {"ticket_name": "x"}, Origin="http://evil.example"), 403),
            (self.call("POST", create, {"ticket_name": "x", "ticket_id": ended["ticket_id"]}), 409),
            (self.call("POST", create, b"x" * (1024 * 1024 + 1), **json_type), 413),
            (self.call("POST", create, b"a=b", Content_Type="text/plain"), 415),
            (self.call("POST", create, {"ticket_name": ""}), 422),
            (self.call("GET", "/tickets?page_size=0"), 422),
            (self.call("GET", "/questions?state=x"), 422),
            (self.call("GET", "/events?after=7"), 422),
            (self.show("tickets", new_id()), 404), (self.show("jobs", "x"), 404),
            (self.show("sessions", new_id()), 404), (self.show("questions", new_id()), 404),
            (self.show("sessions", ended["session_id"], "?after=x"), 422),
            (self.show("sessions", ended["session_id"], f"?desk={new_id()}&after=1"), 422),
            (self.command(new_id(), "cancel"), 404), (self.command(new_id(), "retry"), 404),
            (self.command(ended["ticket_id"], "retry"), 409),
            (self.command(ended["ticket_id"], "cancel", b"{"), 400),
            (self.respond(ended["session_id"], {"response": "x"}), 422),
            (self.message(ended["session_id"], {"content": "x"}), 409),
            (self.message(new_id(), {"content": "x"}), 404),
            (self.message(ended["session_id"], {}), 422),
            (self.call("POST", "/webhook/notion", {"page_id": "x"}), 422),
        ]
        for answer, status in cases:
            self.assertEqual(answer.status, status, answer.text)


if __name__ == "__main__":
    unittest.main()
