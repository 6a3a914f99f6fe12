#!/usr/bin/python3
"""Stands in for agentdesk-frame-floor and goes wrong once, as WRONG says, with the first ticket of the third
connection that brings tickets: by then several are under way."""

import asyncio
import json
import os
import struct
import sys

UPGRADED = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
browsers: list[asyncio.StreamWriter] = []
creators = 0


def frame(name: str) -> bytes:
    text = json.dumps({"type": "ticket_created", "ticket_name": name, "padding": "x" * 126},
                      separators=(",", ":")).encode()
    return b"\x81\x7e" + struct.pack(">H", len(text)) + text


def create(name: str, wrong: str) -> bytes:
    """Tells all browsers, and returns the response."""
    for browser in browsers[:-1]:
        browser.write(frame(name) * (2 if wrong == "repeats" else 1))
    last = browsers[-1]
    if wrong == "disconnects":
        last.transport.abort()
    elif wrong == "changes":
        last.write(frame(f"{name}!"))
    elif wrong != "loses":
        last.write(frame(name) * (2 if wrong in ("doubles", "repeats") else 1))
    status = "503 Service Unavailable" if wrong == "refuses" else "200 OK"
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    global creators
    wrong = ""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /ws"):
            writer.write(UPGRADED)
            browsers.append(writer)
            return
        creators += 1
        if creators == 3:
            wrong = os.environ["WRONG"]
        while True:
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = json.loads(await reader.readexactly(size))
            writer.write(create(body["ticket_name"], wrong))
            wrong = ""
            head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"message": "listening", "address": f"127.0.0.1:{port}"}, separators=(",", ":")),
          file=sys.stderr, flush=True)
    await server.serve_forever()


asyncio.run(main())
