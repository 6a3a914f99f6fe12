"""Lives of tickets that between them leave every type of event in the log, in its variants."""

from __future__ import annotations

import uuid

from agentdesk_test import wait_until
from desk_client import (DeskClient, Lease, agent_pb2, event_pb2, seconds, session_pb2,
                         ticket_pb2)

EVENT_TYPES = {field.name for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields}


def live(desk: DeskClient) -> list[str]:
    """Runs all lives; returns the ids of their tickets, of which some have ended and some go on."""
    return [step(desk).ticket_id for step in
            (completes, fails, is_cancelled_while_it_runs, waits_and_goes_on, is_still_asked)]


def completes(desk: DeskClient) -> Lease:
    lease = desk.start("Completes", description="In full", labels={"b": "2", "a": "1"}, priority=7,
                       timeout_s=600)
    desk.call(desk.agents.ReportActivity, agent_pb2.ReportActivityRequest(activities=[
        agent_pb2.Activity(message=event_pb2.AgentMessage(content="Looking \u2028 \U0001f600",
                                                          key="m")),
        agent_pb2.Activity(tool_call=event_pb2.ToolCall(
            tool_name="grep", title="Search", content="cut", output_type="text", key="t",
            truncated=True, size=123456)),
    ], **lease.args))
    choices = [session_pb2.Choice(value="a", label="A", description="The first"),
               session_pb2.Choice(value="b")]
    single = desk.ask(lease, "One?", choices=choices, default_response="a", free_text=True,
                      expires_in=seconds(3600), details_json='{"n": 12345678901234567890}')
    several = desk.ask(lease, "Several?", choices=choices, multiple=True, default_responses=["b"])
    secret = desk.ask(lease, "Secret?", sensitive=True)
    desk.answer(lease.session_id, "something else", question_id=single.question_id)
    desk.call(desk.sessions.SubmitResponse, session_pb2.SubmitResponseRequest(
        session_id=lease.session_id, responses=["a", "b"], question_id=several.question_id))
    desk.answer(lease.session_id, "hush", question_id=secret.question_id)
    desk.call(desk.sessions.SendMessage, session_pb2.SendMessageRequest(
        session_id=lease.session_id, content="Hello agent"))
    desk.complete(lease, "done", {"files": 3})
    return lease


def fails(desk: DeskClient) -> Lease:
    queue = f"q-{uuid.uuid4().hex[:12]}"
    first = desk.start("Fails", queue=queue, max_attempts=2)
    desk.fail(first, "flaky", retryable=True)
    lease = desk.claim(queue, wait_s=20)
    withdrawn = desk.ask(lease, "Never mind?", key="never-mind")
    desk.call(desk.agents.WithdrawQuestion, agent_pb2.WithdrawQuestionRequest(
        key=withdrawn.key, **lease.args))
    desk.ask(lease, "Open at the end?")
    desk.fail(lease, "broken", retryable=True)
    desk.call(desk.tickets.RetryTicket, ticket_pb2.RetryTicketRequest(ticket_id=lease.ticket_id))
    again = desk.claim(queue)
    desk.call(desk.agents.ReleaseJob, agent_pb2.ReleaseJobRequest(**again.args))
    return lease


def is_cancelled_while_it_runs(desk: DeskClient) -> Lease:
    lease = desk.start("Is cancelled")
    desk.ask(lease, "Open at the cancel?")
    desk.call(desk.tickets.CancelTicket, ticket_pb2.CancelTicketRequest(ticket_id=lease.ticket_id))
    desk.complete(lease)
    desk.call(desk.tickets.RetryTicket, ticket_pb2.RetryTicketRequest(ticket_id=lease.ticket_id))
    desk.call(desk.tickets.CancelTicket, ticket_pb2.CancelTicketRequest(ticket_id=lease.ticket_id))
    return lease


def waits_and_goes_on(desk: DeskClient) -> Lease:
    queue = f"q-{uuid.uuid4().hex[:12]}"
    lease = desk.start("Waits", queue=queue)
    desk.ask(lease, "Until it expires?", choices=[session_pb2.Choice(value="yes")],
             default_response="yes", expires_in=seconds(1))
    head = desk.head().head_sequence
    desk.call(desk.agents.ReleaseJob, agent_pb2.ReleaseJobRequest(input_after_sequence=head,
                                                                  **lease.args))
    wait_until(lambda: desk.ticket(lease.ticket_id).open_questions == 0, "an expiry")
    return desk.claim(queue, wait_s=20)


def is_still_asked(desk: DeskClient) -> Lease:
    lease = desk.start("Is still asked")
    desk.ask(lease, "Now?", expires_in=seconds(3600))
    desk.ask(lease, "And this?")
    return lease
