"""Slow readers harm only themselves (P8): two stop reading while others get 100,000 events."""

import json
import socket
import threading
import time
import unittest

import oracle
from agentdesk_test import PATIENCE, DeskTestCase, Gateway, wait_until
from desk_client import agent_pb2, event_pb2, ticket_pb2
from ws_client import BareSocket, FullBrowser

EVENTS = 100_000
BATCH = 100
MAX_RESIDENT = 256 * 1024 * 1024
# More than the gateway follows the core for at a time, so that someone has to wait.
SLOW_RESUMERS = 140


class Reader(threading.Thread):
    """Reads as fast as it can; keeps how late each 100th event was."""

    def __init__(self, gateway: str) -> None:
        super().__init__(daemon=True)
        self.connection = BareSocket(gateway)
        self.numbers: list[int] = []
        self.delays: list[float] = []
        self.closed_with = b""

    def run(self) -> None:
        while len(self.numbers) < EVENTS:
            opcode, payload = self.connection.read_frame()
            if opcode == 9:
                self.connection.send_frame(10, payload)
                continue
            if opcode == 8:
                self.closed_with = payload
                return
            if b'"agent_message"' not in payload:
                continue
            content = json.loads(payload)["content"]
            number, sent, _ = content.split(" ", 2)
            self.numbers.append(int(number))
            if int(number) % 100 == 0:
                self.delays.append(time.monotonic() - float(sent))


class Drip:
    """Reads a little from each of many sockets, too slowly to get far, too fast to be cut off."""

    def __init__(self, connections: list[BareSocket]) -> None:
        self.connections = connections
        self.over = threading.Event()
        self.read = 0
        for connection in connections:
            connection.socket.setblocking(False)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.over.wait(0.25):
            for connection in self.connections:
                try:
                    self.read += len(connection.socket.recv(16384))
                except (BlockingIOError, ConnectionResetError):
                    pass

    def end(self) -> None:
        self.over.set()
        self.thread.join()
        for connection in self.connections:
            connection.close()


class SlowLink(BareSocket):
    """Reads whatever there is, through a link of so many bytes a second."""

    RATE = 20_000

    def _more(self) -> None:
        threading.Event().wait(2048 / self.RATE)
        data = self.socket.recv(2048)
        if not data:
            raise ConnectionResetError("end of stream")
        self._buffer += data


class SlowReaderTest(DeskTestCase):
    def test_others_get_everything_and_memory_stays_bounded(self) -> None:
        readers = [Reader(self.gateway.address) for _ in range(3)]
        reads_on = BareSocket(self.gateway.address, receive_buffer=4096)
        never_reads = BareSocket(self.gateway.address, receive_buffer=4096)
        for connection in (reads_on, never_reads, *(r.connection for r in readers)):
            connection.send_text('{"type":"ping"}')
            self.assertEqual(connection.read_frame(), (1, b'{"type":"pong"}'))
        for reader in readers:
            reader.start()
        lease = self.desk.start(lease_s=600)
        largest = self.gateway.resident_bytes()
        began = time.monotonic()
        for first in range(0, EVENTS, BATCH):
            activities = [agent_pb2.Activity(message=event_pb2.AgentMessage(
                content=f"{number} {time.monotonic():.6f} " + "x" * 200))
                for number in range(first, first + BATCH)]
            self.desk.call(self.desk.agents.ReportActivity, agent_pb2.ReportActivityRequest(
                activities=activities, **lease.args))
            largest = max(largest, self.gateway.resident_bytes())
            if first == EVENTS // 2:
                self.read_on(reads_on)
        took = time.monotonic() - began
        for reader in readers:
            reader.join(PATIENCE)
            self.assertEqual(reader.closed_with, b"")
            oracle.check_complete([(number, None) for number in reader.numbers], -1, EVENTS - 1)
        delays = sorted(delay for reader in readers for delay in reader.delays)
        print(f"{EVENTS} events in {took:.1f} s; delay median {delays[len(delays) // 2]:.3f} s, "
              f"99th of 100 {delays[len(delays) * 99 // 100]:.3f} s, worst {delays[-1]:.3f} s; "
              f"gateway's memory at most {largest // 2**20} MiB")
        self.assertLess(largest, MAX_RESIDENT)
        self.read_to_reset(never_reads)
        wait_until(lambda: self.gateway.descriptors_in_use() < 40, "freed connections")

    def test_a_resume_does_not_wait_for_slow_ones(self) -> None:
        lease = self.desk.start(lease_s=600)
        for first in range(0, 4000, BATCH):
            activities = [agent_pb2.Activity(message=event_pb2.AgentMessage(
                content=f"{number} " + "x" * 2000)) for number in range(first, first + BATCH)]
            self.desk.call(self.desk.agents.ReportActivity, agent_pb2.ReportActivityRequest(
                activities=activities, **lease.args))
        desk = self.desk.head()
        # A gateway that has just begun has none of these events, so that each resume asks the core.
        gateway = Gateway(self.core.address).start()
        self.addCleanup(gateway.end)
        query = f"after=0&desk={desk.desk_id}"
        drip = Drip([BareSocket(gateway.address, path=f"/ws?{query}", receive_buffer=4096,
                                protocol="agentdesk.v1") for _ in range(SLOW_RESUMERS)])
        self.addCleanup(drip.end)
        browser = FullBrowser(gateway.address, query)
        browser.wait_sequence(desk.head_sequence)
        oracle.check_complete(browser.seen, 0, desk.head_sequence)
        self.assertLess(drip.read, SLOW_RESUMERS * 8_000_000, "the slow ones were not slow")
        browser.close()

    def test_a_snapshot_does_not_wait_for_slow_ones(self) -> None:
        self.create_tickets(1000)
        desk = self.desk.head()
        gateway = Gateway(self.core.address, "--threads=1").start()
        self.addCleanup(gateway.end)
        # So much is read of each at a time that none is closed for what waits too long.
        drip = Drip([BareSocket(gateway.address, path="/ws?snapshot=1", receive_buffer=32768,
                                protocol="agentdesk.v1") for _ in range(SLOW_RESUMERS)])
        self.addCleanup(drip.end)
        wait_until(lambda: drip.read > 10_000_000, "slow ones in the midst of their snapshots")
        whole = FullBrowser(gateway.address, "snapshot=1")
        whole.wait_type("snapshot", more=False)
        resumed = FullBrowser(gateway.address, f"after=0&desk={desk.desk_id}")
        resumed.wait_sequence(desk.head_sequence)
        self.assertLess(drip.read, SLOW_RESUMERS * 2_000_000, "it waited for the slow ones")
        whole.close()
        resumed.close()

    def test_a_slow_link_that_is_read_all_the_time_gets_its_snapshot(self) -> None:
        tickets = self.create_tickets(80)
        browser = SlowLink(self.gateway.address, receive_buffer=4096, protocol="agentdesk.v1")
        browser.send_text(json.dumps({"type": "subscribe", "from": "snapshot",
                                      "filter": {"ticket_ids": tickets}}))
        shown: list[str] = []
        while True:
            part = browser.read_type("snapshot")
            shown += [ticket["ticket_id"] for ticket in part["tickets"]]
            if not part["more"]:
                break
        self.assertEqual(sorted(shown), sorted(tickets))
        browser.close()

    def create_tickets(self, count: int) -> list[str]:
        calls = [self.desk.tickets.CreateTicket.future(ticket_pb2.CreateTicketRequest(
            ticket_name=f"ticket {number}", description="x" * 8000)) for number in range(count)]
        return [call.result().ticket_id for call in calls]

    def read_on(self, connection: BareSocket) -> None:
        """Whole frames, then the close with 4430."""
        while True:
            opcode, payload = connection.read_frame()
            if opcode == 8:
                self.assertEqual(int.from_bytes(payload[:2], "big"), 4430, payload)
                self.assertTrue(payload[2:].decode())
                break
            if opcode == 1:
                json.loads(payload)
        connection.close()

    def read_to_reset(self, connection: BareSocket) -> None:
        """It did not read for longer than the 5 s after the close: the connection was reset."""
        def is_reset() -> bool:
            return connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
        wait_until(is_reset, "a reset of the one that does not read")
        connection.close()


if __name__ == "__main__":
    unittest.main()
