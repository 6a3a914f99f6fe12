"""Browsers, played by Debian's python3-websockets, and by a bare socket where a test must misbehave."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any

import websockets
from agentdesk_test import PATIENCE, address_of
from http_client import lines_of
from websockets.legacy.client import connect as ws_connect


class _Loop:
    """One event loop in a thread of its own for all clients of a test."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def do(self, coroutine: Any, patience: float = PATIENCE) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(patience)


_loop: _Loop | None = None


def the_loop() -> _Loop:
    global _loop
    if _loop is None:
        _loop = _Loop()
    return _loop


class Browser:
    """A connection whose messages are kept as the texts that came, in order."""

    def __init__(self, gateway: str, path: str = "/ws", protocol: str | list[str] | None = None,
                 origin: str | None = None, query: str = "",
                 headers: dict[str, str | list[str]] | None = None,
                 tls: ssl.SSLContext | None = None, source: str = "") -> None:
        """`source`: the address of this machine that the connection comes from."""
        self.texts: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._connection: Any = None
        self._tls = tls
        self._source = (source, 0) if source else None
        target = f"{'wss' if tls else 'ws'}://{gateway}{path}" + (f"?{query}" if query else "")
        offered = [protocol] if isinstance(protocol, str) else protocol or []
        subprotocols = [websockets.Subprotocol(name) for name in offered] or None
        sent = lines_of({**(headers or {}), **({"Origin": origin} if origin else {})})
        the_loop().do(self._open(target, subprotocols, sent))

    async def _open(self, target: str, subprotocols: Any, headers: Any) -> None:
        self._connection = await ws_connect(
            target, subprotocols=subprotocols, extra_headers=headers, compression=None,
            ping_interval=None, max_size=None, max_queue=None, open_timeout=PATIENCE,
            close_timeout=5, ssl=self._tls, local_addr=self._source)
        asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            async for text in self._connection:
                with self._changed:
                    self.texts.append(text)
                    self._changed.notify_all()
        except (websockets.ConnectionClosed, OSError):
            pass
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def subprotocol(self) -> str | None:
        return self._connection.subprotocol

    def send(self, message: Any) -> None:
        """Sends an object as JSON, a text or bytes as they are."""
        if not isinstance(message, (str, bytes)):
            message = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
        the_loop().do(self._connection.send(message))

    def wait_for(self, predicate: Callable[[list[str]], Any], what: str,
                 patience: float = PATIENCE) -> Any:
        """Waits until the predicate is true of the texts so far; returns its value."""
        with self._changed:
            self._changed.wait_for(lambda: predicate(self.texts) or self._ended, patience)
            value = predicate(self.texts)
            if not value:
                why = f"closed with {self.close_code}" if self._ended else f"not within {patience} s"
                raise AssertionError(f"no {what} ({why}); the last of {len(self.texts)} texts: "
                                     f"{self.texts[-5:]}")
            return value

    def wait_text(self, test: Callable[[dict[str, Any]], bool], what: str, start: int = 0) -> str:
        """The first text, from one index on, whose object passes the test."""
        def first(texts: list[str]) -> str | None:
            return next((text for text in texts[start:] if test(json.loads(text))), None)
        return self.wait_for(first, what)

    def wait_type(self, kind: str, start: int = 0, **fields: Any) -> dict[str, Any]:
        def test(message: dict[str, Any]) -> bool:
            return message["type"] == kind and all(
                message.get(name) == value for name, value in fields.items())
        return json.loads(self.wait_text(test, f"{kind} {fields}", start))

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Sends a command; returns the next ack, error or pong."""
        return json.loads(self.ask_text(message))

    def ask_text(self, message: Any) -> str:
        start = len(self.texts)
        self.send(message)
        return self.wait_text(lambda got: got["type"] in ("ack", "error", "pong"),
                              f"answer to {str(message)[:200]}", start)

    def wait_closed(self, patience: float = PATIENCE) -> int:
        """The close code, 1006 where the connection just broke."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._ended, patience):
                raise AssertionError(f"the connection was not closed within {patience} s")
        return self.close_code

    @property
    def close_code(self) -> int:
        return self._connection.close_code or 1006

    @property
    def close_reason(self) -> str:
        return self._connection.close_reason or ""

    @property
    def is_open(self) -> bool:
        return not self._ended

    def close(self) -> None:
        the_loop().do(self._connection.close())


def refused_status(gateway: str, path: str = "/ws", origin: str | None = None,
                   **more: Any) -> int:
    """The HTTP status with which a handshake is refused."""
    try:
        browser = Browser(gateway, path, origin=origin, **more)
    except websockets.InvalidStatusCode as refused:
        return refused.status_code
    browser.close()
    raise AssertionError("the handshake was accepted")


class FullBrowser(Browser):
    """A client of agentdesk.v1 that keeps (sequence, text) of each event."""

    def __init__(self, gateway: str, query: str = "", **kwargs: Any) -> None:
        super().__init__(gateway, protocol="agentdesk.v1", query=query, **kwargs)

    @property
    def seen(self) -> list[tuple[int, str]]:
        with self._changed:
            texts = list(self.texts)
        return [(message["sequence"], text) for text in texts
                if "sequence" in (message := json.loads(text))
                and message["type"] not in ("hello", "ack")]

    @property
    def last_sequence(self) -> int:
        seen = self.seen
        return seen[-1][0] if seen else 0

    def wait_sequence(self, sequence: int) -> None:
        """Waits until the event with this sequence has come."""
        mark = f'"sequence":{sequence},'

        def has_come(texts: list[str]) -> bool:
            return any(mark in text[:120] and not text.startswith('{"type":"hello"')
                       for text in reversed(texts))
        self.wait_for(has_come, f"event {sequence}")


class BareSocket:
    """A WebSocket client without manners: reads when told to, sends any bytes."""

    def __init__(self, gateway: str, path: str = "/ws", receive_buffer: int | None = None,
                 protocol: str | None = None, extensions: str | None = None,
                 tls: ssl.SSLContext | None = None, headers: dict[str, bytes] | None = None) -> None:
        """`headers`: more of them, whose values may be any bytes."""
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address_of(gateway))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=address_of(gateway)[0])
        self._buffer = b""
        offered = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        if extensions:
            offered += f"Sec-WebSocket-Extensions: {extensions}\r\n"
        more = b"".join(name.encode() + b": " + value + b"\r\n"
                        for name, value in (headers or {}).items())
        self.socket.sendall((
            f"GET {path} HTTP/1.1\r\nHost: {gateway}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{offered}"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n").encode()
            + more + b"\r\n")
        self._handshake()

    def _handshake(self) -> None:
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        self.handshake = head.decode()
        if not head.startswith(b"HTTP/1.1 101"):
            raise AssertionError(f"no upgrade: {head!r}")

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError("end of stream")
        self._buffer += data

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def read_frame(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload; every frame of the server must be whole and plain."""
        first, second = self._take(2)
        size = second & 0x7F
        if second & 0x80 or not first & 0x80 or first & 0x70:
            raise AssertionError(f"an odd frame from the server: {first:#x} {second:#x}")
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        return first & 0x0F, self._take(size)

    def send_frame(self, opcode: int, payload: bytes, first_bits: int = 0x80) -> None:
        """`first_bits`: FIN and the reserved bits."""
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", first_bits | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", first_bits | opcode, 0xFE, size)
        else:
            head = struct.pack("!BBQ", first_bits | opcode, 0xFF, size)
        pad = mask * (size // 4 + 1)
        masked = (int.from_bytes(payload, "big")
                  ^ int.from_bytes(pad[:size], "big")).to_bytes(size, "big")
        self.socket.sendall(head + mask + masked)

    def send_text(self, text: str) -> None:
        self.send_frame(1, text.encode())

    def read_type(self, kind: str) -> dict[str, Any]:
        """The next text of this type, past all that comes before it."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == 8:
                raise AssertionError(f"closed before {kind}: {payload!r}")
            if opcode == 1 and (message := json.loads(payload))["type"] == kind:
                return message

    def close(self) -> None:
        self.socket.close()
