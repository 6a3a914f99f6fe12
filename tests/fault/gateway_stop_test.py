"""A gateway that ends: asked to, it tells everyone; killed, everyone resumes (row 5)."""

import asyncio
import signal
import time
import unittest

import oracle
import websockets
from agentdesk_test import DeskTestCase, Gateway, http_status, wait_until
from many_browsers import ManyBrowser
from ws_client import BareSocket, Browser, FullBrowser

CLIENTS = 500


class GatewayStopTest(DeskTestCase):
    def test_sigterm_spreads_500_browsers_over_3_s_and_each_is_back_within_2_s(self) -> None:
        other = Gateway(self.core.address)
        self.system.add(other).start()
        desk_id = self.desk.head().desk_id
        first = self.desk.create()
        browsers, began, last = asyncio.run(
            self.stop_under(other, f"desk={desk_id}&after=", first.sequence))
        closed = sorted(gone.closed_at - began for gone, _, _ in browsers)
        back = sorted(back_at - gone.closed_at for gone, _, back_at in browsers)
        crowded = max(sum(start <= moment < start + 1 for moment in closed) for start in closed)
        print(f"{CLIENTS} connections closed from {closed[0]:.2f} s to {closed[-1]:.2f} s after "
              f"SIGTERM, at most {crowded} of them within one second; each was back after "
              f"{back[len(back) // 2]:.2f} s (median), {back[-1]:.2f} s (worst)")
        for gone, again, _ in browsers:
            self.assertEqual(gone.close_code, 1012)
            oracle.check_complete([*gone.events, *again.events], first.sequence - 1, last)
        self.assertLess(closed[-1], 6, "3 s, and what this client itself needs for 500 of them")
        self.assertGreater(closed[-1] - closed[0], 1, "spread")
        self.assertLess(crowded, CLIENTS * 0.85, "evenly: usually half of them within one second")
        self.assertLess(back[-1], 6, "2 s, and what this client itself needs for 500 of them")
        self.gateway.start()

    async def stop_under(self, other: Gateway, query: str, first: int) \
            -> tuple[list[tuple[ManyBrowser, ManyBrowser, float]], float, int]:
        """SIGTERM to the gateway of 500 browsers while events come. Returns each browser, the one
        that came back for it, and when that had what it had missed; when the signal came; the last
        event."""
        browsers = await asyncio.gather(*(
            ManyBrowser.open(self.gateway.address, f"{query}{first - 1}") for _ in range(CLIENTS)))
        await asyncio.gather(*(browser.follow(first) for browser in browsers))
        ended = asyncio.Event()

        async def bring_tickets() -> int:
            sequence = first
            while not ended.is_set():
                sequence = (await asyncio.to_thread(self.desk.create)).sequence
                try:  # not as fast as can be: each goes to 500 browsers of this one process
                    await asyncio.wait_for(ended.wait(), 0.05)
                except asyncio.TimeoutError:
                    pass
            return sequence

        async def come_back(browser: ManyBrowser) -> tuple[ManyBrowser, ManyBrowser, float]:
            await browser.follow_to_close()
            again = await ManyBrowser.open(other.address, f"{query}{browser.events[-1][0]}")
            hello = await again.next_message()
            if hello["sequence"] > browser.events[-1][0]:
                await again.follow(hello["sequence"])
            return browser, again, time.monotonic()

        producer = asyncio.create_task(bring_tickets())
        began = time.monotonic()
        self.gateway.signal(signal.SIGTERM)
        pairs = await asyncio.wait_for(asyncio.gather(*map(come_back, browsers)), 120)
        ended.set()
        last = await producer
        await asyncio.wait_for(asyncio.gather(*(
            again.follow(last) for gone, again, _ in pairs if gone.events[-1][0] < last)), 120)
        self.assertEqual(await asyncio.to_thread(self.gateway.wait), 0)
        for browser, again, _ in pairs:
            browser.close()
            again.close()
        return list(pairs), began, last

    def test_while_it_drains_readyz_says_no_and_who_comes_is_told_to_come_back(self) -> None:
        browsers = [Browser(self.gateway.address) for _ in range(40)]
        self.gateway.signal(signal.SIGTERM)
        wait_until(lambda: http_status(self.gateway.address, "/readyz") == 503, "a drain")
        late = Browser(self.gateway.address)
        self.assertEqual(late.wait_closed(), 1012)
        for browser in browsers:
            self.assertEqual(browser.wait_closed(), 1012)
        self.assertEqual(self.gateway.wait(), 0)
        self.assertEqual(http_status(self.gateway.address, "/readyz"), 0)
        self.gateway.start()

    def test_one_that_does_not_go_shuts_nobody_out(self) -> None:
        stubborn = BareSocket(self.gateway.address)
        polite = Browser(self.gateway.address)
        self.gateway.signal(signal.SIGTERM)
        self.assertEqual(polite.wait_closed(), 1012)
        self.assertEqual(stubborn.read_frame()[0], 8, "told, but it does not answer")
        for _ in range(3):
            self.assertEqual(http_status(self.gateway.address, "/readyz"), 503)
            self.assertEqual(Browser(self.gateway.address).wait_closed(), 1012)
        stubborn.close()
        self.assertEqual(self.gateway.wait(), 0)
        self.gateway.start()

    def test_clients_resume_after_kill(self) -> None:
        desk_id = self.desk.head().desk_id
        browsers = [FullBrowser(self.gateway.address, f"after=0&desk={desk_id}")
                    for _ in range(20)]
        created = [self.desk.create() for _ in range(20)]
        for browser in browsers:
            browser.wait_sequence(created[-1].sequence)
        self.gateway.kill()
        for browser in browsers:
            self.assertEqual(browser.wait_closed(), 1006)
        missed = [self.desk.create() for _ in range(20)]
        self.gateway.start()
        for browser in browsers:
            last = browser.last_sequence
            again = wait_until(lambda n=last: self.connect(f"after={n}&desk={desk_id}"),
                               "a connection")
            again.wait_sequence(missed[-1].sequence)
            oracle.check_complete([*browser.seen, *again.seen], 0, missed[-1].sequence)
            again.close()

    def connect(self, query: str) -> FullBrowser | None:
        try:
            return FullBrowser(self.gateway.address, query)
        except (OSError, websockets.WebSocketException):
            return None


if __name__ == "__main__":
    unittest.main()
