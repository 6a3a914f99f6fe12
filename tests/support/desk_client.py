"""The core as a Python program sees it: generated stubs, and refusals with their details."""

from __future__ import annotations

import dataclasses
import json
import threading
import uuid
from typing import Any

import agentdesk_test  # first: it makes the generated stubs importable
import grpc
from agentdesk.v1 import (admin_pb2, admin_pb2_grpc, agent_pb2, agent_pb2_grpc, event_pb2,
                          event_pb2_grpc, session_pb2, session_pb2_grpc, ticket_pb2,
                          ticket_pb2_grpc)
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2

CALL_TIMEOUT = 30.0

# The least wait between attempts is left alone: it bounds the attempt itself, and a core on a busy
# machine takes its time to say hello.
OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.max_receive_message_length", -1),
    # One connection for each client, not one for the whole process.
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclasses.dataclass
class Refusal:
    """An error of the core with what its details say."""
    code: grpc.StatusCode
    text: str
    reason: str = ""
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    fields: list[str] = dataclasses.field(default_factory=list)
    retry_after_s: float | None = None


def refusal_of(error: grpc.RpcError) -> Refusal:
    refusal = Refusal(error.code(), error.details() or "")
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            read_detail(refusal, detail)
    return refusal


def read_detail(refusal: Refusal, detail: Any) -> None:
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    if detail.Unpack(info):
        refusal.reason = info.reason
        refusal.metadata = dict(info.metadata)
    elif detail.Unpack(bad_request):
        refusal.fields = [violation.field for violation in bad_request.field_violations]
    elif detail.Unpack(retry):
        refusal.retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()


def seconds(value: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(int(value * 1e9))
    return duration


def new_id() -> str:
    return str(uuid.uuid4())


@dataclasses.dataclass
class Lease:
    """A claimed job: what every later call of its worker needs."""
    job_id: str
    session_id: str
    ticket_id: str
    token: int
    claim: agent_pb2.ClaimJobResponse

    @property
    def args(self) -> dict[str, Any]:
        return {"job_id": self.job_id, "lease_token": self.token}


class DeskClient:
    """A channel of its own with all services, and the calls that tests make most."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None,
                 tls_sessions: Any = None) -> None:
        options = OPTIONS
        if tls_sessions is not None:
            options = [*options, ("grpc.ssl_session_cache", tls_sessions)]
        self.channel = (grpc.insecure_channel(address, OPTIONS) if credentials is None
                        else grpc.secure_channel(address, credentials, options))
        self.tickets = ticket_pb2_grpc.TicketServiceStub(self.channel)
        self.agents = agent_pb2_grpc.AgentServiceStub(self.channel)
        self.sessions = session_pb2_grpc.SessionServiceStub(self.channel)
        self.events = event_pb2_grpc.EventServiceStub(self.channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def wait_connected(self) -> None:
        """Waits until calls reach the core, after a connection may have broken."""
        def answers() -> bool:
            try:
                self.head()
            except grpc.RpcError:
                return False
            return True
        agentdesk_test.wait_until(answers, "a core that answers")

    def call(self, method: Any, request: Any) -> Any:
        """One call that waits for a core that is starting."""
        return method(request, timeout=CALL_TIMEOUT, wait_for_ready=True)

    def refused(self, method: Any, request: Any) -> Refusal:
        """The refusal of a call that must be refused."""
        try:
            answer = self.call(method, request)
        except grpc.RpcError as error:
            return refusal_of(error)
        raise AssertionError(f"{type(request).__name__} was taken: {request}{answer}")

    def create(self, name: str = "A ticket", **fields: Any) -> ticket_pb2.CreateTicketResponse:
        return self.call(self.tickets.CreateTicket,
                         ticket_pb2.CreateTicketRequest(ticket_name=name, **fields))

    def claim(self, queue: str = "default", wait_s: float = 10, lease_s: float = 60,
              worker: str = "test-worker", **fields: Any) -> Lease:
        claim = self.call(self.agents.ClaimJob, agent_pb2.ClaimJobRequest(
            queues=[queue], worker=worker, wait=seconds(wait_s), lease_duration=seconds(lease_s),
            **fields))
        assert claim.HasField("job"), f"no job in queue {queue} within {wait_s} s"
        return Lease(claim.job.job_id, claim.session.session_id, claim.ticket.ticket_id,
                     claim.lease_token, claim)

    def start(self, name: str = "A ticket", lease_s: float = 60, **fields: Any) -> Lease:
        """A ticket in a queue of its own, claimed."""
        queue = fields.pop("queue", "") or f"q-{uuid.uuid4().hex[:12]}"
        self.create(name, queue=queue, **fields)
        return self.claim(queue, lease_s=lease_s)

    def ask(self, lease: Lease, content: str = "Which one?", **fields: Any) -> session_pb2.Question:
        fields.setdefault("key", uuid.uuid4().hex)
        return self.call(self.agents.AskQuestion, agent_pb2.AskQuestionRequest(
            content=content, **lease.args, **fields)).question

    def say(self, lease: Lease, content: str, **fields: Any) -> agent_pb2.ReportActivityResponse:
        activity = agent_pb2.Activity(message=event_pb2.AgentMessage(content=content, **fields))
        return self.call(self.agents.ReportActivity, agent_pb2.ReportActivityRequest(
            activities=[activity], **lease.args))

    def answer(self, session_id: str, response: str,
               **fields: Any) -> session_pb2.SubmitResponseResponse:
        return self.call(self.sessions.SubmitResponse, session_pb2.SubmitResponseRequest(
            session_id=session_id, response=response, **fields))

    def complete(self, lease: Lease, summary: str = "done",
                 result: Any = None) -> agent_pb2.CompleteJobResponse:
        return self.call(self.agents.CompleteJob, agent_pb2.CompleteJobRequest(
            summary=summary, result_json=json.dumps(result) if result is not None else "",
            **lease.args))

    def fail(self, lease: Lease, error: str = "broken", retryable: bool = False) -> Any:
        return self.call(self.agents.FailJob, agent_pb2.FailJobRequest(
            error=error, retryable=retryable, **lease.args))

    def job(self, job_id: str) -> ticket_pb2.Job:
        return self.call(self.tickets.GetJob, ticket_pb2.GetJobRequest(job_id=job_id)).job

    def ticket(self, ticket_id: str) -> ticket_pb2.Ticket:
        return self.call(self.tickets.GetTicket,
                         ticket_pb2.GetTicketRequest(ticket_id=ticket_id)).ticket

    def head(self) -> event_pb2.GetDeskResponse:
        return self.call(self.events.GetDesk, event_pb2.GetDeskRequest())

    def log(self, **filter_fields: Any) -> list[event_pb2.Event]:
        """Every stored event, read by page."""
        found: list[event_pb2.Event] = []
        request = event_pb2.ListEventsRequest(
            page_size=1000, filter=event_pb2.EventFilter(**filter_fields))
        while True:
            page = self.call(self.events.ListEvents, request)
            found += page.events
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


class Subscriber(threading.Thread):
    """Follows the log over gRPC, resuming after each break where it had arrived, until stopped.

    It keeps (sequence, serialized event) as it came, so that the oracle can compare.
    """

    def __init__(self, address: str, desk_id: str, after: int = 0, resume: bool = True,
                 slow: bool = False, **filter_fields: Any) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[int, bytes]] = []
        self.up_to = after
        self.refusals: list[Refusal] = []
        self.breaks = 0
        self._address = address
        self._desk_id = desk_id
        self._filter = event_pb2.EventFilter(**filter_fields)
        self._resume = resume
        self._pause = 0.002 if slow else 0.0
        self._stopping = threading.Event()
        self._call: Any = None

    def run(self) -> None:
        client = DeskClient(self._address)
        while not self._stopping.is_set():
            request = event_pb2.SubscribeRequest(
                after_sequence=self.up_to, desk_id=self._desk_id, filter=self._filter)
            self._call = client.events.Subscribe(request, wait_for_ready=True)
            try:
                for batch in self._call:
                    self._take(batch)
            except grpc.RpcError as error:
                self._note(refusal_of(error))
            if not self._resume:
                break
        client.close()

    def _take(self, batch: event_pb2.SubscribeResponse) -> None:
        for event in batch.events:
            self.seen.append((event.sequence, event.SerializeToString(deterministic=True)))
        self.up_to = max(self.up_to, batch.up_to_sequence)
        if self._pause:
            self._stopping.wait(self._pause * max(1, len(batch.events)))

    def _note(self, refusal: Refusal) -> None:
        self.breaks += 1
        gone = (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
        if refusal.code not in gone:
            self.refusals.append(refusal)
            self._resume = False
        else:
            self._stopping.wait(0.02)

    def cancel(self) -> None:
        """Breaks the stream; the subscriber resumes."""
        if self._call is not None:
            self._call.cancel()

    def stop(self) -> None:
        self._stopping.set()
        self.cancel()
        self.join(agentdesk_test.PATIENCE)
        assert not self.is_alive(), "the subscriber did not end"
