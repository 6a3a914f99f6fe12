"""Browsers of agentdesk.v1 by the hundred, in one event loop, as cheap as can be."""

from __future__ import annotations

import asyncio
import json
import time

from agentdesk_test import address_of

Event = tuple[int, dict]


class RefusedHandshake(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"the handshake was refused with {status}")
        self.status = status


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One whole frame from the server: its opcode and payload (RFC 6455 section 5.2)."""
    first, second = await reader.readexactly(2)
    size = second & 127
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
    return first & 15, await reader.readexactly(size)


class ManyBrowser:
    """One connection; keeps each event of the log that it was sent."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.close_code = 0  # 0: not closed
        self.closed_at = 0.0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, address: str, query: str) -> "ManyBrowser":
        browser = cls()
        host, port = address_of(address)
        browser._reader, browser._writer = await asyncio.open_connection(host, port)
        browser._writer.write((
            f"GET /ws?{query} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: agentdesk.v1\r\n\r\n").encode())
        head = await browser._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            browser.close()
            raise RefusedHandshake(int(head.split()[1]))
        return browser

    async def next_message(self) -> dict | None:
        """The next message; None: the connection was closed, see `close_code`."""
        while True:
            opcode, payload = await read_frame(self._reader)
            if opcode == 8:
                self.close_code = int.from_bytes(payload[:2], "big")
                self.closed_at = time.monotonic()
                return None
            if opcode != 1:
                continue
            message = json.loads(payload)
            if "ticket_id" in message:
                self.events.append((message["sequence"], message))
            return message

    async def follow(self, last: int) -> bool:
        """Reads until the event `last` has come; False: closed before."""
        while not self.events or self.events[-1][0] < last:
            if await self.next_message() is None:
                return False
        return True

    async def follow_to_close(self) -> None:
        while await self.next_message() is not None:
            pass

    def close(self) -> None:
        self._writer.close()
