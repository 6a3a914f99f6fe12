"""A core and a gateway that let in only who shows a token, and what owners have there."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
import unittest
from typing import Any

from agentdesk_test import Gateway, System
from desk_client import (DeskClient, agent_pb2, event_pb2, new_id, seconds, session_pb2, ticket_pb2)
from tokens import AUDIENCE, ISSUER, As, Issuer, auth_config, bearer


@dataclasses.dataclass
class World:
    """What an owner has: named so that a stranger who sees it is caught."""
    secret: str
    queue: str
    ticket: str
    cancelled: str
    session: str
    job: str
    token: int
    question: str

    @property
    def lease(self) -> dict[str, Any]:
        return {"job_id": self.job, "lease_token": self.token}

    @property
    def marks(self) -> list[str]:
        """The texts that only those may see whose world it is."""
        return [self.secret, self.queue, self.ticket, self.cancelled, self.session, self.job,
                self.question]


def live(owner: As) -> World:
    """A ticket that runs and asks, one that was cancelled, and one that waits to be claimed."""
    secret, queue = f"secret-{new_id()}", f"q-{new_id()[:8]}"
    create = ticket_pb2.CreateTicketRequest(ticket_name=secret, queue=queue)
    owner.tickets.CreateTicket(create)
    claim = owner.agents.ClaimJob(agent_pb2.ClaimJobRequest(
        queues=[queue], worker=secret, lease_duration=seconds(600)))
    lease = {"job_id": claim.job.job_id, "lease_token": claim.lease_token}
    question = owner.agents.AskQuestion(agent_pb2.AskQuestionRequest(
        key="k", content=secret, **lease)).question
    owner.sessions.SendMessage(session_pb2.SendMessageRequest(
        session_id=question.session_id, content=secret))
    cancelled = owner.tickets.CreateTicket(create).ticket_id
    owner.tickets.CancelTicket(ticket_pb2.CancelTicketRequest(ticket_id=cancelled))
    owner.tickets.CreateTicket(create)
    return World(secret, queue, claim.ticket.ticket_id, cancelled, question.session_id,
                 claim.job.job_id, claim.lease_token, question.question_id)


class IssuedCase(unittest.TestCase):
    """`folder` holds the keys of `issuer` from the class's first to its last test."""

    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-issued-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.issuer = Issuer()
        cls.keys = cls.folder / "keys.json"
        cls.keys.write_text(cls.issuer.key_set())


class GuardedDeskCase(IssuedCase):
    """`core` and `gateway` run from the class's first to its last test."""

    core_flags: tuple[str, ...] = ()
    gateway_flags: tuple[str, ...] = ()
    all_tenants: tuple[str, ...] = ()
    maxDiff = 4000

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.config = auth_config(
            cls.folder, [{"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["HS256"],
                          "keys_file": "keys.json"}],
            gateways=["gateway-1"], all_tenants=list(cls.all_tenants))
        cls.own_token = cls.folder / "gateway.token"
        cls.own_token.write_text(cls.issuer.token("gateway-1"))
        cls.system = System([f"--auth_config={cls.config}", *cls.core_flags], gateway=False)
        cls.addClassCleanup(cls.system.close)
        cls.core = cls.system.core
        cls.gateway = cls.another_gateway(*cls.gateway_flags)
        cls.desk = DeskClient(cls.core.address)
        cls.addClassCleanup(cls.desk.close)

    @classmethod
    def another_gateway(cls, *flags: str) -> Gateway:
        """One that knows nothing of the log before now."""
        gateway = Gateway(cls.core.address, f"--auth_config={cls.config}",
                          f"--core_token_file={cls.own_token}", *flags)
        cls.system.add(gateway).start()
        return gateway

    @classmethod
    def token(cls, subject: str = "alice", **more: Any) -> str:
        return cls.issuer.token(subject, **more)

    @classmethod
    def headers(cls, subject: str = "alice", **more: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {cls.token(subject, **more)}"}

    @classmethod
    def who(cls, subject: str = "alice", **more: Any) -> As:
        """Over gRPC."""
        return As(cls.desk, bearer(cls.token(subject, **more)))

    @classmethod
    def log(cls, who: As) -> list[event_pb2.Event]:
        """Every stored event that one may see."""
        found: list[event_pb2.Event] = []
        request = event_pb2.ListEventsRequest(page_size=1000)
        while True:
            page = who.events.ListEvents(request)
            found += page.events
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token
