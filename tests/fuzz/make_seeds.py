"""Writes tests/fuzz/corpus: what each fuzzer begins with, one input a file.

`PYTHONPATH=tests/support python3 tests/fuzz/make_seeds.py` writes it anew. What a fuzzer has found is added by
hand, under a name that says what it was.
"""

from __future__ import annotations

import json
import pathlib
import sys

import agentdesk_test  # makes the generated stubs importable
from agentdesk.v1 import admin_pb2, agent_pb2, event_pb2, session_pb2, ticket_pb2

CORPUS = pathlib.Path(__file__).parent / "corpus"
VECTORS = agentdesk_test.ROOT / "tests/vectors/jwt.json"
LEASE = {"job_id": "j1", "lease_token": 1}
UUID = "2bbab082-7928-716f-88e2-f42f69157f7b"


def calls() -> dict[str, bytes]:
    """In the order of call_fuzzer.cc, and some that belong together."""
    question = {"content": "Which?", "choices": [session_pb2.Choice(value="a", label="A"),
                                                 session_pb2.Choice(value="b")]}
    requests = [
        ticket_pb2.CreateTicketRequest(
            ticket_name="Fix", description="All of it", labels={"team": "web"}, queue="q", priority=9,
            max_attempts=2, timeout_s=60, ticket_id=UUID, request_id="r"),
        ticket_pb2.GetTicketRequest(ticket_id="t1"),
        ticket_pb2.ListTicketsRequest(page_size=1, status=ticket_pb2.JOB_STATUS_QUEUED),
        ticket_pb2.CancelTicketRequest(ticket_id="t1", request_id="r"),
        ticket_pb2.RetryTicketRequest(ticket_id="t2"),
        ticket_pb2.GetJobRequest(job_id="j1"),
        ticket_pb2.ListJobsRequest(page_size=1, ticket_id="t1"),
        agent_pb2.ClaimJobRequest(queues=["queue0"], worker="w", request_id="r"),
        agent_pb2.RenewLeaseRequest(**LEASE),
        agent_pb2.ReportActivityRequest(
            activities=[agent_pb2.Activity(message=event_pb2.AgentMessage(content="m", key="k")),
                        agent_pb2.Activity(tool_call=event_pb2.ToolCall(
                            tool_name="ls", title="Look", content="a", output_type="text", key="l"))],
            checkpoint_json='{"step":1}', **LEASE),
        agent_pb2.AskQuestionRequest(key="new", details_json='{"n":1}', default_response="a",
                                     multiple=False, **question, **LEASE),
        agent_pb2.WithdrawQuestionRequest(key="k", **LEASE),
        agent_pb2.ReceiveInputRequest(after_sequence=0, **LEASE),
        agent_pb2.ReleaseJobRequest(input_after_sequence=1, **LEASE),
        agent_pb2.CompleteJobRequest(summary="done", result_json='{"n":1}', **LEASE),
        agent_pb2.FailJobRequest(error="broken", retryable=True, **LEASE),
        session_pb2.GetSessionRequest(session_id="s1"),
        session_pb2.ListSessionsRequest(page_size=1),
        session_pb2.ListQuestionsRequest(session_id="s1", page_size=1),
        session_pb2.GetQuestionRequest(question_id="q1"),
        session_pb2.SubmitResponseRequest(session_id="s1", question_id="q1", response="yes", request_id="r"),
        session_pb2.SendMessageRequest(session_id="s1", content="Hurry"),
        event_pb2.SubscribeRequest(desk_id="d", after_sequence=1, filter=event_pb2.EventFilter(
            ticket_ids=["t1"], session_ids=["s1"], types=[event_pb2.EVENT_TYPE_TICKET_CREATED])),
        event_pb2.ListEventsRequest(page_size=1, after_sequence=1, desk_id="d", filter=event_pb2.EventFilter(
            ticket_ids=["t1"])),
        event_pb2.GetDeskRequest(),
        admin_pb2.CompactRequest(keep_events=1),
    ]
    seeds = {}
    encoded = {}
    for method, request in enumerate(requests):
        name = type(request).__name__.removesuffix("Request")
        text = request.SerializeToString(deterministic=True)
        encoded[name] = bytes([method]) + len(text).to_bytes(2, "big") + text
        seeds[name] = encoded[name]

    def then(name: str, request: object) -> bytes:
        text = request.SerializeToString()
        return encoded[name][:1] + len(text).to_bytes(2, "big") + text

    next_page = "n"
    for name, request in {
        "ListTickets": ticket_pb2.ListTicketsRequest(page_size=1, page_token=next_page,
                                                     status=ticket_pb2.JOB_STATUS_QUEUED),
        "ListJobs": ticket_pb2.ListJobsRequest(page_size=1, page_token=next_page, ticket_id="t1"),
        "ListSessions": session_pb2.ListSessionsRequest(page_size=1, page_token=next_page),
        "ListEvents": event_pb2.ListEventsRequest(page_size=1, after_sequence=1, desk_id="d",
                                                  page_token=next_page, filter=event_pb2.EventFilter(
                                                      ticket_ids=["t1"]))}.items():
        seeds[f"pages_of_{name}"] = encoded[name] + then(name, request)
    seeds["life"] = b"".join(encoded[name] for name in (
        "ReportActivity", "AskQuestion", "SubmitResponse", "SendMessage", "ReceiveInput", "ListQuestions",
        "CompleteJob", "ListEvents"))
    seeds["parking"] = encoded["ReleaseJob"] + encoded["SendMessage"] + then(
        "ClaimJob", agent_pb2.ClaimJobRequest(queues=["queue1"], worker="v")) + encoded["RenewLease"]
    seeds["cancelled"] = encoded["CancelTicket"] + encoded["CompleteJob"] + then(
        "RetryTicket", ticket_pb2.RetryTicketRequest(ticket_id="t1"))
    seeds["snapshot"] = then("Subscribe", event_pb2.SubscribeRequest(snapshot=True))
    return seeds


def tokens() -> dict[str, bytes]:
    seeds = {}
    groups = json.loads(VECTORS.read_text(encoding="utf-8"))["testGroups"]
    for group in groups:
        name = group["comment"].replace(" ", "_")
        seeds[f"token_{name}"] = b"\0" + group["tests"][0]["jwt"].encode()
        seeds[f"keys_{name}"] = b"\2" + json.dumps(group["keys"]).encode()
    claims = {"iss": "i", "aud": ["a"], "sub": "alice", "exp": 1764467000, "nbf": 1.5, "iat": 1,
              "scope": "tickets:read admin", "scp": ["x"], "groups": ["g"], "roles": ["r"], "tenant": "t"}
    seeds["signed"] = b'\1{"alg":"HS256","kid":"k","typ":"JWT"}\n' + json.dumps(claims).encode()
    seeds["pem"] = (b"\2-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                    b"-----END PUBLIC KEY-----\n")
    seeds["identity"] = b"\3eyJzdWIiOiJhIiwic2NvcGVzIjpbIngiXSwiZXhwaXJlc19tcyI6MX0"
    return seeds


def messages() -> dict[str, bytes]:
    session = f'"session_id":"{UUID}"'
    texts = {
        "ping": '{"type":"ping"}', "auth": '{"type":"auth","token":"a.b.c"}',
        "user_response": f'{{"type":"user_response",{session},"response":"yes","question_id":"{UUID}","request_id":"r"}}',
        "responses": f'{{"type":"user_response",{session},"response":["a","b"]}}',
        "subscribe": f'{{"type":"subscribe","from":{{"desk":"{UUID}","after":7}},"filter":{{"ticket_ids":["{UUID}"],'
                     f'"session_ids":[],"types":["agent_question"]}}}}',
        "subscribe_live": '{"type":"subscribe","from":"live"}',
        "subscribe_snapshot": '{"type":"subscribe","from":"snapshot","filter":{}}',
        "send_message": f'{{"type":"send_message",{session},"content":"Hi \\ud83d\\ude00","request_id":"r"}}',
        "create_ticket": '{"type":"create_ticket","ticket_name":"N","description":"D","labels":{"a":"b"},"queue":"q",'
                         '"priority":3,"run_after":"2025-11-30T01:35:01.946551+00:00","max_attempts":2,"timeout_s":9}',
        "cancel_ticket": f'{{"type":"cancel_ticket","ticket_id":"{UUID}"}}',
        "retry_ticket": f'{{"type":"retry_ticket","ticket_id":"{UUID}"}}',
        "doubled": '{"type":"ping","type":"auth"}', "deep": "[" * 40 + "]" * 40, "number": "1e999",
        "surrogate": '{"type":"\\ud800"}', "unknown": '{"type":"new"}', "list": "[]"}
    return {f"{name}_{protocol}": bytes([protocol]) + text.encode()
            for name, text in texts.items() for protocol in (0, 1)}


def requests() -> dict[str, bytes]:
    page = UUID.replace("-", "")
    return {
        "create": b'\0{"ticket_name":"N","description":"D","labels":{"a":"b"},"priority":5,"request_id":"r"}',
        "create_at": b'\0{"ticket_name":"N","run_after":"2025-11-30T01:35:01.946551+00:00"}',
        "response": f'\1{{"response":"yes","question_id":"{UUID}","request_id":"r","as_of_sequence":7}}'.encode(),
        "responses": b'\1{"response":["a","b"],"as_of_sequence":1}',
        "message": b'\2{"content":"Hi","request_id":"r"}', "request_id": b'\3{"request_id":"r"}', "nothing": b"\3",
        "notion": f'\4{{"page_id":"{page}","database_id":"d","event_type":"page.created",'
                  f'"timestamp":"2025-11-30T01:35:01.946Z"}}'.encode(),
        "notion_number": f'\4{{"page_id":"{UUID.upper()}","database_id":"d","event_type":"e","timestamp":1764466501}}'.encode(),
        "query": f"\5after=7&desk={UUID}".encode(), "query_live": b"\5live=1", "query_snapshot": b"\5snapshot=1&x=%41",
        "stream": f"\6after={UUID}:7&types=agent_question,tool_call&ticket_ids={UUID}".encode(),
        "last_event_id": f"\6live=1\n{UUID}:7".encode(),
        "origin": b"\7https://desk.example\n127.0.0.1:8000", "origin_own": b"\7http://127.0.0.1:8000\n127.0.0.1:8000",
        "token_header": b"\x09authorization: Bearer a.b.c", "token_cookie": b"\x09cookie: x=1; agentdesk_token=a.b.c",
        "token_subprotocol": b"\x09sec-websocket-protocol: agentdesk.v1, agentdesk.bearer.a.b.c",
        "origin_null": b"\7null\nlocalhost", "origin_port": b"\7http://localhost:5173\nlocalhost:8000",
        "percent": b"\x08a=%C3%A4+b&after=%31", "trace": b"\x0800-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


def main() -> None:
    for fuzzer, seeds in {"call_fuzzer": calls(), "token_fuzzer": tokens(), "client_message_fuzzer": messages(),
                          "http_request_fuzzer": requests()}.items():
        folder = CORPUS / fuzzer
        folder.mkdir(parents=True, exist_ok=True)
        for name, seed in seeds.items():
            (folder / f"{name}.seed").write_bytes(seed)


if __name__ == "__main__":
    sys.exit(main())
