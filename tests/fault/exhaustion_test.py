"""Descriptors run out on both ports (row 11), requests that never end (row 12)."""

import resource
import socket
import time
import unittest
from collections.abc import Callable

import http_client
from agentdesk_test import (Core, DeskTestCase, Gateway, Program, System, address_of, http_status,
                            wait_until)
from desk_client import DeskClient, event_pb2
from ws_client import Browser

DESCRIPTORS = 64
# 10 s, and what a busy machine is late.
MAX_REQUEST_S = 15


def connect_many(address: str, count: int) -> list[socket.socket]:
    """As many connections as the listener's queue takes; none of them says anything."""
    connections = []
    for _ in range(count):
        connection = socket.socket()
        connection.settimeout(2)
        connection.connect(address_of(address))
        connections.append(connection)
    return connections


class DescriptorsTest(unittest.TestCase):
    def test_core_serves_again(self) -> None:
        system = System(gateway=False)
        self.addCleanup(system.close)
        # Beyond what its own limit of connections keeps free for other things.
        few = system.core.descriptors_in_use() + 6
        _, hard = resource.prlimit(system.core.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(system.core.pid, resource.RLIMIT_NOFILE, (few, hard))
        self.exhaust(system.core, "out of descriptors: connections are refused", few,
                     lambda: self.asks(system.core.address))

    def test_core_keeps_to_the_connections_that_it_has_descriptors_for(self) -> None:
        system = System(gateway=False)
        self.addCleanup(system.close)
        core = Core(system.scratch / "small", descriptors=DESCRIPTORS)
        system.add(core).start()
        most = core.wait_for_log("listening")["max_connections"]
        self.assertLess(most, DESCRIPTORS)
        idle = connect_many(core.address, 120)
        wait_until(lambda: sum(map(is_closed_by_peer, idle)) >= 120 - most, "refusals")
        self.assertEqual(core.logged("out of descriptors: connections are refused"), [])
        for connection in idle:
            connection.close()
        self.asks(core.address)

    def test_gateway_serves_again(self) -> None:
        system = System(gateway=False)
        self.addCleanup(system.close)
        gateway = Gateway(system.core.address, descriptors=DESCRIPTORS)
        system.add(gateway).start()

        def uses() -> None:
            wait_until(lambda: http_status(gateway.address, "/health") == 200, "an answer")
            browser = Browser(gateway.address)
            self.assertEqual(browser.ask({"type": "ping"}), {"type": "pong"})
            browser.close()

        self.exhaust(gateway, "cannot accept connections", DESCRIPTORS, uses)

    def exhaust(self, program: Program, complaint: str, descriptors: int,
                use: Callable[[], None]) -> None:
        """Takes all descriptors three times, and each time, once they are released, uses it."""
        for _ in range(3):
            idle = connect_many(program.address, 120)
            wait_until(lambda: program.descriptors_in_use() >= descriptors - 1
                       and program.logged(complaint), "a program without descriptors")
            for connection in idle:
                connection.close()
            released = time.monotonic()
            use()
            took = time.monotonic() - released
            print(f"{program.name} served again after {took:.2f} s")
            self.assertLess(took, 10)

    def asks(self, core: str) -> None:
        client = DeskClient(core)
        client.events.GetDesk(event_pb2.GetDeskRequest(), timeout=30, wait_for_ready=True)
        client.close()


def is_closed_by_peer(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class SlowRequestTest(DeskTestCase):
    def test_requests_that_never_end_are_closed_and_others_served(self) -> None:
        starts = [
            b"", b"GET ", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ",
            b"POST /tickets/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{",
        ]
        waiting = {}
        began = dripped = time.monotonic()
        for start in starts * 5:
            connection = socket.create_connection(address_of(self.gateway.address), 30)
            connection.sendall(start)
            connection.setblocking(False)
            waiting[connection] = start
        while waiting:
            answer = http_client.call(self.gateway.address, "GET", "/health", timeout=5)
            self.assertEqual(answer.status, 200, "others are served meanwhile")
            drips = time.monotonic() - dripped > 1
            if drips:
                dripped = time.monotonic()
            for connection in list(waiting):
                if self.is_closed(connection, drips and waiting[connection] != b""):
                    connection.close()
                    del waiting[connection]
            self.assertLess(time.monotonic() - began, MAX_REQUEST_S,
                            f"still open: {list(waiting.values())}")
        print(f"all closed after {time.monotonic() - began:.1f} s")

    def is_closed(self, connection: socket.socket, drips: bool) -> bool:
        """Whether the other side is gone; sends one more byte of the request where it drips."""
        try:
            if drips:
                connection.send(b"a")
            while True:
                if not connection.recv(4096):
                    return True
        except BlockingIOError:
            return False
        except OSError:
            return True


if __name__ == "__main__":
    unittest.main()
