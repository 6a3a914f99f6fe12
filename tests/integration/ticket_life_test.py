"""A Python client with generated stubs walks a ticket's whole life (contract 0 and 4)."""

import json
import unittest

import grpc
import oracle
from agentdesk_test import DeskTestCase, wait_until
from desk_client import (DeskClient, Subscriber, agent_pb2, event_pb2, new_id, seconds, session_pb2,
                         ticket_pb2)


class TicketLifeTest(DeskTestCase):
    with_gateway = False

    def kinds(self, session_id: str) -> list[str]:
        return [event.WhichOneof("payload") for event in self.desk.log(session_ids=[session_id])]

    def test_a_read_sees_what_was_acknowledged_on_another_connection(self) -> None:
        reader = DeskClient(self.core.address)
        self.addCleanup(reader.close)
        request = ticket_pb2.CreateTicketRequest(ticket_name="Load", queue="load")
        for _ in range(20):
            load = [self.desk.tickets.CreateTicket.future(request, timeout=60) for _ in range(50)]
            created = self.desk.create("Mine", queue="load")
            self.assertEqual(reader.ticket(created.ticket_id).ticket_name, "Mine")
            self.assertGreaterEqual(reader.head().head_sequence, created.sequence)
            for call in load:
                call.result()

    def test_from_creation_to_completion(self) -> None:
        desk = self.desk
        created = desk.create("Fix the login page", description="It is broken",
                              labels={"team": "web"}, queue="life", priority=7)
        self.assertEqual(created.status, ticket_pb2.JOB_STATUS_QUEUED)
        self.assertTrue(created.job_id.startswith("job-"))
        self.assertFalse(created.replayed)
        self.assertEqual(created.ticket.ticket_id, created.ticket_id)
        lease = desk.claim("life")
        self.assertEqual(lease.job_id, created.job_id)
        self.assertEqual(lease.claim.ticket.labels["team"], "web")
        self.assertEqual(lease.claim.reason, agent_pb2.START_REASON_NEW)
        self.assertEqual(desk.job(lease.job_id).status, ticket_pb2.JOB_STATUS_RUNNING)
        desk.call(desk.agents.RenewLease, agent_pb2.RenewLeaseRequest(**lease.args))
        desk.call(desk.agents.ReportActivity, agent_pb2.ReportActivityRequest(
            activities=[
                agent_pb2.Activity(message=event_pb2.AgentMessage(content="Looking")),
                agent_pb2.Activity(tool_call=event_pb2.ToolCall(tool_name="grep", content="x"))],
            checkpoint_json='{"step":1}', **lease.args))
        question = desk.ask(lease, "Which page?", choices=[
            session_pb2.Choice(value="login", label="Login"), session_pb2.Choice(value="home")])
        self.assertEqual(desk.ticket(lease.ticket_id).open_questions, 1)
        inbox = desk.call(desk.sessions.ListQuestions, session_pb2.ListQuestionsRequest(
            state=session_pb2.QUESTION_STATE_OPEN, session_id=lease.session_id))
        self.assertEqual([q.question_id for q in inbox.questions], [question.question_id])
        stream = desk.agents.ReceiveInput(agent_pb2.ReceiveInputRequest(
            after_sequence=lease.claim.sequence, **lease.args), timeout=60)
        answer = desk.answer(lease.session_id, "login", question_id=question.question_id)
        self.assertEqual(answer.outcome, session_pb2.RESPONSE_OUTCOME_RECEIVED)
        got = next(item for item in stream if item.WhichOneof("input"))
        self.assertEqual(got.answer.response, "login")
        self.assertEqual(got.answer.question_id, question.question_id)
        stream.cancel()
        done = desk.complete(lease, "Fixed", {"files": 3})
        self.assertEqual(done.job.status, ticket_pb2.JOB_STATUS_COMPLETED)
        self.assertEqual(json.loads(desk.job(lease.job_id).result_json), {"files": 3})
        session = desk.call(desk.sessions.GetSession, session_pb2.GetSessionRequest(
            session_id=lease.session_id)).session
        self.assertEqual(session.state, session_pb2.SESSION_STATE_CLOSED)
        self.assertEqual(self.kinds(lease.session_id), [
            "ticket_created", "agent_started", "agent_message", "tool_call", "agent_question",
            "question_answered", "agent_complete"])
        refusal = desk.refused(desk.tickets.RetryTicket,
                               ticket_pb2.RetryTicketRequest(ticket_id=lease.ticket_id))
        self.assertEqual(refusal.code, grpc.StatusCode.FAILED_PRECONDITION)
        late = desk.answer(lease.session_id, "home", question_id=question.question_id)
        self.assertEqual(late.outcome, session_pb2.RESPONSE_OUTCOME_ALREADY_ANSWERED)

    def test_fails_is_retried_and_the_conversation_goes_on(self) -> None:
        desk = self.desk
        lease = desk.start(max_attempts=1, queue="retry")
        desk.call(desk.agents.ReportActivity, agent_pb2.ReportActivityRequest(
            checkpoint_json='{"page":12345678901234567890}', **lease.args))
        self.assertEqual(desk.fail(lease, "disk full", retryable=True).job.status,
                         ticket_pb2.JOB_STATUS_FAILED)
        retried = desk.call(desk.tickets.RetryTicket, ticket_pb2.RetryTicketRequest(
            ticket_id=lease.ticket_id))
        self.assertNotEqual(retried.job_id, lease.job_id)
        again = desk.claim("retry")
        self.assertEqual(again.session_id, lease.session_id, "one session for all jobs")
        self.assertEqual(again.claim.reason, agent_pb2.START_REASON_RETRY)
        self.assertEqual(again.claim.checkpoint_json, '{"page":12345678901234567890}')
        desk.complete(again)
        self.assertEqual(self.kinds(lease.session_id), [
            "ticket_created", "agent_started", "agent_error", "ticket_updated", "agent_started",
            "agent_complete"])

    def test_retryable_failure_is_offered_again(self) -> None:
        desk = self.desk
        lease = desk.start(max_attempts=2, queue="again")
        self.assertEqual(desk.fail(lease, "flaky", retryable=True).job.status,
                         ticket_pb2.JOB_STATUS_QUEUED)
        again = desk.claim("again", wait_s=20)
        self.assertEqual((again.job_id, again.claim.job.attempt), (lease.job_id, 2))
        self.assertEqual(again.claim.reason, agent_pb2.START_REASON_FAILED)
        self.assertGreater(again.token, lease.token)
        refusal = desk.refused(desk.agents.CompleteJob, agent_pb2.CompleteJobRequest(**lease.args))
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.FAILED_PRECONDITION, "lease_lost"))
        self.assertEqual(desk.fail(again, "flaky", retryable=True).job.status,
                         ticket_pb2.JOB_STATUS_FAILED)

    def test_cancel_of_a_running_job_reaches_its_agent(self) -> None:
        desk = self.desk
        lease = desk.start()
        question = desk.ask(lease)
        stream = desk.agents.ReceiveInput(agent_pb2.ReceiveInputRequest(
            after_sequence=lease.claim.sequence, **lease.args), timeout=60)
        cancelled = desk.call(desk.tickets.CancelTicket,
                              ticket_pb2.CancelTicketRequest(ticket_id=lease.ticket_id))
        self.assertEqual(cancelled.ticket.status, ticket_pb2.JOB_STATUS_CANCELLING)
        inputs = []
        for item in stream:
            inputs.append(item.WhichOneof("input"))
            if inputs[-1] == "cancel":
                break
        self.assertIn("cancel", inputs)
        refusal = desk.refused(desk.agents.AskQuestion,
                               agent_pb2.AskQuestionRequest(content="?", key="k", **lease.args))
        self.assertEqual(refusal.reason, "cancelling")
        late = desk.answer(lease.session_id, "x", question_id=question.question_id)
        self.assertEqual(late.outcome, session_pb2.RESPONSE_OUTCOME_WITHDRAWN)
        self.assertEqual(desk.complete(lease).job.status, ticket_pb2.JOB_STATUS_CANCELLED)
        self.assertEqual(self.kinds(lease.session_id)[-3:],
                         ["ticket_cancelled", "question_withdrawn", "agent_complete"])

    def test_queues_and_priorities(self) -> None:
        desk = self.desk
        low = desk.create("low", queue="p", priority=1)
        high = desk.create("high", queue="p", priority=9)
        second = desk.create("high too", queue="p", priority=9)
        order = [desk.claim("p").ticket_id for _ in range(3)]
        self.assertEqual(order, [high.ticket_id, second.ticket_id, low.ticket_id])
        nothing = desk.call(desk.agents.ClaimJob, agent_pb2.ClaimJobRequest(
            queues=["p"], worker="w", wait=seconds(0.05)))
        self.assertFalse(nothing.HasField("job"), "no job in time is OK without a job")

    def test_parking_until_there_is_input(self) -> None:
        desk = self.desk
        lease = desk.start(queue="park")
        question = desk.ask(lease)
        release = agent_pb2.ReleaseJobRequest(input_after_sequence=lease.claim.sequence,
                                              **lease.args)
        released = desk.call(desk.agents.ReleaseJob, release)
        self.assertEqual(released.job.status, ticket_pb2.JOB_STATUS_WAITING)
        desk.answer(lease.session_id, "go on", question_id=question.question_id)
        again = desk.claim("park")
        self.assertEqual(again.job_id, lease.job_id)
        self.assertEqual(again.claim.reason, agent_pb2.START_REASON_INPUT)
        self.assertEqual(desk.job(again.job_id).failed_attempts, 0)

    def test_snapshot_and_events_after_it_equal_the_state(self) -> None:
        desk = self.desk
        leases = [desk.start() for _ in range(3)]
        desk.ask(leases[0])
        stream = desk.events.Subscribe(event_pb2.SubscribeRequest(snapshot=True), timeout=60)
        tickets, open_questions, as_of = {}, set(), 0
        for part in stream:
            if not part.HasField("snapshot"):
                continue
            as_of = part.up_to_sequence
            tickets.update({t.ticket_id: t for t in part.snapshot.tickets})
            open_questions |= {q.question_id for q in part.snapshot.questions}
            if not part.snapshot.more:
                break
        self.assertLessEqual({lease.ticket_id for lease in leases}, set(tickets))
        self.assertEqual(len(open_questions & {q.question_id for q in self.open_questions()}),
                         len(open_questions))
        created = desk.create()
        following = []
        for batch in stream:
            following += [(event.sequence, None) for event in batch.events]
            if following and following[-1][0] >= created.sequence:
                break
        stream.cancel()
        oracle.check_complete(following, as_of, created.sequence)

    def open_questions(self) -> list[session_pb2.Question]:
        return list(self.desk.call(self.desk.sessions.ListQuestions,
                                   session_pb2.ListQuestionsRequest(
                                       state=session_pb2.QUESTION_STATE_OPEN,
                                       page_size=1000)).questions)

    def test_lists_page_without_doubles(self) -> None:
        desk = self.desk
        made = [desk.create(f"Page {i}", queue="pages").ticket_id for i in range(25)]
        found, token = [], ""
        while True:
            page = desk.call(desk.tickets.ListTickets,
                             ticket_pb2.ListTicketsRequest(page_size=7, page_token=token))
            found += [ticket.ticket_id for ticket in page.tickets]
            desk.create("Comes between", queue="pages")
            token = page.next_page_token
            if not token:
                break
        self.assertEqual(len(found), len(set(found)))
        self.assertEqual([t for t in found if t in set(made)], made[::-1], "newest first, all there")

    def test_positions_that_cannot_be_served(self) -> None:
        desk = self.desk
        desk.create()
        cases = [
            (event_pb2.SubscribeRequest(after_sequence=1, desk_id=new_id()), "other_desk"),
            (event_pb2.SubscribeRequest(after_sequence=10**6, desk_id=desk.head().desk_id),
             "ahead"),
        ]
        for request, reason in cases:
            with self.subTest(reason):
                refusal = desk.refused(lambda r, **kw: list(desk.events.Subscribe(r, **kw)), request)
                self.assertEqual((refusal.code, refusal.reason),
                                 (grpc.StatusCode.OUT_OF_RANGE, reason))
                self.assertEqual(refusal.metadata["desk_id"], desk.head().desk_id)
                self.assertIn("available_from", refusal.metadata)
                self.assertTrue(refusal.text)
        refusal = desk.refused(lambda r, **kw: list(desk.events.Subscribe(r, **kw)),
                               event_pb2.SubscribeRequest(after_sequence=1))
        self.assertEqual(refusal.code, grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("desk_id", refusal.fields)

    def test_subscribers_see_the_same_order(self) -> None:
        subscribers = [Subscriber(self.core.address, self.desk.head().desk_id) for _ in range(5)]
        for subscriber in subscribers:
            subscriber.start()
        last = [self.desk.create() for _ in range(30)][-1]
        for subscriber in subscribers:
            wait_until(lambda s=subscriber: s.up_to >= last.sequence, "the whole log")
            subscriber.stop()
        log = oracle.check_log(self.desk.log())
        truth = {n: event.SerializeToString(deterministic=True) for n, event in log.items()}
        for subscriber in subscribers:
            oracle.check_complete(subscriber.seen, 0, last.sequence)
            oracle.check_same(subscriber.seen, truth)


if __name__ == "__main__":
    unittest.main()
