"""A retry with the same request id has no second effect and gets the first result (P9)."""

import concurrent.futures
import unittest
from collections.abc import Callable
from typing import Any

import grpc
from agentdesk_test import DeskTestCase
from desk_client import (DeskClient, Lease, agent_pb2, event_pb2, new_id, seconds, session_pb2,
                         ticket_pb2)


class IdempotenceTest(DeskTestCase):
    with_gateway = False

    def each_call(self) -> dict[str, tuple[Any, Any, Any]]:
        """Every call that appends events: its method, a request, and the same id with another body."""
        desk = self.desk
        cases: dict[str, tuple[Any, Any, Any]] = {}

        def case(method: Any, request: Any, change: Callable[[Any], None]) -> None:
            request.request_id = new_id()
            other = type(request)()
            other.CopyFrom(request)
            change(other)
            cases[type(request).__name__] = (method, request, other)

        def another_job(lease: Lease) -> Callable[[Any], None]:
            def change(request: Any) -> None:
                request.job_id = lease.job_id
                request.lease_token = lease.token
            return change

        def set_field(name: str, value: Any) -> Callable[[Any], None]:
            return lambda request: setattr(request, name, value)

        case(desk.tickets.CreateTicket, ticket_pb2.CreateTicketRequest(ticket_name="a"),
             set_field("ticket_name", "b"))
        one, two = desk.create(queue="nobody"), desk.create(queue="nobody")
        case(desk.tickets.CancelTicket, ticket_pb2.CancelTicketRequest(ticket_id=one.ticket_id),
             set_field("ticket_id", two.ticket_id))
        failed = desk.start()
        desk.fail(failed)
        case(desk.tickets.RetryTicket, ticket_pb2.RetryTicketRequest(ticket_id=failed.ticket_id),
             set_field("ticket_id", two.ticket_id))
        lease, spare = desk.start(), desk.start()
        activity = agent_pb2.Activity(message=event_pb2.AgentMessage(content="a"))
        case(desk.agents.ReportActivity,
             agent_pb2.ReportActivityRequest(activities=[activity], **lease.args),
             set_field("checkpoint_json", "{}"))
        case(desk.agents.AskQuestion,
             agent_pb2.AskQuestionRequest(content="?", key=new_id(), **lease.args),
             set_field("content", "??"))
        question = desk.ask(lease)
        case(desk.agents.WithdrawQuestion, agent_pb2.WithdrawQuestionRequest(
            question_id=question.question_id, **lease.args),
             set_field("question_id", desk.ask(lease).question_id))
        answerable = desk.ask(lease)
        case(desk.sessions.SubmitResponse, session_pb2.SubmitResponseRequest(
            session_id=lease.session_id, question_id=answerable.question_id, response="a"),
             set_field("response", "b"))
        case(desk.sessions.SendMessage, session_pb2.SendMessageRequest(
            session_id=lease.session_id, content="a"), set_field("content", "b"))
        case(desk.agents.ReleaseJob, agent_pb2.ReleaseJobRequest(**desk.start().args),
             another_job(spare))
        case(desk.agents.CompleteJob, agent_pb2.CompleteJobRequest(**desk.start().args),
             another_job(spare))
        case(desk.agents.FailJob, agent_pb2.FailJobRequest(error="e", **desk.start().args),
             another_job(spare))
        return cases

    def test_every_call_repeated_at_once_and_after_a_kill(self) -> None:
        cases = self.each_call()
        first = {name: self.desk.call(method, request)
                 for name, (method, request, _) in cases.items()}
        head = self.desk.head().head_sequence
        for when in ("at once", "after kill -9"):
            for name, (method, request, other) in cases.items():
                with self.subTest(name, when=when):
                    self.assertFalse(first[name].replayed)
                    again = self.desk.call(method, request)
                    self.assertTrue(again.replayed)
                    again.replayed = False
                    self.assertEqual(again, first[name])
                    refusal = self.desk.refused(method, other)
                    self.assertEqual((refusal.code, refusal.reason),
                                     (grpc.StatusCode.INVALID_ARGUMENT, "request_id_reused"))
            self.assertEqual(self.desk.head().head_sequence, head, "a repeat adds nothing")
            if when == "at once":
                self.core.kill()
                self.start_core()

    def test_the_id_belongs_to_the_call(self) -> None:
        request_id = new_id()
        created = self.desk.create(request_id=request_id)
        refusal = self.desk.refused(self.desk.tickets.CancelTicket, ticket_pb2.CancelTicketRequest(
            ticket_id=created.ticket_id, request_id=request_id))
        self.assertEqual(refusal.reason, "request_id_reused")

    def test_a_refusal_is_not_remembered(self) -> None:
        request_id = new_id()
        refusal = self.desk.refused(self.desk.tickets.CreateTicket, ticket_pb2.CreateTicketRequest(
            ticket_name="", request_id=request_id))
        self.assertEqual(refusal.code, grpc.StatusCode.INVALID_ARGUMENT)
        self.assertFalse(self.desk.create(request_id=request_id).replayed)

    def test_claim_repeated_returns_the_live_lease(self) -> None:
        queue = new_id()
        self.desk.create(queue=queue)
        request_id = new_id()
        lease = self.desk.claim(queue, request_id=request_id)
        again = self.desk.claim(queue, request_id=request_id)
        self.assertEqual((again.job_id, again.token), (lease.job_id, lease.token))
        self.assertTrue(again.claim.replayed)
        self.desk.call(self.desk.agents.ReleaseJob, agent_pb2.ReleaseJobRequest(**lease.args))
        anew = self.desk.claim(queue, request_id=request_id)
        self.assertGreater(anew.token, lease.token, "that lease is over, so it claims anew")

    def test_16_threads_with_one_id_make_one_ticket(self) -> None:
        for _ in range(20):
            request = ticket_pb2.CreateTicketRequest(ticket_name="One", request_id=new_id())
            clients = [DeskClient(self.core.address) for _ in range(4)]
            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                results = list(pool.map(
                    lambda i, c=clients, r=request: c[i % 4].call(c[i % 4].tickets.CreateTicket, r),
                    range(16)))
            self.assertEqual(len({result.ticket_id for result in results}), 1)
            self.assertEqual([result.replayed for result in results].count(False), 1)
            for client in clients:
                client.close()

    def test_own_ticket_id_in_any_form(self) -> None:
        ticket_id = new_id()
        created = self.desk.create(ticket_id=ticket_id.replace("-", "").upper())
        self.assertEqual(created.ticket_id, ticket_id)
        refusal = self.desk.refused(self.desk.tickets.CreateTicket, ticket_pb2.CreateTicketRequest(
            ticket_name="Again", ticket_id=ticket_id))
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.ALREADY_EXISTS, "already_exists"))

    def test_no_job_in_time_is_ok(self) -> None:
        answer = self.desk.call(self.desk.agents.ClaimJob, agent_pb2.ClaimJobRequest(
            queues=[new_id()], worker="w", wait=seconds(0), request_id=new_id()))
        self.assertFalse(answer.HasField("job"))


if __name__ == "__main__":
    unittest.main()
