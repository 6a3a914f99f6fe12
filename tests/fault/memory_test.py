"""A core that runs out of memory ends at once and loses nothing acknowledged (row 25, P1)."""

import pathlib
import re
import resource
import signal
import tempfile
import threading
import unittest

import grpc
import oracle
from agentdesk_test import Core, command_line, wait_until
from desk_client import DeskClient, ticket_pb2

# Room to grow, once it runs.
ROOM_BYTES = 48 << 20
LARGE = ticket_pb2.CreateTicketRequest(ticket_name="Large", description="x" * 30000)


class MemoryTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-test-")
        self.addCleanup(scratch.cleanup)
        self.core = Core(pathlib.Path(scratch.name) / "data")
        self.addCleanup(self.core.kill)
        self.core.start()

    def limit_memory(self) -> None:
        status = pathlib.Path(f"/proc/{self.core.pid}/status").read_text(encoding="utf-8")
        size = int(re.search(r"VmSize:\s+(\d+) kB", status).group(1)) * 1024
        limit = size + ROOM_BYTES
        resource.prlimit(self.core.pid, resource.RLIMIT_AS, (limit, limit))

    def write_until_it_ends(self, acknowledged: list[tuple[int, str]]) -> None:
        desk = DeskClient(self.core.address)
        while self.core.running:
            try:
                created = desk.tickets.CreateTicket(LARGE, timeout=30)
            except grpc.RpcError:
                continue
            acknowledged.append((created.sequence, created.ticket_id))
        desk.close()

    def test_out_of_memory(self) -> None:
        first = DeskClient(self.core.address)
        first.create("Before the limit")
        first.close()
        self.limit_memory()
        # The tail of the log alone, 64 MiB of events, is more than there is room for.
        acknowledged: list[list[tuple[int, str]]] = [[] for _ in range(4)]
        writers = [threading.Thread(target=self.write_until_it_ends, args=(acks,), daemon=True)
                   for acks in acknowledged]
        for writer in writers:
            writer.start()
        wait_until(lambda: not self.core.running, "the end of a core without memory", 120)
        for writer in writers:
            writer.join(60)
        code = self.core.wait()
        # What gRPC allocates for itself ends in abort(), which has no words.
        self.assertIn(code, (1, -signal.SIGABRT))
        acks = [ack for each in acknowledged for ack in each]
        self.assertGreater(len(acks), 100)
        how = self.core.tail(3)

        self.core.start()
        desk = DeskClient(self.core.address)
        self.addCleanup(desk.close)
        oracle.check_durable(acks, oracle.check_log(desk.log()))
        desk.create("It goes on")
        self.core.end()
        checked = command_line("admin", "check", self.core.data_dir)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        if code == 1:
            # Which of them depends on who asks first: our code, who starts a thread, the store.
            self.assertRegex(how, "out of memory|thread could not be started|allocate memory")
        print(f"{len(acks)} writes acknowledged before memory ran out; exit code {code}")


if __name__ == "__main__":
    unittest.main()
