"""Two thousand browsers that come back at once: each resumes exactly, and the rest goes on (row 10)."""

from __future__ import annotations

import asyncio
import resource
import threading
import unittest

import oracle
from agentdesk_test import DeskTestCase, http_status
from many_browsers import Event, ManyBrowser, RefusedHandshake

BROWSERS = 2000
EVENTS = 40
MAX_CONNECTIONS = 2200

# A descriptor for each browser here, and as many in the gateway, which inherits the limit.
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def resume(address: str, query: str, last: int) -> tuple[list[Event], int]:
    """Follows until the event `last`; returns the events and 0, or what came and the close code."""
    try:
        browser = await ManyBrowser.open(address, query)
    except RefusedHandshake as refused:
        return [], refused.status
    try:
        await browser.follow(last)
        return browser.events, browser.close_code
    finally:
        browser.close()


async def storm(address: str, query: str, last: int, count: int) -> list[tuple[list[Event], int]]:
    return await asyncio.wait_for(
        asyncio.gather(*(resume(address, query, last) for _ in range(count))), 120)


class ReconnectStormTest(DeskTestCase):
    gateway_flags = (f"--max_connections={MAX_CONNECTIONS}",)

    def test_everyone_resumes_and_the_probes_go_on_answering(self) -> None:
        desk_id = self.desk.head().desk_id
        last = [self.desk.create() for _ in range(EVENTS)][-1].sequence
        probes: list[int] = []
        over = threading.Event()

        def probe() -> None:
            while not over.is_set():
                probes.append(http_status(self.gateway.address, "/readyz"))
                self.desk.head()

        prober = threading.Thread(target=probe)
        prober.start()
        try:
            served = asyncio.run(
                storm(self.gateway.address, f"after=0&desk={desk_id}", last, BROWSERS))
        finally:
            over.set()
            prober.join()
        for events, code in served:
            self.assertEqual(code, 0)
            oracle.check_complete(events, 0, last)
        self.assertGreater(len(probes), 3)
        self.assertEqual(set(probes), {200})

    def test_who_is_too_many_is_told_to_come_back(self) -> None:
        # Nobody leaves before all have come: the event that they wait for is not there yet.
        head = self.desk.head()
        query = f"after={head.head_sequence}&desk={head.desk_id}"

        async def run() -> tuple[set[int], list[int]]:
            tasks = [asyncio.create_task(
                resume(self.gateway.address, query, head.head_sequence + 1))
                for _ in range(MAX_CONNECTIONS + 100)]
            first, _ = await asyncio.wait(tasks, timeout=120, return_when=asyncio.FIRST_COMPLETED)
            refused = {task.result()[1] for task in first}
            await asyncio.to_thread(self.desk.create)
            outcomes = await asyncio.wait_for(asyncio.gather(*tasks), 120)
            return refused, [code for _, code in outcomes]

        refused, codes = asyncio.run(run())
        self.assertEqual(refused, {1013})
        self.assertEqual(set(codes), {0, 1013})
        self.assertGreater(codes.count(0), MAX_CONNECTIONS // 2)


if __name__ == "__main__":
    unittest.main()
