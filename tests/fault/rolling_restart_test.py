"""Core and gateway are restarted one after the other under load: nothing lost, nobody's place dropped."""

from __future__ import annotations

import asyncio
import random
import resource
import threading
import time
import unittest
from collections.abc import Callable

import grpc
import oracle
from agentdesk_test import DeskTestCase, Gateway, wait_until
from desk_client import DeskClient, new_id, ticket_pb2
from many_browsers import ManyBrowser, RefusedHandshake

BROWSERS = 500
WRITERS = 8
WRITE_EVERY_S = 1.0

# A descriptor for each browser here, and as many in the gateway, which inherits the limit.
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Follower:
    """A browser that stays: it comes back after each close and goes on where it was."""

    def __init__(self, desk_id: str, after: int) -> None:
        self.seen: list[tuple[int, float]] = []  # sequence, when it came
        self.codes: list[int] = []
        self.outages: list[float] = []  # from each close until it was connected again
        self.connected = False
        self._desk_id = desk_id
        self._after = after

    @property
    def position(self) -> int:
        return self.seen[-1][0] if self.seen else self._after

    async def follow(self, address: Callable[[], str]) -> None:
        """`address` is asked before each connection: it is that of a gateway that is ready."""
        closed: float | None = None
        while True:
            try:
                browser = await ManyBrowser.open(
                    address(), f"after={self.position}&desk={self._desk_id}")
            except (OSError, RefusedHandshake, asyncio.IncompleteReadError):
                await self._back_off(0.05, 0.25)
                continue
            if closed is not None:
                self.outages.append(time.monotonic() - closed)
            self.connected = True
            try:
                await self._read(browser)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                self.connected = False
                browser.close()
            self.codes.append(browser.close_code or 1006)
            closed = time.monotonic()
            await self._back_off(0, 0.2)

    async def _back_off(self, least: float, most: float) -> None:
        """Jitter, as every client needs, so that not all come at once."""
        turn = asyncio.get_running_loop().create_future()
        await asyncio.wait([turn], timeout=random.uniform(least, most))

    async def _read(self, browser: ManyBrowser) -> None:
        while (message := await browser.next_message()) is not None:
            if "ticket_id" in message:
                self.seen.append((message["sequence"], time.monotonic()))


class Writer(threading.Thread):
    """Creates tickets, each until it is acknowledged, and keeps when that was."""

    def __init__(self, address: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[tuple[int, str, float]] = []  # sequence, ticket, when
        self.repeats = 0
        self._address = address
        self._stopping = stop

    def run(self) -> None:
        desk = DeskClient(self._address)
        while not self._stopping.wait(random.uniform(0, 2 * WRITE_EVERY_S)):
            request = ticket_pb2.CreateTicketRequest(ticket_name="Under load", request_id=new_id())
            while True:
                try:
                    made = desk.call(desk.tickets.CreateTicket, request)
                except grpc.RpcError as error:
                    assert error.code() == grpc.StatusCode.UNAVAILABLE, error
                    self.repeats += 1
                    continue
                self.acknowledged.append((made.sequence, made.ticket_id, time.monotonic()))
                break
        desk.close()


class RollingRestartTest(DeskTestCase):
    gateway_flags = ("--share_port",)

    def setUp(self) -> None:
        desk = self.desk.head()
        self.followers = [Follower(desk.desk_id, desk.head_sequence) for _ in range(BROWSERS)]
        self.after = desk.head_sequence
        self.loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self.loop.run_forever)
        thread.start()

        async def end_all() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        def end() -> None:
            asyncio.run_coroutine_threadsafe(end_all(), self.loop).result(60)
            self.loop.call_soon_threadsafe(self.loop.stop)
            thread.join()
            self.loop.close()
        self.addCleanup(end)
        self.tasks = [asyncio.run_coroutine_threadsafe(
            follower.follow(lambda: self.gateway.address), self.loop) for follower in self.followers]
        self.wait_connected()

    def wait_connected(self) -> None:
        wait_until(lambda: all(follower.connected for follower in self.followers),
                   "500 browsers that are connected")

    def wait_all_at(self, sequence: int) -> None:
        wait_until(lambda: min(follower.position for follower in self.followers) >= sequence,
                   f"all browsers at {sequence}")

    def restart_core(self) -> None:
        self.core.stop()
        self.start_core()

    def replace_gateway(self, address: str) -> None:
        """As docs/OPERATIONS.md says. `address`: that of the new one; empty: any."""
        old = self.gateway
        new = Gateway(self.core.address, *self.gateway_flags)
        new.address = address
        self.system.add(new).start()
        new.wait_for_log("following the core")
        type(self).gateway = new
        self.assertEqual(old.stop(), 0)
        self.wait_connected()

    def replace_behind_a_balancer(self) -> None:
        """Here the test is the balancer that follows /readyz."""
        self.replace_gateway("")

    def replace_on_its_port(self) -> None:
        self.replace_gateway(self.gateway.address)

    def test_nothing_is_lost_and_nobody_loses_its_place(self) -> None:
        stop = threading.Event()
        writers = [Writer(self.core.address, stop) for _ in range(WRITERS)]
        for writer in writers:
            writer.start()
        wait_until(lambda: all(writer.acknowledged for writer in writers), "the first writes")
        for step in (self.restart_core, self.replace_behind_a_balancer, self.restart_core,
                     self.replace_on_its_port):
            step()
            self.wait_all_at(self.desk.create().sequence)
        stop.set()
        for writer in writers:
            writer.join(60)
            self.assertFalse(writer.is_alive())
        last = self.desk.create().sequence
        self.wait_all_at(last)

        acknowledged = {sequence: (ticket, when) for writer in writers
                        for sequence, ticket, when in writer.acknowledged}
        log = oracle.check_log(self.desk.log())
        oracle.check_durable([(sequence, ticket) for sequence, (ticket, _) in acknowledged.items()],
                             log)
        delays = []
        outages = []
        for follower in self.followers:
            oracle.check_complete(follower.seen, self.after, last)
            self.assertEqual(follower.codes, [1012, 1012],
                             "each gateway's restart is told once, the core's are not seen")
            outages += follower.outages
            delays += [when - acknowledged[sequence][1] for sequence, when in follower.seen
                       if sequence in acknowledged]
        delays.sort()
        outages.sort()
        repeats = sum(writer.repeats for writer in writers)
        print(f"{len(acknowledged)} writes, {repeats} repeated; {len(delays)} deliveries: "
              f"median {delays[len(delays) // 2] * 1000:.0f} ms, "
              f"99 % within {delays[len(delays) * 99 // 100]:.2f} s, all within {delays[-1]:.2f} s; "
              f"away: median {outages[len(outages) // 2]:.2f} s, longest {outages[-1]:.2f} s")
        # The promise is 2 s; more than that is this machine's or this client's.
        self.assertLess(max(delays[-1], outages[-1]), 6)


if __name__ == "__main__":
    unittest.main()
