"""An agent program for tests: what it does is named by its ticket's description."""

import json
import os
import signal
import subprocess
import sys
import threading


def send(**message) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def receive(*kinds: str) -> dict:
    """The next line of one of these types; an agent whose input ends has nothing left to do."""
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] in kinds:
            return message
    sys.exit(4)


def asks(start: dict) -> None:
    send(type="message", content="I have a question", key="hello")
    send(type="question", key="q1", content="Which?", choices=["red", "blue"], free_text=True)
    answer = receive("answer")
    send(type="complete", summary=f"You said {answer['response']}", result={
        "attempt": start["attempt"], "reason": start["reason"], "answer": answer,
        "transcript": [event["type"] for event in start["transcript"]]})


def parks(start: dict) -> None:
    if start["reason"] == "new":
        send(type="checkpoint", state={"step": 1, "big": 12345678901234567890})
        send(type="question", key="q1", content="May I?")
        send(type="park")
        return
    send(type="question", key="q1", content="May I?")
    answer = receive("answer")
    send(type="complete", summary="went on", result={
        "state": start["state"], "reason": start["reason"], "response": answer["response"]})


def parks_with_a_full_buffer(start: dict) -> None:
    for event in start["transcript"]:
        if event["type"] == "question_answered":
            send(type="complete", summary=event["response"], result={"reason": start["reason"]})
            return
    send(type="question", key="q1", content="May I?")
    # It takes both lines at once, as any program with a buffer may, and looks at the first only.
    taken = b""
    while taken.count(b"\n") < 2:
        taken += os.read(sys.stdin.fileno(), 65536)
    assert json.loads(taken.splitlines()[0])["type"] == "message"
    send(type="park")


def ignores_cancel(_start: dict) -> None:
    child = subprocess.Popen(["sleep", "600"])
    send(type="message", content=f"child {child.pid} of {os.getpid()}")
    receive("cancel")
    threading.Event().wait()


def has_last_words(_start: dict) -> None:
    def on_sigterm(*_) -> None:
        send(type="message", content="last words")
        sys.exit(0)
    signal.signal(signal.SIGTERM, on_sigterm)
    send(type="message", content="ready")
    signal.pause()


def stays_after_its_end(_start: dict) -> None:
    send(type="complete", summary="done")
    threading.Event().wait()


def shows_environment(_start: dict) -> None:
    names = [name for name in os.environ if name.startswith("AGENTDESK_")]
    send(type="complete", summary="seen", result={"names": names})


def writes_garbage(_start: dict) -> None:
    print("no JSON at all")
    print('{"type":"nonsense"}')
    print("[1,2]")
    send(type="question", key="", content="")
    refused = receive("error")
    send(type="complete", summary="survived", result={"code": refused["code"]})


def asks_too_much(_start: dict) -> None:
    for number in range(101):
        send(type="question", key=f"q{number}", content="May I?")
    refused = receive("error")
    send(type="withdraw", key="q0")
    receive("withdrawn")
    send(type="question", key="again", content="May I now?")
    answer = receive("answer")
    send(type="complete", summary=answer["response"], result={"code": refused["code"], "key": refused["key"]})


def dies_once(start: dict) -> None:
    if start["attempt"] == 1:
        print("the disk is full", file=sys.stderr)
        sys.exit(3)
    send(type="complete", summary=start["reason"])


def waits_for_a_message(_start: dict) -> None:
    send(type="message", content="ready")
    message = receive("message")
    send(type="complete", summary=message["content"], result={"from": message["from"]})


def main() -> None:
    start = receive("start")
    assert start["protocol"] == 1
    globals()[start["ticket"]["description"]](start)


main()
