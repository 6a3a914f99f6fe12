"""The desk that a release left on disk, kept so that every later version can show that it opens it.

`python3 tests/support/stored_desk.py NAME` makes tests/fixtures/NAME.sqlite3.xz and NAME.json with the
programs in $AGENTDESK_BIN. It is run once for each version of the schema, and never again for the same.
"""

from __future__ import annotations

import json
import lzma
import pathlib
import sys
import tempfile
from typing import Any

from agentdesk_test import Core, ROOT
from desk_client import DeskClient, agent_pb2, event_pb2, seconds, session_pb2, ticket_pb2
from google.protobuf.json_format import MessageToDict

FIXTURES = ROOT / "tests/fixtures"


def as_json(messages: Any, *without: str) -> list[dict[str, Any]]:
    shown = [MessageToDict(message, preserving_proto_field_name=True) for message in messages]
    return [{name: value for name, value in one.items() if name not in without} for one in shown]


def state_of(desk: DeskClient) -> dict[str, Any]:
    """All that a reader can see of a desk, but for what depends on the time of day."""
    tickets = desk.call(desk.tickets.ListTickets, ticket_pb2.ListTicketsRequest(page_size=1000))
    jobs = desk.call(desk.tickets.ListJobs, ticket_pb2.ListJobsRequest(page_size=1000))
    questions = desk.call(desk.sessions.ListQuestions,
                          session_pb2.ListQuestionsRequest(page_size=1000))
    sessions = desk.call(desk.sessions.ListSessions,
                         session_pb2.ListSessionsRequest(page_size=1000))
    return {"log": as_json(desk.log()), "tickets": as_json(tickets.tickets),
            "jobs": as_json(jobs.jobs, "lease_expires_at"),
            "questions": as_json(questions.questions), "sessions": as_json(sessions.sessions)}


def live(desk: DeskClient) -> None:
    """Leaves a ticket in every state, and a question in every state."""
    waiting = desk.start("Waits", queue="parked")
    desk.ask(waiting, "Go on?", key="go", choices=[session_pb2.Choice(value="yes", label="Yes"),
                                                   session_pb2.Choice(value="no")])
    desk.call(desk.agents.ReleaseJob, agent_pb2.ReleaseJobRequest(
        input_after_sequence=desk.head().head_sequence, **waiting.args))

    running = desk.start("Runs", lease_s=600, labels={"team": "web"})
    desk.say(running, "I begin.", key="hello")
    desk.call(desk.agents.ReportActivity, agent_pb2.ReportActivityRequest(
        checkpoint_json='{"step":9007199254740993}', activities=[agent_pb2.Activity(
            tool_call=event_pb2.ToolCall(tool_name="ls", title="Look", content="a\nb",
                                         output_type="text", key="ls-1"))], **running.args))
    secret = desk.ask(running, "The password?", key="password", sensitive=True)
    desk.answer(running.session_id, "hunter2", question_id=secret.question_id)
    desk.ask(running, "Which colour?", key="colour", details_json='{"n":9007199254740993}')
    desk.call(desk.sessions.SendMessage, session_pb2.SendMessageRequest(
        session_id=running.session_id, content="Hurry, please."))

    completed = desk.start("Completes")
    question = desk.ask(completed, "Several?", key="several", multiple=True, choices=[
        session_pb2.Choice(value="a"), session_pb2.Choice(value="b")])
    desk.call(desk.sessions.SubmitResponse, session_pb2.SubmitResponseRequest(
        session_id=completed.session_id, question_id=question.question_id, responses=["b", "a"]))
    desk.ask(completed, "Never mind?", key="withdrawn")
    desk.complete(completed, "Done.", {"n": 1})

    expiring = desk.start("Sees a question expire", lease_s=600)
    desk.ask(expiring, "Quick?", key="quick", default_response="no", expires_in=seconds(1))
    input_stream = desk.agents.ReceiveInput(
        agent_pb2.ReceiveInputRequest(after_sequence=0, **expiring.args), timeout=60)
    next(one for one in input_stream if one.HasField("expired"))
    input_stream.cancel()
    desk.fail(expiring, "No luck", retryable=False)

    cancelled = desk.create("Is cancelled and retried", queue="nobody")
    desk.call(desk.tickets.CancelTicket,
              ticket_pb2.CancelTicketRequest(ticket_id=cancelled.ticket_id))
    desk.call(desk.tickets.RetryTicket, ticket_pb2.RetryTicketRequest(ticket_id=cancelled.ticket_id))
    desk.create("Stays queued", queue="nobody", request_id="remembered", priority=9)
    again = desk.start("Is requeued")
    desk.fail(again, "Once more", retryable=True)


def make(name: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        core = Core(pathlib.Path(scratch) / "data", "--expiry_hold=0s").start()
        desk = DeskClient(core.address)
        live(desk)
        state = state_of(desk)
        desk.close()
        core.stop()
        stored = (pathlib.Path(scratch) / "data/desk.sqlite3").read_bytes()
    (FIXTURES / f"{name}.sqlite3.xz").write_bytes(lzma.compress(stored, preset=9))
    (FIXTURES / f"{name}.json").write_text(
        json.dumps(state, ensure_ascii=False, sort_keys=True, indent=1) + "\n", encoding="utf-8")


def unpack(name: str, data_dir: pathlib.Path) -> dict[str, Any]:
    """Puts the stored desk into a directory; returns what it must show."""
    data_dir.mkdir()
    data_dir.joinpath("desk.sqlite3").write_bytes(
        lzma.decompress((FIXTURES / f"{name}.sqlite3.xz").read_bytes()))
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    make(sys.argv[1])
