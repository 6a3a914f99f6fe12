"""What one client may use of the gateway: it is told when it is too much, and nobody else feels it."""

import contextlib
import unittest

import http_client
import websockets
from agentdesk_test import DeskTestCase, Gateway, wait_until
from event_stream import EventStream, StreamRefused
from metrics_text import MetricsPage
from ws_client import BareSocket, Browser


class LoadLimitsTest(DeskTestCase):
    with_gateway = False

    def start(self, *flags: str) -> str:
        gateway = Gateway(self.core.address, *flags)
        self.system.add(gateway).start()
        self.addCleanup(gateway.stop)
        return gateway.address

    def browser(self, address: str, **more: object) -> Browser:
        browser = Browser(address, **more)
        self.addCleanup(browser.close)
        return browser

    def test_an_address_has_so_many_connections(self) -> None:
        address = self.start("--max_connections_per_address=2")
        first = self.browser(address)
        stream = EventStream(address)
        self.addCleanup(stream.close)
        self.assertEqual(first.ask_text({"type": "ping"}), '{"type":"pong"}')
        too_many = self.browser(address, protocol="agentdesk.v1")
        self.assertEqual(too_many.wait_closed(), 4429)
        self.assertIn("retry in 30 s", too_many.close_reason)
        with self.assertRaises(StreamRefused) as refused:
            EventStream(address)
        self.assertEqual(refused.exception.status, 429)
        self.assertIn("too_many_connections", refused.exception.body)
        self.assertEqual(http_client.call(address, "GET", "/tickets").status, 200)
        first.close()

        def is_let_in() -> bool:
            browser = Browser(address)
            try:
                browser.send({"type": "ping"})
                return browser.wait_for(lambda texts: texts, "pong") is not None
            except AssertionError:
                return False
            finally:
                browser.close()
        wait_until(is_let_in, "a place that was given back")

    def test_a_flood_of_messages_ends_with_4429_and_disturbs_nobody(self) -> None:
        address = self.start("--max_messages_per_second=5")
        quiet, flood = self.browser(address), self.browser(address, protocol="agentdesk.v1")
        flood.wait_type("hello")
        with contextlib.suppress(websockets.ConnectionClosed):  # the code tells
            for _ in range(400):
                flood.send({"type": "ping"})
        self.assertEqual(flood.wait_closed(), 4429)
        self.assertIn("retry in 5 s", flood.close_reason)
        flood.wait_type("error", code="rate_limited")
        self.assertEqual(quiet.ask_text({"type": "ping"}), '{"type":"pong"}')

    def test_those_to_whom_most_waits_go_first_when_all_together_is_too_much(self) -> None:
        address = self.start("--max_outbox_bytes=400000")
        page = MetricsPage(lambda: address)
        reader = self.browser(address)
        stuck = [BareSocket(address, receive_buffer=4096) for _ in range(4)]
        for browser in stuck:
            self.addCleanup(browser.close)
        lease = self.desk.start()
        said = 0

        def one_goes() -> bool:
            nonlocal said
            self.desk.say(lease, "x" * 30000)
            said += 1
            return page.value("agentdesk_limit_refusals_total", limit="outbox_bytes") >= 1
        wait_until(one_goes, "a reader that is closed for the sake of memory")
        page.wait(lambda now: now >= 1, "agentdesk_ws_closes_total", code="4430")
        page.wait(lambda now: now < 400000, "agentdesk_ws_outbox_bytes")
        reader.wait_for(lambda texts: sum('"agent_message"' in text for text in texts) == said,
                        "every message for the one who reads")

    def test_too_many_handshakes_are_told_when_to_come_back(self) -> None:
        address = self.start("--max_handshakes_per_second=1")
        codes = []
        for _ in range(20):
            browser = self.browser(address)
            with contextlib.suppress(websockets.ConnectionClosed):
                browser.send({"type": "ping"})
            browser.wait_for(lambda texts: texts or not browser.is_open, "pong or close")
            codes.append(0 if browser.texts else browser.wait_closed())
        self.assertEqual(codes[:4], [0] * 4)
        self.assertIn(1013, codes)


if __name__ == "__main__":
    unittest.main()
