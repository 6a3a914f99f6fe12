"""The link between core and gateway breaks in every way (row 6), and one browser's does (row 7)."""

import time
import unittest

import http_client
import oracle
from agentdesk_test import Gateway, System, http_status, wait_until
from desk_client import DeskClient, new_id
from fault_proxy import FaultProxy
from metrics_text import MetricsPage
from ws_client import Browser, FullBrowser


class LinkFaultTest(unittest.TestCase):
    def set_up(self, **link: float) -> None:
        self.system = System(gateway=False)
        self.addCleanup(self.system.close)
        self.proxy = FaultProxy(self.system.core.address, **link)
        self.addCleanup(self.proxy.close)
        self.gateway = Gateway(self.proxy.address)
        self.system.add(self.gateway).start()
        self.desk = DeskClient(self.system.core.address)
        self.addCleanup(self.desk.close)
        self.browser = FullBrowser(self.gateway.address,
                                   f"after=0&desk={self.desk.head().desk_id}")
        self.addCleanup(self.browser.close)
        self.browser.wait_type("hello")

    def check_all_seen(self) -> None:
        head = self.desk.create().sequence
        self.browser.wait_sequence(head)
        oracle.check_complete(self.browser.seen, 0, head)

    def test_resets(self) -> None:
        self.set_up()
        for _ in range(10):
            for _ in range(20):
                self.desk.create()
            self.proxy.reset()
        self.check_all_seen()

    def test_one_byte_at_a_time(self) -> None:
        self.set_up(slice_bytes=1)
        for _ in range(30):
            self.desk.create()
        self.check_all_seen()
        answer = http_client.call(self.gateway.address, "POST", "/tickets/create",
                                  {"ticket_name": "x"})
        self.assertEqual(answer.status, 200)

    def test_200_ms_away(self) -> None:
        self.set_up(delay_s=0.2)
        self.use_slow_link()

    def test_4_kilobytes_a_second(self) -> None:
        self.set_up(bytes_per_s=4096, slice_bytes=512)
        self.use_slow_link()

    def use_slow_link(self) -> None:
        """The gateway is late, but ready, complete and in order."""
        for _ in range(20):
            self.desk.create()
        answer = http_client.call(self.gateway.address, "POST", "/tickets/create",
                                  {"ticket_name": "x"})
        self.assertEqual(answer.status, 200)
        self.check_all_seen()
        self.assertEqual(http_status(self.gateway.address, "/readyz"), 200)

    def test_core_refuses_connections_for_a_while(self) -> None:
        self.set_up()
        self.proxy.refuse()
        wait_until(lambda: http_status(self.gateway.address, "/readyz") == 503, "503")
        ack = self.browser.ask({"type": "user_response", "session_id": new_id(), "response": "x",
                                "question_id": new_id(), "request_id": "r"})
        self.assertEqual((ack["status"], ack["request_id"]), ("unavailable", "r"))
        plain = Browser(self.gateway.address)
        self.addCleanup(plain.close)
        self.assertEqual(plain.ask({"type": "ping"}), {"type": "pong"})
        missed = [self.desk.create() for _ in range(10)]
        self.proxy.flow()
        self.browser.wait_sequence(missed[-1].sequence)
        self.check_all_seen()

    def test_blackhole_is_noticed(self) -> None:
        self.set_up()
        self.check_all_seen()
        connections = self.proxy.accepted
        began = time.monotonic()
        self.proxy.blackhole()
        for _ in range(10):
            self.desk.create()
        self.proxy.wait_accepted(connections + 1)
        noticed = time.monotonic() - began
        self.check_all_seen()
        print(f"a silent link was given up after {noticed:.0f} s")
        self.assertLess(noticed, 50, "keepalive: 30 s and 10 s")

    def test_half_open_browser_is_dropped(self) -> None:
        self.set_up()
        link = FaultProxy(self.gateway.address)
        self.addCleanup(link.close)
        desk_id = self.desk.head().desk_id
        lost = FullBrowser(link.address, f"after=0&desk={desk_id}")
        self.addCleanup(lost.close)
        lost.wait_sequence(self.desk.create().sequence)
        page = MetricsPage(lambda: self.gateway.address)
        self.assertEqual(page.value("agentdesk_ws_connections"), 2)
        link.blackhole()
        page.wait(lambda now: now == 1, "agentdesk_ws_connections")
        missed = self.desk.create().sequence
        again = FullBrowser(self.gateway.address, f"after={lost.last_sequence}&desk={desk_id}")
        self.addCleanup(again.close)
        again.wait_sequence(missed)
        self.assertLess(lost.last_sequence, missed)
        oracle.check_complete([*lost.seen, *again.seen], 0, missed)
        self.check_all_seen()


if __name__ == "__main__":
    unittest.main()
