"""Clients of Server-Sent Events, as HTML's EventSource reads them (HTML Standard section 9.2)."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

from agentdesk_test import PATIENCE, address_of


class StreamRefused(Exception):
    """The answer was no stream."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


class EventStream:
    """One connection. Keeps (id, data) of each event as it came, and the last id, as a browser does."""

    def __init__(self, gateway: str, query: str = "", last_event_id: str = "",
                 receive_buffer: int | None = None, source: str = "", **headers: str) -> None:
        self.events: list[tuple[str, str]] = []
        self.last_event_id = last_event_id
        self.retry_ms = 0
        self._changed = threading.Condition()
        self._ended = False
        self._buffer = b""
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(PATIENCE)
        try:
            self.head = self._open(gateway, query, headers)
        except BaseException:
            self.socket.close()
            raise

    def _open(self, gateway: str, query: str, headers: dict[str, str]) -> str:
        self.socket.connect(address_of(gateway))
        if self.last_event_id:
            headers["Last_Event_ID"] = self.last_event_id
        lines = [f"GET /events{'?' + query if query else ''} HTTP/1.1", f"Host: {gateway}",
                 "Connection: close",
                 *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionResetError("no answer")
            self._buffer += data
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        status = int(head.split()[1])
        if status != 200:
            while data := self.socket.recv(65536):
                self._buffer += data
            raise StreamRefused(status, self._buffer.decode())
        return head.decode()

    def follow(self) -> "EventStream":
        """Reads on in a thread of its own."""
        threading.Thread(target=self.read, daemon=True).start()
        return self

    def read(self) -> None:
        """Reads until the stream ends."""
        try:
            self.socket.settimeout(None)
            while True:
                self._take_events()
                data = self.socket.recv(65536)
                if not data:
                    break
                self._buffer += data
        except OSError:
            pass
        self.socket.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take_events(self) -> None:
        # What stands behind the last blank line is no event: a browser drops it at the end.
        *whole, self._buffer = self._buffer.split(b"\n\n")
        with self._changed:
            for block in whole:
                self._take(block.decode())
            self._changed.notify_all()

    def _take(self, block: str) -> None:
        data = []
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_event_id = value
            elif name == "retry":
                self.retry_ms = int(value)
            elif name == "data":
                data.append(value)
            else:
                raise AssertionError(f"an odd line: {line!r}")
        if data:
            self.events.append((self.last_event_id, "\n".join(data)))

    @property
    def messages(self) -> list[dict[str, Any]]:
        with self._changed:
            return [json.loads(data) for _, data in self.events]

    @property
    def seen(self) -> list[tuple[int, str]]:
        """(sequence, text) of what is in the log."""
        with self._changed:
            texts = [data for _, data in self.events]
        return [(message["sequence"], text) for text in texts
                if "sequence" in (message := json.loads(text)) and message["type"] != "hello"]

    def wait_for(self, test: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        def first() -> dict[str, Any] | None:
            return next((m for m in (json.loads(data) for _, data in self.events) if test(m)), None)
        with self._changed:
            self._changed.wait_for(lambda: first() or self._ended, PATIENCE)
            found = first()
            if found is None:
                raise AssertionError(f"no {what}; ended: {self._ended}; the last events: "
                                     f"{self.events[-5:]}")
            return found

    def wait_type(self, kind: str) -> dict[str, Any]:
        return self.wait_for(lambda message: message["type"] == kind, kind)

    def wait_sequence(self, sequence: int) -> None:
        self.wait_for(lambda message: message["type"] != "hello"
                      and message.get("sequence") == sequence, f"event {sequence}")

    def wait_ended(self) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._ended, PATIENCE):
                raise AssertionError("the stream did not end")

    def close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Follower(threading.Thread):
    """What an EventSource does: it comes back after each break with the last id that it has."""

    def __init__(self, gateway: str, query: str = "") -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[int, str]] = []
        self.kinds: list[str] = []
        self.breaks = 0
        self._gateway = gateway
        self._query = query
        self._stopping = threading.Event()
        self._stream: EventStream | None = None

    def run(self) -> None:
        last_event_id = ""
        while not self._stopping.is_set():
            try:
                self._stream = EventStream(self._gateway, self._query, last_event_id)
            except OSError:
                self._stopping.wait(0.05)
                continue
            if self._stopping.is_set():
                self._stream.close()
            self._stream.read()
            self._keep(self._stream)
            last_event_id = self._stream.last_event_id
            self.breaks += 1

    def _keep(self, stream: EventStream) -> None:
        self.seen = self.seen + stream.seen
        self.kinds = self.kinds + [message["type"] for message in stream.messages]

    @property
    def last_sequence(self) -> int:
        stream = self._stream
        seen = self.seen + (stream.seen if stream is not None else [])
        return max((sequence for sequence, _ in seen), default=0)

    def stop(self) -> None:
        """The last connection is read to where it is and then left."""
        self._stopping.set()
        if self._stream is not None:
            self._stream.close()
        self.join(PATIENCE)
        assert not self.is_alive(), "the follower did not end"
