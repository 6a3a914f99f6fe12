"""Nobody sees what another tenant has, over gRPC: not in lists, not in streams, not by its id.

What the desk does at random ids and positions is in tests/unit/desk/tenant_test.cc; here it is what the
core makes of tokens, gateways and configuration.
"""

import json
import pathlib
import tempfile
import unittest
from typing import Any

import grpc
from agentdesk_test import System
from desk_client import (DeskClient, Refusal, agent_pb2, event_pb2, new_id, refusal_of, seconds,
                         session_pb2, ticket_pb2)
from agentdesk.v1 import admin_pb2
from tokens import AUDIENCE, ISSUER, SCOPES, As, Issuer, auth_config, b64, bearer

TENANTS = ("", "acme", "zenith")


class TenantTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-tenants-")
        cls.addClassCleanup(scratch.cleanup)
        folder = pathlib.Path(scratch.name)
        cls.issuer = Issuer()
        (folder / "keys.json").write_text(cls.issuer.key_set())
        config = auth_config(
            folder, [{"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["HS256"],
                      "keys_file": "keys.json"}],
            gateways=["gateway-1"], all_tenants=["fleet"])
        system = System([f"--auth_config={config}"], gateway=False)
        cls.addClassCleanup(system.close)
        cls.desk = DeskClient(system.core.address)
        cls.addClassCleanup(cls.desk.close)
        cls.own = {tenant: cls.live(tenant) for tenant in TENANTS}

    @classmethod
    def who(cls, tenant: str, subject: str = "alice", **more: Any) -> As:
        return As(cls.desk, bearer(cls.issuer.token(subject, tenant=tenant or None, **more)))

    @classmethod
    def through_gateway(cls, tenant: str, subject: str = "bob") -> As:
        user = {"sub": subject, "scopes": list(SCOPES), **({"tenant": tenant} if tenant else {})}
        return As(cls.desk, bearer(cls.issuer.token("gateway-1")) +
                  [("agentdesk-user", b64(json.dumps(user)))])

    @classmethod
    def live(cls, tenant: str) -> dict[str, Any]:
        """One ticket of the tenant that runs and asks, and one that is queued."""
        who, queue = cls.who(tenant), f"q-{new_id()[:8]}"
        who.tickets.CreateTicket(ticket_pb2.CreateTicketRequest(
            ticket_name=f"Secret of {tenant}", queue=queue))
        claim = who.agents.ClaimJob(agent_pb2.ClaimJobRequest(
            queues=[queue], worker="w", lease_duration=seconds(600)))
        question = who.agents.AskQuestion(agent_pb2.AskQuestionRequest(
            job_id=claim.job.job_id, lease_token=claim.lease_token, key="k", content="?")).question
        who.tickets.CreateTicket(ticket_pb2.CreateTicketRequest(ticket_name="Queued", queue=queue))
        return {"ticket": claim.ticket.ticket_id, "session": claim.session.session_id,
                "job": claim.job.job_id, "token": claim.lease_token,
                "question": question.question_id, "queue": queue}

    def refused(self, method: Any, request: Any) -> Refusal:
        with self.assertRaises(grpc.RpcError) as raised:
            answer = method(request)
            if hasattr(answer, "__next__"):
                next(answer)
        return refusal_of(raised.exception)

    def follow(self, who: As, **start: Any) -> tuple[list[Any], list[Any]]:
        """The events and snapshot parts of a stream, up to where the log is now."""
        head = who.events.GetDesk(event_pb2.GetDeskRequest())
        call = who.events.Subscribe(event_pb2.SubscribeRequest(desk_id=head.desk_id, **start))
        events, parts = [], []
        for batch in call:
            events += batch.events
            if batch.HasField("snapshot"):
                parts.append(batch.snapshot)
            if batch.up_to_sequence >= head.head_sequence and not (parts and parts[-1].more):
                break
        call.cancel()
        return events, parts

    def test_lists_hold_ones_own(self) -> None:
        for tenant in TENANTS:
            for who in (self.who(tenant), self.through_gateway(tenant)):
                tickets = who.tickets.ListTickets(ticket_pb2.ListTicketsRequest()).tickets
                jobs = who.tickets.ListJobs(ticket_pb2.ListJobsRequest()).jobs
                sessions = who.sessions.ListSessions(session_pb2.ListSessionsRequest()).sessions
                questions = who.sessions.ListQuestions(session_pb2.ListQuestionsRequest()).questions
                events = who.events.ListEvents(event_pb2.ListEventsRequest()).events
                for rows in (tickets, jobs, sessions, questions, events):
                    self.assertEqual({row.tenant for row in rows}, {tenant})
                self.assertIn(self.own[tenant]["ticket"], [row.ticket_id for row in tickets])

    def test_streams_hold_ones_own_however_they_begin(self) -> None:
        fleet, _ = self.follow(self.who("", "fleet"), after_sequence=0)
        for tenant in TENANTS:
            for who in (self.who(tenant), self.through_gateway(tenant)):
                events, _ = self.follow(who, after_sequence=0)
                self.assertEqual([event.sequence for event in events],
                                 [event.sequence for event in fleet if event.tenant == tenant])
                _, parts = self.follow(who, snapshot=True)
                rows = [row for part in parts
                        for row in (*part.tickets, *part.sessions, *part.questions)]
                self.assertEqual({row.tenant for row in rows}, {tenant})

    def test_a_live_stream_passes_over_what_others_do(self) -> None:
        acme = self.who("acme")
        call = acme.events.Subscribe(event_pb2.SubscribeRequest(live=True))
        next(call)  # it says where it begins
        self.who("zenith").tickets.CreateTicket(ticket_pb2.CreateTicketRequest(ticket_name="Theirs"))
        mine = acme.tickets.CreateTicket(ticket_pb2.CreateTicketRequest(ticket_name="Mine"))
        for batch in call:
            self.assertLessEqual({event.ticket_id for event in batch.events}, {mine.ticket_id})
            if batch.events:
                break
        call.cancel()

    def test_an_id_of_others_is_as_good_as_none(self) -> None:
        own, who = self.own["acme"], self.who("zenith")
        none = new_id()
        unknown = {"ticket": none, "session": none, "job": f"job-{none}", "question": none}
        calls = [
            (who.tickets.GetTicket, ticket_pb2.GetTicketRequest, "ticket", {}),
            (who.tickets.CancelTicket, ticket_pb2.CancelTicketRequest, "ticket", {}),
            (who.tickets.RetryTicket, ticket_pb2.RetryTicketRequest, "ticket", {}),
            (who.tickets.GetJob, ticket_pb2.GetJobRequest, "job", {}),
            (who.sessions.GetSession, session_pb2.GetSessionRequest, "session", {}),
            (who.sessions.GetQuestion, session_pb2.GetQuestionRequest, "question", {}),
            (who.sessions.SendMessage, session_pb2.SendMessageRequest, "session", {"content": "c"}),
            *((call, request, "job", {"lease_token": own["token"], **more})
              for call, request, more in [
                  (who.agents.RenewLease, agent_pb2.RenewLeaseRequest, {}),
                  (who.agents.AskQuestion, agent_pb2.AskQuestionRequest, {"key": "k", "content": "?"}),
                  (who.agents.WithdrawQuestion, agent_pb2.WithdrawQuestionRequest, {"key": "k"}),
                  (who.agents.ReleaseJob, agent_pb2.ReleaseJobRequest, {}),
                  (who.agents.CompleteJob, agent_pb2.CompleteJobRequest, {}),
                  (who.agents.FailJob, agent_pb2.FailJobRequest, {"error": "e"}),
                  (who.agents.ReceiveInput, agent_pb2.ReceiveInputRequest, {}),
              ]),
        ]
        for call, request, kind, fields in calls:
            with self.subTest(request=request.DESCRIPTOR.name):
                theirs = self.refused(call, request(**{f"{kind}_id": own[kind]}, **fields))
                nobodys = self.refused(call, request(**{f"{kind}_id": unknown[kind]}, **fields))
                self.assertEqual(theirs.code, grpc.StatusCode.NOT_FOUND, theirs)
                theirs.text = theirs.text.replace(own[kind], unknown[kind])
                self.assertEqual(theirs, nobodys)
        for question in (own["question"], none):
            judged = who.sessions.SubmitResponse(session_pb2.SubmitResponseRequest(
                session_id=own["session"], question_id=question, response="yes"))
            self.assertEqual(judged.outcome, session_pb2.RESPONSE_OUTCOME_UNKNOWN_SESSION)
            self.assertEqual((judged.response, judged.answered_by.id), ("", ""))

    def test_a_ticket_id_that_others_have_is_as_free_as_any(self) -> None:
        theirs = self.who("acme").tickets.CreateTicket(
            ticket_pb2.CreateTicketRequest(ticket_name="Secret")).ticket_id
        for ticket_id in (theirs, new_id()):
            made = self.who("zenith").tickets.CreateTicket(
                ticket_pb2.CreateTicketRequest(ticket_name="Mine", ticket_id=ticket_id))
            self.assertEqual((made.ticket_id, made.ticket.tenant, made.replayed),
                             (ticket_id, "zenith", False))
        get = ticket_pb2.GetTicketRequest(ticket_id=theirs)
        self.assertEqual(self.who("zenith").tickets.GetTicket(get).ticket.ticket_name, "Mine")
        self.assertEqual(self.who("acme").tickets.GetTicket(get).ticket.tenant, "acme")

    def test_a_worker_gets_only_jobs_of_its_tenant(self) -> None:
        queue = self.own["acme"]["queue"]
        claim = agent_pb2.ClaimJobRequest(queues=[queue], worker="w")
        for tenant in ("", "zenith"):
            self.assertFalse(self.who(tenant).agents.ClaimJob(claim).HasField("job"))
        job = self.who("", "fleet").agents.ClaimJob(claim)
        self.assertEqual(job.job.tenant, "acme")
        done = self.who("", "fleet").agents.CompleteJob(agent_pb2.CompleteJobRequest(
            job_id=job.job.job_id, lease_token=job.lease_token))
        self.assertEqual(done.job.tenant, "acme")

    def test_a_request_id_belongs_to_a_tenant_too(self) -> None:
        request = ticket_pb2.CreateTicketRequest(ticket_name="Once", request_id=new_id())
        made = [self.who(tenant).tickets.CreateTicket(request) for tenant in TENANTS]
        self.assertEqual(len({ticket.ticket_id for ticket in made}), len(TENANTS))
        self.assertTrue(self.who("acme").tickets.CreateTicket(request).replayed)

    def test_who_sees_every_tenant(self) -> None:
        listing = event_pb2.ListEventsRequest(page_size=1000)
        for who in (self.who("", "gateway-1"), self.who("", "fleet"), self.who("acme", "fleet"),
                    self.through_gateway("acme", "fleet")):
            seen = {event.tenant for event in who.events.ListEvents(listing).events}
            self.assertEqual(seen, set(TENANTS))

    def test_what_is_of_the_whole_desk_is_not_for_one_tenant(self) -> None:
        for call, request in [("Backup", admin_pb2.BackupRequest()),
                              ("Compact", admin_pb2.CompactRequest(keep_events=1000000))]:
            refusal = self.refused(getattr(self.who("acme").admin, call), request)
            self.assertEqual((refusal.code, refusal.reason),
                             (grpc.StatusCode.PERMISSION_DENIED, "tenant_bound"))
        self.who("").admin.Compact(admin_pb2.CompactRequest(keep_events=1000000))


if __name__ == "__main__":
    unittest.main()
