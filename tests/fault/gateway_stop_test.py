"""A gateway that ends: asked to, it tells everyone; killed, everyone resumes (row 5)."""

import time
import unittest

import oracle
import websockets
from agentdesk_test import DeskTestCase, http_status, wait_until
from ws_client import Browser, FullBrowser

CLIENTS = 500


class GatewayStopTest(DeskTestCase):
    def test_sigterm_says_1012_to_everyone_within_3_s(self) -> None:
        browsers = [Browser(self.gateway.address) for _ in range(CLIENTS)]
        for browser in browsers:
            browser.send({"type": "ping"})
        for browser in browsers:
            browser.wait_type("pong")
        began = time.monotonic()
        self.assertEqual(self.gateway.stop(), 0)
        for browser in browsers:
            self.assertEqual(browser.wait_closed(), 1012)
        took = time.monotonic() - began
        print(f"{CLIENTS} connections closed in {took:.2f} s")
        self.assertLess(took, 6, "3 s, and what this client itself needs for 500 of them")
        self.gateway.start()

    def test_readyz_says_no_while_it_drains(self) -> None:
        browser = Browser(self.gateway.address)
        self.gateway.stop()
        self.assertEqual(browser.wait_closed(), 1012)
        self.assertEqual(http_status(self.gateway.address, "/readyz"), 0)
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
