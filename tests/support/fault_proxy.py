"""A TCP proxy that breaks what passes through it, on command."""

from __future__ import annotations

import socket
import struct
import threading

from agentdesk_test import PATIENCE, address_of, wait_until


class FaultProxy:
    """Forwards to `target`. `slice_bytes` cuts the stream into pieces of that size; each piece takes
    `delay_s` on its way, and as long as `bytes_per_s` asks. What is held back stays in order and
    passes once it flows again; a connection that is blackholed never recovers."""

    def __init__(self, target: str, slice_bytes: int = 65536, delay_s: float = 0,
                 bytes_per_s: float = 0) -> None:
        self._target = address_of(target)
        self._slice = slice_bytes
        self._delay_s = delay_s
        self._bytes_per_s = bytes_per_s
        self._closed = threading.Event()
        self._to_server = threading.Event()
        self._to_client = threading.Event()
        self._refuses = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._dead: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.accepted = 0
        self.refused = 0
        self._told = b""
        self.flow()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                self.refused += 1
                _reset(client)
                continue
            try:
                server = socket.create_connection(self._target, PATIENCE)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append((client, server))
                self.accepted += 1
            for source, sink, flows in ((client, server, self._to_server),
                                        (server, client, self._to_client)):
                threading.Thread(target=self._pump, args=(source, sink, flows),
                                 daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, flows: threading.Event) -> None:
        try:
            while data := source.recv(65536):
                flows.wait()
                with self._lock:
                    if source in self._dead:
                        continue
                for begin in range(0, len(data), self._slice):
                    piece = data[begin:begin + self._slice]
                    self._travel(len(piece))
                    sink.sendall(piece)
                if flows is self._to_server:
                    with self._lock:
                        self._told = (self._told + data)[-65536:]
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            _reset(source)
            _reset(sink)

    def _travel(self, size: int) -> None:
        """Takes the time that a piece of this size is on its way."""
        time_s = self._delay_s + (size / self._bytes_per_s if self._bytes_per_s else 0)
        if time_s > 0:
            self._closed.wait(time_s)

    def blackhole(self) -> None:
        """From now on today's connections swallow everything, and nobody is told."""
        with self._lock:
            for pair in self._pairs:
                self._dead.update(pair)

    def hold_answers(self) -> None:
        """Holds back what the server says; what it is told passes."""
        self._to_client.clear()

    def flow(self) -> None:
        self._refuses = False
        self._to_server.set()
        self._to_client.set()

    def reset(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _reset(end)

    def refuse(self) -> None:
        self._refuses = True
        self.reset()

    def wait_told(self, text: str, times: int = 1) -> None:
        """Until the server was told this, so often, among the last 64 KiB."""
        def told() -> bool:
            with self._lock:
                return self._told.count(text.encode()) >= times

        wait_until(told, f"{text!r} on its way to the server")

    def wait_accepted(self, count: int) -> None:
        wait_until(lambda: self.accepted >= count, f"connection {count} through the proxy")

    def close(self) -> None:
        self._closed.set()
        self.flow()
        # Wakes the thread that accepts, which closing alone does not.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.reset()


def _reset(end: socket.socket) -> None:
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RD)  # wakes the thread that reads, and says nothing to the peer
    except OSError:
        pass
    end.close()
