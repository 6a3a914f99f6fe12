"""A process that is told to go: what is under way is finished, the rest told where to go on; told twice, it goes."""

import collections
import signal
import threading
import time
import unittest

import grpc
import http_client
from agentdesk_test import SCALE, Core, System, wait_until
from desk_client import DeskClient, agent_pb2, event_pb2, refusal_of, seconds, ticket_pb2
from metrics_text import MetricsPage
from ws_client import FullBrowser

HAMMERS = 4
UNDER_WAY = 32  # calls of each at a time
ROUNDS = 10

# Each commit takes this long, so that a call is under way when the signal comes.
SLOW_S = 3.0


class Hammer(threading.Thread):
    """Keeps calls under way until the core is gone, and counts how they end."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.outcomes: collections.Counter[grpc.StatusCode] = collections.Counter()
        self.acknowledged: list[str] = []
        self._desk = DeskClient(address)

    def run(self) -> None:
        calls = collections.deque(self._begin() for _ in range(UNDER_WAY))
        ended = False
        while calls:
            try:
                self.acknowledged.append(calls.popleft().result(60).ticket_id)
                self.outcomes[grpc.StatusCode.OK] += 1
            except grpc.RpcError as error:
                self.outcomes[error.code()] += 1
                # Before its first answer it has not found the core yet.
                ended = ended or (bool(self.acknowledged)
                                  and "failed to connect" in error.details())
            if not ended:
                calls.append(self._begin())
        self._desk.close()

    def _begin(self) -> grpc.Future:
        return self._desk.tickets.CreateTicket.future(
            ticket_pb2.CreateTicketRequest(ticket_name="At the last moment"), timeout=60)


class CoreDrainTest(unittest.TestCase):
    def setUp(self) -> None:
        self.system = System(gateway=False)
        self.addCleanup(self.system.close)

    def start(self) -> tuple[Core, DeskClient]:
        core = Core(self.system.scratch / "slow", "--drain_timeout=60s")
        self.addCleanup(core.kill)
        core.start()  # at full speed, so that there is a desk
        core.stop()
        core.wrapper = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync",
                        "-e", f"inject=fdatasync:delay_enter={int(SLOW_S * 1e6)}"]
        core.start()
        desk = DeskClient(core.address)
        self.addCleanup(desk.close)
        return core, desk

    def create_later(self, core: Core, desk: DeskClient) -> list[grpc.Future]:
        """Writes that are under way when this returns: some are committed while the last one waits."""
        page = MetricsPage(lambda: core.admin)
        calls: list[grpc.Future] = []

        def one_waits() -> bool:
            calls.append(desk.tickets.CreateTicket.future(
                ticket_pb2.CreateTicketRequest(ticket_name="Under way"), wait_for_ready=True))
            desk.head()
            return page.value("agentdesk_committer_queue_commands") >= 1
        wait_until(one_waits, "a write that waits for the one before")
        return calls

    def test_calls_are_finished_and_streams_are_told_their_position(self) -> None:
        core, desk = self.start()
        first = desk.create()
        stream = desk.events.Subscribe(event_pb2.SubscribeRequest(after_sequence=0))
        self.assertEqual(next(stream).events[0].sequence, first.sequence)
        claim = desk.agents.ClaimJob.future(agent_pb2.ClaimJobRequest(
            queues=["nothing"], worker="w", wait=seconds(50)), wait_for_ready=True)
        calls = self.create_later(core, desk)
        began = time.monotonic()
        core.signal(signal.SIGTERM)
        core.wait_for_log("draining")
        ready = http_client.call(core.admin, "GET", "/readyz")
        self.assertEqual((ready.status, ready.text), (503, "the core drains\n"))
        created = [call.result(60) for call in calls]
        self.assertGreater(created[0].sequence, first.sequence)
        self.assertFalse(claim.result(60).HasField("job"), "a claim that waits ends without a job")
        with self.assertRaises(grpc.RpcError) as ended:
            for _ in stream:
                pass
        refusal = refusal_of(ended.exception)
        self.assertEqual(refusal.code, grpc.StatusCode.UNAVAILABLE)
        self.assertRegex(refusal.text, r"Resume after .* of desk")
        self.assertEqual(core.wait(), 0)
        print(f"drained in {time.monotonic() - began:.1f} s, with commits of {SLOW_S} s")
        core.wrapper = []
        core.start()
        desk.wait_connected()
        for ticket in created:
            self.assertEqual(desk.ticket(ticket.ticket_id).ticket_name, "Under way")

    def test_what_comes_too_late_is_told_to_come_back_and_nothing_is_cancelled(self) -> None:
        outcomes: collections.Counter[grpc.StatusCode] = collections.Counter()
        core = self.system.core
        for _ in range(ROUNDS * SCALE):
            hammers = [Hammer(core.address) for _ in range(HAMMERS)]
            for hammer in hammers:
                hammer.start()
            wait_until(lambda: all(hammer.acknowledged for hammer in hammers), "the first answers")
            self.assertEqual(core.stop(), 0)
            core.start()
            desk = DeskClient(core.address)
            desk.wait_connected()
            for hammer in hammers:
                hammer.join(60)
                self.assertFalse(hammer.is_alive())
                outcomes += hammer.outcomes
                self.assertEqual(desk.ticket(hammer.acknowledged[-1]).ticket_name,
                                 "At the last moment")
            desk.close()
        print(f"{ROUNDS * SCALE} drains: "
              + ", ".join(f"{count} {code.name}" for code, count in outcomes.items()))
        self.assertEqual(set(outcomes), {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE})

    def test_a_second_signal_ends_it_at_once(self) -> None:
        core, desk = self.start()
        self.create_later(core, desk)
        core.signal(signal.SIGTERM)
        core.wait_for_log("draining")
        core.signal(signal.SIGTERM)
        self.assertEqual(core.wait(), -signal.SIGTERM, "one that has drained ends with 0")


class GatewayDrainTest(unittest.TestCase):
    def test_a_second_signal_ends_it_at_once(self) -> None:
        system = System(gateway_flags=["--drain_timeout=600s"])
        self.addCleanup(system.close)
        browsers = [FullBrowser(system.gateway.address, "live=1") for _ in range(5)]
        for browser in browsers:
            browser.wait_type("subscribed")
        system.gateway.signal(signal.SIGTERM)
        system.gateway.wait_for_log("draining")
        system.gateway.signal(signal.SIGTERM)
        self.assertEqual(system.gateway.wait(30), -signal.SIGTERM)
        for browser in browsers:
            self.assertIn(browser.wait_closed(), (1006, 1012))


if __name__ == "__main__":
    unittest.main()
