"""Descriptors run out on both ports (row 11), requests that never end (row 12)."""

import socket
import time
import unittest

import http_client
from agentdesk_test import Core, DeskTestCase, Gateway, System, address_of, http_status, wait_until
from desk_client import DeskClient, event_pb2
from ws_client import Browser

DESCRIPTORS = 64


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
        core = Core(system.scratch / "small", descriptors=DESCRIPTORS)
        system.add(core).start()
        for _ in range(3):
            idle = connect_many(core.address, 120)
            wait_until(lambda: core.descriptors_in_use() > DESCRIPTORS - 8
                       or core.descriptors_in_use() < 30, "descriptors in use")
            for connection in idle:
                connection.close()
            released = time.monotonic()
            client = DeskClient(core.address)
            client.events.GetDesk(event_pb2.GetDeskRequest(), timeout=30, wait_for_ready=True)
            client.close()
            took = time.monotonic() - released
            print(f"the core served again after {took:.2f} s")
            self.assertLess(took, 10)

    def test_gateway_serves_again(self) -> None:
        system = System(gateway=False)
        self.addCleanup(system.close)
        gateway = Gateway(system.core.address, descriptors=DESCRIPTORS)
        system.add(gateway).start()
        for _ in range(3):
            idle = connect_many(gateway.address, 120)
            for connection in idle:
                connection.close()
            released = time.monotonic()
            wait_until(lambda: http_status(gateway.address, "/health") == 200, "an answer")
            browser = Browser(gateway.address)
            self.assertEqual(browser.ask({"type": "ping"}), {"type": "pong"})
            browser.close()
            took = time.monotonic() - released
            print(f"the gateway served again after {took:.2f} s")
            self.assertLess(took, 10)


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
            self.assertLess(time.monotonic() - began, 30, f"still open: {list(waiting.values())}")
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
