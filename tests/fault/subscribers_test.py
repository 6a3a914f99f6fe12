"""50 subscribers, some slow, some cancelling, while core and gateway die in turn (P2, P3)."""

import random
import threading
import unittest

import oracle
import websockets
from agentdesk_test import SCALE, DeskTestCase, wait_until
from desk_client import Subscriber
from ws_client import FullBrowser

ROUNDS = 6 * SCALE
EVENTS_A_ROUND = 120


class ResumingBrowser(threading.Thread):
    """An agentdesk.v1 client that comes back after each break with its last position."""

    def __init__(self, gateway: str, desk_id: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[int, str]] = []
        self.breaks = 0
        self._gateway = gateway
        self._desk_id = desk_id
        self._stopping = threading.Event()

    @property
    def up_to(self) -> int:
        return self.seen[-1][0] if self.seen else 0

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                browser = FullBrowser(self._gateway, f"after={self.up_to}&desk={self._desk_id}")
            except (OSError, websockets.WebSocketException):
                self._stopping.wait(0.05)
                continue
            self._follow(browser)
            self.breaks += 1

    def _follow(self, browser: FullBrowser) -> None:
        taken = 0
        while browser.is_open and not self._stopping.is_set():
            taken = self._take(browser, taken)
            self._stopping.wait(0.02)
        self._take(browser, taken)
        if browser.is_open:
            browser.close()

    def _take(self, browser: FullBrowser, taken: int) -> int:
        seen = browser.seen
        self.seen += seen[taken:]
        return len(seen)

    def stop(self) -> None:
        self._stopping.set()
        self.join(60)


class SubscribersTest(DeskTestCase):
    def test_every_stream_is_complete_in_order_without_doubles(self) -> None:
        chance = random.Random(11)
        desk_id = self.desk.head().desk_id
        plain = [Subscriber(self.core.address, desk_id) for _ in range(15)]
        slow = [Subscriber(self.core.address, desk_id, slow=True) for _ in range(10)]
        cancelling = [Subscriber(self.core.address, desk_id) for _ in range(10)]
        browsers = [ResumingBrowser(self.gateway.address, desk_id) for _ in range(15)]
        followers = [*plain, *slow, *cancelling, *browsers]
        self.assertEqual(len(followers), 50)
        for follower in followers:
            follower.start()
        lease = self.desk.start(lease_s=600)
        for number in range(ROUNDS):
            for event in range(EVENTS_A_ROUND):
                self.desk.say(lease, f"{number}.{event}")
                if event % 10 == 0:
                    chance.choice(cancelling).cancel()
            victim = self.core if number % 2 == 0 else self.gateway
            victim.kill()
            victim.start()
        self.desk.complete(lease)
        log = oracle.check_log(self.desk.log())
        head = len(log)
        for follower in followers:
            wait_until(lambda f=follower: f.up_to >= head, "the whole log")
            follower.stop()
        truth = {n: event.SerializeToString(deterministic=True) for n, event in log.items()}
        for follower in (*plain, *slow, *cancelling):
            self.assertEqual(follower.refusals, [])
            oracle.check_complete(follower.seen, 0, head)
            oracle.check_same(follower.seen, truth)
        texts = dict(browsers[0].seen)
        for browser in browsers:
            self.assertGreaterEqual(browser.breaks, ROUNDS // 2)
            oracle.check_complete(browser.seen, 0, head)
            oracle.check_same(browser.seen, texts)
        print(f"{head} events; breaks: "
              f"{sum(f.breaks for f in (*plain, *slow, *cancelling))} gRPC, "
              f"{sum(b.breaks for b in browsers)} WebSocket")


if __name__ == "__main__":
    unittest.main()
