"""Every call of every service, with every token that is wrong in one way, another tenant's, and the right one.

The calls are those that the running core's reflection lists, so that a new one either has a row in CALLS or
fails here. A call that must be refused is otherwise a good one, which would have done something.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import pathlib
import tempfile
import time
import unittest
from collections.abc import Callable
from typing import Any

import grpc
from agentdesk_test import System
from desk_client import (DeskClient, agent_pb2, event_pb2, refusal_of, session_pb2, ticket_pb2)
from agentdesk.v1 import admin_pb2
import reflection_v1_pb2
import reflection_v1_pb2_grpc
from google.protobuf import descriptor_pb2
from guarded_desk import World, live
from tokens import (AUDIENCE, PEOPLE, SCOPES, As, Issuer, auth_config, b64, bearer, make_key, part_in,
                    two_issuers)

OK, NOT_FOUND, DENIED, UNAUTHENTICATED = 0, 5, 7, 16
# These say nothing of a desk and are open to whoever may connect.
OPEN = {"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection"}


@dataclasses.dataclass
class Row:
    scope: str
    request: Callable[[World], Any]  # a good one
    stranger: int = OK               # what one of another tenant gets, where nothing of this world may show
    theirs: Callable[[World], Any] | None = None  # what the stranger asks for, where it differs


CALLS = {
    "TicketService/CreateTicket": Row(
        "tickets:write", lambda w: ticket_pb2.CreateTicketRequest(ticket_name="New"), OK,
        lambda w: ticket_pb2.CreateTicketRequest(ticket_name="New", ticket_id=w.ticket)),
    "TicketService/GetTicket": Row(
        "tickets:read", lambda w: ticket_pb2.GetTicketRequest(ticket_id=w.ticket), NOT_FOUND),
    "TicketService/ListTickets": Row("tickets:read", lambda w: ticket_pb2.ListTicketsRequest()),
    "TicketService/CancelTicket": Row(
        "tickets:write", lambda w: ticket_pb2.CancelTicketRequest(ticket_id=w.ticket), NOT_FOUND),
    "TicketService/RetryTicket": Row(
        "tickets:write", lambda w: ticket_pb2.RetryTicketRequest(ticket_id=w.cancelled), NOT_FOUND),
    "TicketService/GetJob": Row(
        "tickets:read", lambda w: ticket_pb2.GetJobRequest(job_id=w.job), NOT_FOUND),
    "TicketService/ListJobs": Row("tickets:read", lambda w: ticket_pb2.ListJobsRequest()),
    "SessionService/GetSession": Row(
        "sessions:read", lambda w: session_pb2.GetSessionRequest(session_id=w.session), NOT_FOUND),
    "SessionService/ListSessions": Row("sessions:read", lambda w: session_pb2.ListSessionsRequest()),
    "SessionService/GetQuestion": Row(
        "sessions:read", lambda w: session_pb2.GetQuestionRequest(question_id=w.question), NOT_FOUND),
    "SessionService/ListQuestions": Row(
        "sessions:read", lambda w: session_pb2.ListQuestionsRequest(session_id=w.session)),
    "SessionService/SubmitResponse": Row(  # judged `unknown_session`
        "answers:write", lambda w: session_pb2.SubmitResponseRequest(
            session_id=w.session, question_id=w.question, response="yes")),
    "SessionService/SendMessage": Row(
        "answers:write", lambda w: session_pb2.SendMessageRequest(session_id=w.session, content="c"),
        NOT_FOUND),
    "AgentService/ClaimJob": Row(  # gets no job
        "agents:work", lambda w: agent_pb2.ClaimJobRequest(queues=[w.queue], worker="w")),
    "AgentService/RenewLease": Row(
        "agents:work", lambda w: agent_pb2.RenewLeaseRequest(**w.lease), NOT_FOUND),
    "AgentService/ReportActivity": Row(
        "agents:work", lambda w: agent_pb2.ReportActivityRequest(activities=[
            agent_pb2.Activity(message=event_pb2.AgentMessage(content="c"))], **w.lease), NOT_FOUND),
    "AgentService/AskQuestion": Row(
        "agents:work", lambda w: agent_pb2.AskQuestionRequest(key="new", content="?", **w.lease),
        NOT_FOUND),
    "AgentService/WithdrawQuestion": Row(
        "agents:work", lambda w: agent_pb2.WithdrawQuestionRequest(key="k", **w.lease), NOT_FOUND),
    "AgentService/ReceiveInput": Row(
        "agents:work", lambda w: agent_pb2.ReceiveInputRequest(**w.lease), NOT_FOUND),
    "AgentService/ReleaseJob": Row(
        "agents:work", lambda w: agent_pb2.ReleaseJobRequest(**w.lease), NOT_FOUND),
    "AgentService/CompleteJob": Row(
        "agents:work", lambda w: agent_pb2.CompleteJobRequest(**w.lease), NOT_FOUND),
    "AgentService/FailJob": Row(
        "agents:work", lambda w: agent_pb2.FailJobRequest(error="e", **w.lease), NOT_FOUND),
    "EventService/Subscribe": Row(
        "events:read", lambda w: event_pb2.SubscribeRequest(after_sequence=0)),
    "EventService/ListEvents": Row(
        "events:read", lambda w: event_pb2.ListEventsRequest(page_size=1000)),
    "EventService/GetDesk": Row("events:read", lambda w: event_pb2.GetDeskRequest()),
    "AdminService/Backup": Row("admin", lambda w: admin_pb2.BackupRequest(), DENIED),
    "AdminService/Compact": Row(
        "admin", lambda w: admin_pb2.CompactRequest(keep_events=1000000), DENIED),
}


@dataclasses.dataclass
class Outcome:
    code: int
    reason: str  # of a refusal
    said: str    # all that came back, as text


class EveryCallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-calls-")
        cls.addClassCleanup(scratch.cleanup)
        folder = pathlib.Path(scratch.name)
        cls.issuer = Issuer()
        (folder / "keys.json").write_text(cls.issuer.key_set())
        cls.public = make_key(folder, "ES256")[1]
        config = auth_config(folder, two_issuers(cls.public), gateways=[], clock_skew_s=0)
        system = System([f"--auth_config={config}", "--log_level=debug"], gateway=False)
        cls.addClassCleanup(system.close)
        cls.core = system.core
        cls.shown: set[str] = set()
        cls.desk = DeskClient(system.core.address)
        cls.addClassCleanup(cls.desk.close)
        cls.owner = As(cls.desk, bearer(cls.issuer.token("owner")))
        cls.methods = cls.reflect()

    @classmethod
    def tearDownClass(cls) -> None:
        """The log of this whole run, at the level of debugging, holds no part of any token."""
        log = cls.core.tail(len(cls.core.log))
        if len(cls.shown) < 100 or log.count("CreateTicket") < 100:
            raise AssertionError("nothing was looked at")
        if len(cls.core.log) == cls.core.log.maxlen:
            raise AssertionError("what the log began with is gone")
        if part := part_in(log, (shown.split(" ")[-1] for shown in cls.shown)):
            raise AssertionError(f"the log holds a token: {part[:16]}")

    @classmethod
    def asked(cls, **question: Any) -> Any:
        request = reflection_v1_pb2.ServerReflectionRequest(**question)
        stub = reflection_v1_pb2_grpc.ServerReflectionStub(cls.desk.channel)
        return next(iter(stub.ServerReflectionInfo(iter([request]), timeout=30)))

    @classmethod
    def reflect(cls) -> dict[str, Any]:
        """Every method of what the core serves, but of what is open, as its descriptor."""
        listed = cls.asked(list_services="").list_services_response.service
        names = {service.name for service in listed}
        assert names >= OPEN, names
        found = {}
        for name in names - OPEN:
            files = cls.asked(file_containing_symbol=name).file_descriptor_response.file_descriptor_proto
            for file in map(descriptor_pb2.FileDescriptorProto.FromString, files):
                for service in file.service:
                    if f"{file.package}.{service.name}" == name:
                        found.update({f"{name}/{method.name}": method for method in service.method})
        return found

    def call(self, path: str, request: Any, metadata: Any) -> Outcome:
        """One call; of a stream its first message."""
        path, method = f"/{path}", self.methods[path]
        self.shown.update(value for _, value in metadata)
        try:
            if method.server_streaming:
                stream = self.desk.channel.unary_stream(path)(
                    request.SerializeToString(), timeout=60, metadata=metadata)
                answer = next(iter(stream))
                stream.cancel()
            else:
                answer = self.desk.channel.unary_unary(path)(
                    request.SerializeToString(), timeout=60, metadata=metadata)
        except grpc.RpcError as error:
            refusal = refusal_of(error)
            return Outcome(refusal.code.value[0], refusal.reason, f"{refusal.text} {refusal.metadata}")
        return Outcome(OK, "", answer.decode("utf-8", errors="replace"))

    def head(self) -> int:
        return self.owner.events.GetDesk(event_pb2.GetDeskRequest()).head_sequence

    def wrong_tokens(self, scope: str) -> list[tuple[str, Any, int, str]]:
        """Each wrong in one way alone: its name, metadata, and what it must get."""
        issuer, now = self.issuer, int(time.time())
        good = issuer.claims("owner")
        people = {**good, "iss": PEOPLE}
        public = self.public.read_bytes()
        header = {"alg": "HS256", "kid": issuer.kid}

        def pem(line_end: bytes) -> bytes:
            """The public key's text as it usually stands in a file: the classic secret of this attack."""
            key = json.loads(public)["keys"][0]
            point = b"\x04" + b"".join(
                base64.urlsafe_b64decode(key[axis] + "=") for axis in "xy")
            der = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + point
            text = base64.b64encode(der)
            lines = [text[at:at + 64] for at in range(0, len(text), 64)]
            return line_end.join([b"-----BEGIN PUBLIC KEY-----", *lines, b"-----END PUBLIC KEY-----", b""])

        invalid = {
            "garbage": "x", "empty": "", "cut": issuer.token()[:-2],
            "none": f"{b64(json.dumps({'alg': 'none'}))}.{b64(json.dumps(good))}.",
            "none, with a signature": issuer.sign({"alg": "none", "kid": issuer.kid}, good),
            "wrong issuer": issuer.token("owner", iss="https://other.example"),
            "no issuer": issuer.token("owner", iss=None),
            "wrong audience": issuer.token("owner", aud="other"),
            "no audience": issuer.token("owner", aud=None),
            "wrong algorithm": issuer.sign({"alg": "ES256", "kid": issuer.kid}, good),
            "an algorithm of this issuer's that is not configured": issuer.sign(
                {"alg": "HS512", "kid": issuer.kid}, good),
            "HS256 signed with the public key": issuer.sign({"alg": "HS256"}, people, public),
            "HS256 signed with the public key's text": issuer.sign(
                {"alg": "HS256"}, people, public.strip()),
            "HS256 signed with the public key in PEM": issuer.sign({"alg": "HS256"}, people, pem(b"\n")),
            "HS256 signed with the public key in DOS's PEM": issuer.sign(
                {"alg": "HS256"}, people, pem(b"\r\n")),
            "HS256 for an issuer of public keys, under its header": issuer.sign(
                {"alg": "ES256"}, people, public),
            "unknown kid": issuer.sign({"alg": "HS256", "kid": "other"}, good),
            "another's secret": Issuer().token("owner"),
            "one issuer's key for another": issuer.sign(header, people),
            "no expiry": issuer.token("owner", exp=None),
        }
        others = " ".join(other for other in SCOPES if other != scope)
        return [
            ("no token", [], UNAUTHENTICATED, "token_missing"),
            ("another scheme", [("authorization", f"Basic {issuer.token()}")], UNAUTHENTICATED,
             "token_missing"),
            ("two tokens", bearer(issuer.token()) * 2, UNAUTHENTICATED, "token_missing"),
            ("expired", bearer(issuer.token("owner", exp=now - 1)), UNAUTHENTICATED, "token_expired"),
            ("not yet valid", bearer(issuer.token("owner", nbf=now + 3000)), UNAUTHENTICATED,
             "token_not_yet_valid"),
            *((name, bearer(token), UNAUTHENTICATED, "token_invalid") for name, token in invalid.items()),
            *((f"scope {wrong}", bearer(issuer.token("owner", scope=wrong)), DENIED, "missing_scope")
              for wrong in (others, None, "", scope.upper(), scope[:-1], f"x{scope}", f"{scope},x")),
        ]

    def test_every_call_that_the_core_serves_is_in_the_table(self) -> None:
        self.assertEqual(set(self.methods), {f"agentdesk.v1.{name}" for name in CALLS})

    def test_every_wrong_token_is_refused_and_changes_nothing(self) -> None:
        world = live(self.owner)
        before = self.head()
        for name, row in CALLS.items():
            for case, metadata, code, reason in self.wrong_tokens(row.scope):
                with self.subTest(call=name, case=case):
                    got = self.call(f"agentdesk.v1.{name}", row.request(world), metadata)
                    self.assertEqual((got.code, got.reason), (code, reason), got.said)
                    self.assertNotIn(world.secret, got.said)
                    if reason == "missing_scope":
                        self.assertIn(row.scope, got.said)
        self.assertEqual(self.head(), before)

    def test_another_tenant_finds_nothing(self) -> None:
        for name, row in CALLS.items():
            with self.subTest(call=name):
                world = live(self.owner)
                desk = self.owner.events.GetDesk(event_pb2.GetDeskRequest())
                request = (row.theirs or row.request)(world)
                stranger = bearer(self.issuer.token("owner", tenant="zenith", scope=row.scope))
                got = self.call(f"agentdesk.v1.{name}", request, stranger)
                self.assertEqual(got.code, row.stranger, got.said)
                self.assertNotIn(world.secret, got.said)
                self.assertEqual(got.reason,
                                 {OK: "", NOT_FOUND: "not_found", DENIED: "tenant_bound"}[row.stranger])
                since = event_pb2.ListEventsRequest(after_sequence=desk.head_sequence, desk_id=desk.desk_id)
                self.assertEqual(list(self.owner.events.ListEvents(since).events), [])

    def test_the_right_token_does_it(self) -> None:
        for name, row in CALLS.items():
            with self.subTest(call=name):
                right = bearer(self.issuer.token("owner", scope=row.scope))
                got = self.call(f"agentdesk.v1.{name}", row.request(live(self.owner)), right)
                self.assertEqual((got.code, got.reason), (OK, ""), got.said)


if __name__ == "__main__":
    unittest.main()
