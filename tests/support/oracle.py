"""The oracle: what the promises allow, checked over what clients saw and what was acknowledged.

P1 durable, P2 one order, P3 exact resume. Each function raises AssertionError with the first
violation in words; tests/support/oracle_test.py shows that each of them notices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Seen = Sequence[tuple[int, Any]]


def check_log(log: Iterable[Any]) -> dict[int, Any]:
    """The stored log is 1..N without holes and its time never goes back. Returns it by sequence."""
    by_sequence = {}
    last_time = (0, 0)
    for expected, event in enumerate(log, start=1):
        if event.sequence != expected:
            raise AssertionError(f"the log has {event.sequence} where {expected} belongs")
        time = (event.time.seconds, event.time.nanos)
        if time < last_time:
            raise AssertionError(f"the time goes back at {expected}")
        last_time = time
        by_sequence[expected] = event
    return by_sequence


def check_ordered(seen: Seen) -> None:
    """Each event once and in order, on one stream with all its resumptions."""
    for (before, _), (after, _) in zip(seen, seen[1:]):
        if after == before:
            raise AssertionError(f"{after} came twice")
        if after < before:
            raise AssertionError(f"{after} came after {before}")


def check_complete(seen: Seen, after: int, up_to: int) -> None:
    """Everything after one position and up to another, with nothing left out."""
    check_ordered(seen)
    sequences = [sequence for sequence, _ in seen if after < sequence <= up_to]
    if len(sequences) != up_to - after:
        missing = sorted(set(range(after + 1, up_to + 1)) - set(sequences))
        raise AssertionError(f"{len(missing)} events were never seen, the first is {missing[0]}")
    if seen and seen[0][0] <= after:
        raise AssertionError(f"{seen[0][0]} came though only what is after {after} was asked for")


def check_same(seen: Seen, truth: dict[int, Any]) -> None:
    """Each event as the truth has it."""
    for sequence, content in seen:
        if sequence not in truth:
            raise AssertionError(f"{sequence} was sent but is not in the log")
        if truth[sequence] != content:
            raise AssertionError(f"{sequence} differs: {content!r} is not {truth[sequence]!r}")


def check_durable(acknowledged: Iterable[tuple[int, str]], log: dict[int, Any]) -> None:
    """Each acknowledged write stands in the log, at the sequence that was acknowledged."""
    for sequence, ticket_id in acknowledged:
        event = log.get(sequence)
        if event is None:
            raise AssertionError(f"the acknowledged event {sequence} is not in the log")
        if event.ticket_id != ticket_id:
            raise AssertionError(f"event {sequence} is of {event.ticket_id}, not of {ticket_id}")


def check_one_winner(outcomes: Iterable[tuple[str, str, str]], winner: str = "received") -> str:
    """Of (outcome, response sent, response that stands) exactly one won, and all others were told
    its response. Returns the winning response."""
    outcomes = list(outcomes)
    winners = [sent for outcome, sent, _ in outcomes if outcome == winner]
    if len(winners) != 1:
        raise AssertionError(f"{len(winners)} of {len(outcomes)} answers won")
    for outcome, sent, stands in outcomes:
        if outcome == winner:
            continue
        if outcome != "already_answered" or stands != winners[0]:
            raise AssertionError(f"the answer {sent!r} was told {outcome} and {stands!r}, "
                                 f"but {winners[0]!r} won")
    return winners[0]
