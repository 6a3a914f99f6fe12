"""Bad input on every field of every call, found by walking the descriptors, and garbage on both ports
(P10). A field without a case fails the test, so a new one cannot be forgotten."""

import json
import os
import socket
import unittest
from typing import Any

import grpc
import http_client
from agentdesk_test import DeskTestCase, address_of, wait_until
from desk_client import (CALL_TIMEOUT, agent_pb2, event_pb2, new_id, refusal_of, seconds,
                         session_pb2, ticket_pb2)
from google.protobuf.descriptor import FieldDescriptor
from ws_client import BareSocket

HUGE = "x" * 70000
# An error is a few sentences, whatever was sent: trailers of more than 8 KiB do not arrive.
MAX_TEXT = 1024
# What a bad value may be answered with besides INVALID_ARGUMENT: an id in no good form names nothing,
# a token that is no live lease is a lost one, a position is judged against the log.
UNKNOWN = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
ALSO = {
    "lease_token": {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION},
    "desk_id": {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE},
    "job_id": UNKNOWN, "ticket_id": UNKNOWN, "session_id": UNKNOWN, "question_id": UNKNOWN,
}


def wire(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def bad_values(field: FieldDescriptor) -> list[tuple[str, Any]]:
    """(what is wrong, the value) for a field of this type, by its name where that says more."""
    if field.message_type and field.message_type.GetOptions().map_entry:
        return [("too many", {f"k{i}": "v" for i in range(21)}), ("long key", {"k" * 64: "v"}),
                ("empty key", {"": "v"}), ("long value", {"k": "v" * 256})]
    if field.label == FieldDescriptor.LABEL_REPEATED and field.type == FieldDescriptor.TYPE_STRING:
        return [("too many", ["x"] * 101), ("too long", [HUGE])]
    if field.label == FieldDescriptor.LABEL_REPEATED and field.type == FieldDescriptor.TYPE_ENUM:
        return [("too many", [1] * 101), ("unknown", [99])]
    if field.type == FieldDescriptor.TYPE_STRING:
        values = [("too long", HUGE)]
        if field.name.endswith("_json"):
            values += [("no JSON", "{"), ("too deep", "[" * 100 + "]" * 100)]
        if field.name.endswith("_id"):
            values += [("no id", "no such id\n")]
        return values
    if field.type == FieldDescriptor.TYPE_INT64:
        return [("negative", -1)]
    if field.type == FieldDescriptor.TYPE_INT32:
        return [("negative", -1), ("too large", 2**31 - 1)]
    if field.type == FieldDescriptor.TYPE_ENUM:
        return [("unknown", 99)]
    if field.message_type and field.message_type.full_name == "google.protobuf.Timestamp":
        return [("no time", {"nanos": -1}), ("beyond time", {"seconds": 2**60})]
    if field.message_type and field.message_type.full_name == "google.protobuf.Duration":
        return [("negative", {"seconds": -1}), ("beyond time", {"seconds": 2**60}),
                ("mixed signs", {"seconds": 5, "nanos": -1})]
    return []


def set_value(message: Any, field: FieldDescriptor, value: Any) -> None:
    if field.message_type and field.message_type.GetOptions().map_entry:
        getattr(message, field.name).clear()
        getattr(message, field.name).update(value)
    elif field.label == FieldDescriptor.LABEL_REPEATED:
        del getattr(message, field.name)[:]
        getattr(message, field.name).extend(value)
    elif field.message_type:
        part = getattr(message, field.name)
        part.Clear()
        for name, number in value.items():
            setattr(part, name, number)
    else:
        setattr(message, field.name, value)


class BadInputTest(DeskTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.lease = cls.desk.start("Held", lease_s=600)
        cls.question = cls.desk.ask(cls.lease)
        choices = [session_pb2.Choice(value="a"), session_pb2.Choice(value="b")]
        cls.multiple = cls.desk.ask(cls.lease, choices=choices, multiple=True)

    def good_requests(self) -> list[Any]:
        """A request of each kind that is good as it stands, apart from what a test makes wrong."""
        held = self.lease.args
        session = {"session_id": self.lease.session_id}
        desk_id = self.desk.head().desk_id
        choices = [session_pb2.Choice(value="a")]
        message = agent_pb2.Activity(message=event_pb2.AgentMessage(content="c"))
        tool = agent_pb2.Activity(tool_call=event_pb2.ToolCall(tool_name="t"))
        ask = {"content": "?", "key": "bad-input", **held}
        return [
            ticket_pb2.CreateTicketRequest(ticket_name="n"),
            ticket_pb2.GetTicketRequest(ticket_id=self.lease.ticket_id),
            ticket_pb2.ListTicketsRequest(),
            ticket_pb2.CancelTicketRequest(ticket_id=self.lease.ticket_id),
            ticket_pb2.RetryTicketRequest(ticket_id=self.lease.ticket_id),
            ticket_pb2.GetJobRequest(job_id=self.lease.job_id),
            ticket_pb2.ListJobsRequest(),
            agent_pb2.ClaimJobRequest(queues=["bad-input"], worker="w"),
            agent_pb2.RenewLeaseRequest(**held),
            agent_pb2.ReportActivityRequest(activities=[message], **held),
            agent_pb2.ReportActivityRequest(activities=[tool], **held),
            agent_pb2.AskQuestionRequest(**ask),
            agent_pb2.AskQuestionRequest(choices=choices, **ask),
            agent_pb2.AskQuestionRequest(choices=choices, multiple=True, **ask),
            agent_pb2.WithdrawQuestionRequest(question_id=self.question.question_id, **held),
            agent_pb2.WithdrawQuestionRequest(key=self.question.key, **held),
            agent_pb2.ReceiveInputRequest(**held),
            agent_pb2.ReleaseJobRequest(**held),
            agent_pb2.CompleteJobRequest(**held),
            agent_pb2.FailJobRequest(error="e", **held),
            session_pb2.GetSessionRequest(**session),
            session_pb2.ListSessionsRequest(),
            session_pb2.ListQuestionsRequest(),
            session_pb2.GetQuestionRequest(question_id=self.question.question_id),
            session_pb2.SubmitResponseRequest(
                response="r", question_id=self.question.question_id, **session),
            session_pb2.SubmitResponseRequest(
                responses=["a"], question_id=self.multiple.question_id, **session),
            session_pb2.SubmitResponseRequest(response="r", as_of_sequence=1, **session),
            session_pb2.SendMessageRequest(content="c", **session),
            event_pb2.SubscribeRequest(after_sequence=1, desk_id=desk_id),
            event_pb2.SubscribeRequest(desk_id=desk_id, filter=event_pb2.EventFilter(types=[1])),
            event_pb2.ListEventsRequest(after_sequence=1, desk_id=desk_id),
            event_pb2.ListEventsRequest(filter=event_pb2.EventFilter(types=[1])),
            event_pb2.GetDeskRequest(),
        ]

    def raw_call(self, request_type: str, body: bytes, patience: float = CALL_TIMEOUT) -> Any:
        """Sends bytes as the request; returns the refusal, or None where it was taken."""
        for module, service in ((ticket_pb2, "TicketService"), (agent_pb2, "AgentService"),
                                (session_pb2, "SessionService"), (event_pb2, "EventService")):
            for method in module.DESCRIPTOR.services_by_name[service].methods:
                if method.input_type.name == request_type:
                    return self.send(f"/{method.containing_service.full_name}/{method.name}", body,
                                     method.name in ("Subscribe", "ReceiveInput"), patience)
        raise AssertionError(f"no call takes {request_type}")

    def send(self, path: str, body: bytes, streams: bool, patience: float) -> Any:
        make = self.desk.channel.unary_stream if streams else self.desk.channel.unary_unary
        call = make(path, request_serializer=None, response_deserializer=None)
        try:
            if streams:
                stream = call(body, timeout=patience)
                next(iter(stream))
                stream.cancel()
            else:
                call(body, timeout=patience)
        except grpc.RpcError as error:
            return refusal_of(error)
        return None

    def walk(self, request: Any, message: Any, path: str, found: list) -> None:
        """Every field of a request, however deep: (the request with one bad value, path, what)."""
        for field in message.DESCRIPTOR.fields:
            where = f"{path}{field.name}"
            nested = field.message_type and not field.message_type.GetOptions().map_entry \
                and not field.message_type.full_name.startswith("google.protobuf.")
            if nested and field.label == FieldDescriptor.LABEL_REPEATED:
                if len(getattr(message, field.name)) > 0:
                    self.walk(request, getattr(message, field.name)[0], f"{where}.", found)
                    self.too_many(request, message, field, where, found)
                continue
            if nested:
                chosen = field.containing_oneof
                if chosen is None or message.WhichOneof(chosen.name) == field.name:
                    self.walk(request, getattr(message, field.name), f"{where}.", found)
                continue
            if field.type == FieldDescriptor.TYPE_BOOL:
                continue
            values = bad_values(field)
            self.assertTrue(values, f"no bad value is known for {where}")
            for what, value in values:
                before = type(message)()
                before.CopyFrom(message)
                set_value(message, field, value)
                changed = type(request)()
                changed.CopyFrom(request)
                found.append((changed, where, what))
                message.CopyFrom(before)

    def too_many(self, request: Any, message: Any, field: FieldDescriptor, where: str,
                 found: list) -> None:
        part = getattr(message, field.name)
        before = type(message)()
        before.CopyFrom(message)
        part.extend([part[0]] * 101)
        changed = type(request)()
        changed.CopyFrom(request)
        found.append((changed, where, "too many"))
        message.CopyFrom(before)

    def test_every_field_of_every_call(self) -> None:
        calls = {method.input_type.name
                 for module in (ticket_pb2, agent_pb2, session_pb2, event_pb2)
                 for service in module.DESCRIPTOR.services_by_name.values()
                 for method in service.methods}
        cases: list[tuple[Any, str, str]] = []
        for request in self.good_requests():
            calls.discard(type(request).__name__)
            self.walk(request, request, "", cases)
        self.assertEqual(calls, set(), "calls without a good request to start from")
        self.assertGreater(len(cases), 150)
        head = self.desk.head().head_sequence
        complaints = []
        for request, where, what in cases:
            problem = self.judge(request, where)
            if problem:
                complaints.append(f"{type(request).__name__}.{where} ({what}): {problem}")
        after = self.desk.head().head_sequence
        self.assertEqual(complaints, [], f"of {len(cases)} cases {len(complaints)} are wrong:\n"
                         + "\n".join(complaints))
        self.assertEqual(after, head, "a refused call changes nothing")

    def judge(self, request: Any, where: str) -> str:
        """What is wrong with how a bad request is answered; empty: nothing."""
        name = where.rpartition(".")[2]
        if isinstance(request, session_pb2.SubmitResponseRequest) and name != "request_id":
            return self.judge_response(request, where)
        refusal = self.raw_call(type(request).__name__, request.SerializeToString())
        if refusal is None:
            return "was taken"
        allowed = {grpc.StatusCode.INVALID_ARGUMENT} | ALSO.get(name, set())
        if len(refusal.text) > MAX_TEXT:
            return f"an error of {len(refusal.text)} characters"
        if refusal.code not in allowed:
            return f"{refusal.code.name} {refusal.text[:200]}"
        if refusal.code != grpc.StatusCode.INVALID_ARGUMENT:
            return ""
        if name not in refusal.text:
            return f"the text does not name the field: {refusal.text[:200]}"
        if not any(name in field for field in refusal.fields):
            return f"the details name {refusal.fields}"
        return ""

    def judge_response(self, request: Any, where: str) -> str:
        """A response that can be judged is OK with an outcome; none of these may be received."""
        try:
            result = self.desk.call(self.desk.sessions.SubmitResponse, request)
        except grpc.RpcError as error:
            refusal = refusal_of(error)
            good = refusal.code == grpc.StatusCode.INVALID_ARGUMENT and \
                any(where in field for field in refusal.fields)
            return "" if good else f"{refusal.code.name} {refusal.text[:200]} {refusal.fields}"
        bad = (session_pb2.RESPONSE_OUTCOME_RECEIVED, session_pb2.RESPONSE_OUTCOME_UNSPECIFIED)
        return "was received" if result.outcome in bad else ""

    def test_wrong_utf8_in_every_text_field(self) -> None:
        complaints = []
        tried = 0
        for request in self.good_requests():
            for field in request.DESCRIPTOR.fields:
                if field.type != FieldDescriptor.TYPE_STRING:
                    continue
                tried += 1
                body = request.SerializeToString() + wire(field.number, b"a\xff\xfe")
                refusal = self.raw_call(type(request).__name__, body)
                if refusal is None or refusal.code != grpc.StatusCode.INVALID_ARGUMENT:
                    complaints.append(f"{type(request).__name__}.{field.name}: {refusal}")
        self.assertGreater(tried, 40)
        self.assertEqual(complaints, [], "\n".join(complaints))

    def test_bytes_that_are_no_message(self) -> None:
        for request in self.good_requests():
            with self.subTest(type(request).__name__):
                refusal = self.raw_call(type(request).__name__, b"\x0a\xff\xff\xff\xff\x0f\x01")
                self.assertIsNotNone(refusal)
                self.assertEqual(refusal.code, grpc.StatusCode.INVALID_ARGUMENT, refusal)

    def test_required_fields(self) -> None:
        cases = [
            (self.desk.tickets.CreateTicket, ticket_pb2.CreateTicketRequest(), "ticket_name"),
            (self.desk.agents.ClaimJob, agent_pb2.ClaimJobRequest(), "worker"),
            (self.desk.agents.AskQuestion, agent_pb2.AskQuestionRequest(**self.lease.args),
             "content"),
            (self.desk.agents.FailJob, agent_pb2.FailJobRequest(**self.lease.args), "error"),
            (self.desk.sessions.SendMessage,
             session_pb2.SendMessageRequest(session_id=self.lease.session_id), "content"),
            (self.desk.sessions.SubmitResponse, session_pb2.SubmitResponseRequest(
                session_id=self.lease.session_id, response="r"), "question_id"),
        ]
        for method, request, field in cases:
            with self.subTest(type(request).__name__):
                refusal = self.desk.refused(method, request)
                self.assertEqual(refusal.code, grpc.StatusCode.INVALID_ARGUMENT)
                self.assertIn(field, refusal.text)
                self.assertIn(field, refusal.fields)

    def test_rules_between_fields(self) -> None:
        ask = {"content": "?", "key": "rules", **self.lease.args}
        two = [session_pb2.Choice(value="a"), session_pb2.Choice(value="a")]
        cases = [
            agent_pb2.AskQuestionRequest(choices=two, **ask),
            agent_pb2.AskQuestionRequest(multiple=True, **ask),
            agent_pb2.AskQuestionRequest(choices=two[:1], default_response="b", **ask),
            agent_pb2.AskQuestionRequest(kind="new", **ask),
            agent_pb2.AskQuestionRequest(choices=[session_pb2.Choice(value="")], **ask),
            agent_pb2.AskQuestionRequest(free_text=False, **ask),
            agent_pb2.AskQuestionRequest(expires_in=seconds(0.5), **ask),
            agent_pb2.AskQuestionRequest(content="?" * 30000, details_json='"' + "d" * 32000 + '"',
                                         choices=[session_pb2.Choice(value="é" * 490 + str(i))
                                                  for i in range(20)],
                                         **self.lease.args, key="large"),
        ]
        for request in cases:
            with self.subTest(request=str(request)[:80]):
                refusal = self.desk.refused(self.desk.agents.AskQuestion, request)
                self.assertEqual(refusal.code, grpc.StatusCode.INVALID_ARGUMENT)
                self.assertTrue(refusal.fields)

    def test_too_many_open_questions(self) -> None:
        lease = self.desk.start()
        for number in range(100):
            self.desk.ask(lease, key=str(number))
        refusal = self.desk.refused(self.desk.agents.AskQuestion, agent_pb2.AskQuestionRequest(
            content="?", key="one more", **lease.args))
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.RESOURCE_EXHAUSTED, "too_many_open_questions"))
        self.assertEqual(refusal.retry_after_s, 30)

    def test_garbage_on_both_ports(self) -> None:
        garbage = [b"\x00" * 1000, os.urandom(4096), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 70000,
                   b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(4096),
                   b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                   b"POST /tickets/create HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                   b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
                   b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + os.urandom(500)]
        for address in (self.core.address, self.gateway.address):
            for data in garbage * 3:
                with socket.create_connection(address_of(address), 10) as connection:
                    try:
                        connection.sendall(data)
                        connection.settimeout(0.05)
                        connection.recv(4096)
                    except OSError:
                        pass
        self.assertTrue(self.core.running and self.gateway.running)
        self.desk.create("After the garbage")
        self.assertEqual(http_client.call(self.gateway.address, "GET", "/health").status, 200)
        wait_until(lambda: self.gateway.descriptors_in_use() < 40, "closed connections")

    def test_headers_that_cannot_go_on_to_the_core(self) -> None:
        ticket = self.desk.create("Told although its reader's headers are odd")
        valid = b"cc-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01-"
        for value in (b"a\tb", b"\xff\xfe", "ü".encode(), b"x" * 1000, valid + b"\t\xff", valid):
            headers = {name: value for name in
                       ("traceparent", "tracestate", "User-Agent", "Idempotency-Key", "Cookie",
                        "Authorization", "X-Forwarded-For", "X-Request-Id")}
            with self.subTest(value=value[:60]):
                browser = BareSocket(self.gateway.address, protocol="agentdesk.v1", headers=headers)
                browser.send_text('{"type":"subscribe","from":"snapshot"}')
                tickets = browser.read_type("snapshot")["tickets"]
                self.assertIn(ticket.ticket_id, [each["ticket_id"] for each in tickets])
                browser.send_text('{"type":"create_ticket","ticket_name":"Over a socket"}')
                self.assertEqual(browser.read_type("ack")["status"], "queued")
                browser.close()
                named = {name: value.decode("latin-1") for name, value in headers.items()}
                made = http_client.call(self.gateway.address, "POST", "/tickets/create",
                                        {"ticket_name": "Over HTTP"}, **named)
                self.assertIn(made.status, (200, 422))
        self.assertTrue(self.gateway.running)
        for line in self.gateway.tail(1000).splitlines():
            json.loads(line)  # the libraries' lines, too

    def test_unknown_method_and_service(self) -> None:
        for path in ("/agentdesk.v1.TicketService/Nonsense", "/nonsense.Service/Nonsense"):
            refusal = self.send(path, b"", False, CALL_TIMEOUT)
            self.assertEqual(refusal.code, grpc.StatusCode.UNIMPLEMENTED)

    def test_an_oversize_request_is_refused(self) -> None:
        refusal = self.desk.refused(self.desk.tickets.CreateTicket, ticket_pb2.CreateTicketRequest(
            ticket_name=new_id(), description="x" * (9 * 1024 * 1024)))
        self.assertIn(refusal.code, (grpc.StatusCode.RESOURCE_EXHAUSTED,
                                     grpc.StatusCode.INVALID_ARGUMENT))


if __name__ == "__main__":
    unittest.main()
