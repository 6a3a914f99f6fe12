"""Fenced work and nothing taken for a yes (P6, P7), on the leases themselves."""

import time
import unittest
from typing import Any

import grpc
from agentdesk_test import Core, DeskTestCase, wait_until
from desk_client import agent_pb2, event_pb2, seconds, session_pb2, ticket_pb2

# A lease that is to be lost: long enough for what its worker does before, on a busy machine too.
SHORT_S = 6


class LeaseTest(DeskTestCase):
    with_gateway = False
    core_flags = ("--expiry_hold=10s",)

    def kinds(self, session_id: str) -> list[str]:
        return [event.WhichOneof("payload") for event in self.desk.log(session_ids=[session_id])]

    def wait_past(self, time_of: Any) -> None:
        """Until the machine's clock, which is the core's too, is past a time that the core told."""
        wait_until(lambda: time.time_ns() > time_of.ToNanoseconds(), f"a clock past {time_of}")

    def wait_requeued(self, session_id: str) -> None:
        wait_until(lambda: "job_requeued" in self.kinds(session_id), "a lost lease")

    def test_a_worker_past_its_lease_can_change_nothing(self) -> None:
        desk = self.desk
        lease = desk.start(lease_s=SHORT_S, queue="past")
        stream = desk.agents.ReceiveInput(agent_pb2.ReceiveInputRequest(
            after_sequence=lease.claim.sequence, **lease.args), timeout=60)
        inputs = [item.WhichOneof("input") for item in stream]
        self.assertEqual(inputs[-1], "lease_lost", "the stream says so and ends")
        self.wait_requeued(lease.session_id)
        again = desk.claim("past", wait_s=20)
        self.assertEqual(again.job_id, lease.job_id, "offered again with its session")
        self.assertEqual(again.claim.reason, agent_pb2.START_REASON_LEASE_LOST)
        head = desk.head().head_sequence
        message = agent_pb2.Activity(message=event_pb2.AgentMessage(content="late"))
        old = lease.args
        calls = [
            (desk.agents.RenewLease, agent_pb2.RenewLeaseRequest(**old)),
            (desk.agents.ReportActivity,
             agent_pb2.ReportActivityRequest(activities=[message], **old)),
            (desk.agents.AskQuestion, agent_pb2.AskQuestionRequest(content="?", key="k", **old)),
            (desk.agents.WithdrawQuestion, agent_pb2.WithdrawQuestionRequest(key="k", **old)),
            (desk.agents.ReleaseJob, agent_pb2.ReleaseJobRequest(**old)),
            (desk.agents.CompleteJob, agent_pb2.CompleteJobRequest(**old)),
            (desk.agents.FailJob, agent_pb2.FailJobRequest(error="late", **old)),
        ]
        for method, request in calls:
            with self.subTest(type(request).__name__):
                refusal = desk.refused(method, request)
                self.assertEqual((refusal.code, refusal.reason),
                                 (grpc.StatusCode.FAILED_PRECONDITION, "lease_lost"))
        refusal = desk.refused(
            lambda request, **how: list(desk.agents.ReceiveInput(request, **how)),
            agent_pb2.ReceiveInputRequest(after_sequence=lease.claim.sequence, **old))
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.FAILED_PRECONDITION, "lease_lost"),
                         "the stream called anew")
        self.assertEqual(desk.head().head_sequence, head)
        desk.complete(again)

    def test_a_question_outlives_its_worker(self) -> None:
        desk = self.desk
        lease = desk.start(lease_s=SHORT_S, queue="outlives")
        desk.say(lease, "I am thinking", key="m1")
        question = desk.ask(lease, key="q1")
        self.wait_requeued(lease.session_id)
        answer = desk.answer(lease.session_id, "blue", question_id=question.question_id)
        self.assertEqual(answer.outcome, session_pb2.RESPONSE_OUTCOME_RECEIVED)
        again = desk.claim("outlives", wait_s=20)
        asked = desk.call(desk.agents.AskQuestion, agent_pb2.AskQuestionRequest(
            content="Which one?", key="q1", **again.args))
        self.assertTrue(asked.replayed)
        self.assertEqual((asked.question.question_id, asked.question.response),
                         (question.question_id, "blue"), "its answer comes at once")
        changed = desk.refused(desk.agents.AskQuestion, agent_pb2.AskQuestionRequest(
            content="Another one?", key="q1", **again.args))
        self.assertEqual(changed.reason, "question_key_reused")
        self.assertEqual(desk.say(again, "I am thinking", key="m1").appended, 0)
        self.assertEqual(desk.job(lease.job_id).failed_attempts, 0, "a question was open")

    def test_a_core_that_was_down_costs_no_lease(self) -> None:
        desk = self.desk
        leases = [desk.start(lease_s=SHORT_S) for _ in range(5)]
        self.core.kill()
        self.wait_past(leases[-1].claim.lease_expires_at)
        self.start_core()
        for lease in leases:
            desk.call(desk.agents.RenewLease, agent_pb2.RenewLeaseRequest(**lease.args))
            self.assertNotIn("job_requeued", self.kinds(lease.session_id))
            self.assertEqual(desk.complete(lease).job.attempt, 1)

    def test_nothing_expires_before_the_desk_is_ready(self) -> None:
        desk = self.desk
        lease = desk.start()
        question = desk.ask(lease, expires_in=seconds(SHORT_S), default_response="no")
        self.core.kill()
        self.wait_past(question.expires_at)
        self.start_core()
        answer = desk.answer(lease.session_id, "yes", question_id=question.question_id)
        self.assertEqual(answer.outcome, session_pb2.RESPONSE_OUTCOME_RECEIVED,
                         "log order decides, not clocks")
        late = desk.ask(lease, expires_in=seconds(1))
        wait_until(lambda: "question_expired" in self.kinds(lease.session_id), "an expiry")
        answer = desk.answer(lease.session_id, "yes", question_id=late.question_id)
        self.assertEqual(answer.outcome, session_pb2.RESPONSE_OUTCOME_EXPIRED)

    def test_an_expiry_hands_the_default_to_the_agent(self) -> None:
        desk = self.desk
        lease = desk.start()
        stream = desk.agents.ReceiveInput(agent_pb2.ReceiveInputRequest(
            after_sequence=lease.claim.sequence, **lease.args), timeout=60)
        desk.ask(lease, expires_in=seconds(1), default_response="safe", key="d")
        got = next(item for item in stream if item.WhichOneof("input"))
        self.assertEqual((got.expired.key, got.expired.default_response), ("d", "safe"))
        stream.cancel()

    def test_cancel_while_the_worker_is_gone(self) -> None:
        desk = self.desk
        lease = desk.start(lease_s=SHORT_S)
        cancelled = desk.call(desk.tickets.CancelTicket,
                              ticket_pb2.CancelTicketRequest(ticket_id=lease.ticket_id))
        self.assertEqual(cancelled.ticket.status, ticket_pb2.JOB_STATUS_CANCELLING)
        refusal = desk.refused(desk.tickets.RetryTicket,
                               ticket_pb2.RetryTicketRequest(ticket_id=lease.ticket_id))
        self.assertEqual(refusal.code, grpc.StatusCode.FAILED_PRECONDITION)
        wait_until(lambda: desk.job(lease.job_id).status == ticket_pb2.JOB_STATUS_CANCELLED,
                   "the end of a cancelled job whose lease ran out")

    def test_a_second_core_on_the_same_directory_says_why_not(self) -> None:
        second = Core(self.core.data_dir)
        second.start(wait=False)
        self.assertNotEqual(second.wait(), 0)
        self.assertIn(str(self.core.data_dir), second.tail())
        self.desk.create("The first goes on")


if __name__ == "__main__":
    unittest.main()
