"""What one client may use of the gateway: it is told when it is too much, and nobody else feels it."""

import contextlib
import pathlib
import socket
import tempfile
import time
import unittest

import http_client
import websockets
from agentdesk_test import PATIENCE, DeskTestCase, Gateway, System, address_of, wait_until
from event_stream import EventStream, StreamRefused
from metrics_text import MetricsPage
from tokens import Issuer, authentication
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
        here, elsewhere = {"source": "127.0.0.7"}, {"source": "127.0.0.8"}
        first = self.browser(address, **here)
        stream = EventStream(address, **here)
        self.addCleanup(stream.close)
        self.assertEqual(first.ask_text({"type": "ping"}), '{"type":"pong"}')
        too_many = self.browser(address, protocol="agentdesk.v1", **here)
        self.assertEqual(too_many.wait_closed(), 4429)
        self.assertEqual(too_many.close_reason,
                         "too many connections of this address, retry in 30 s")
        with self.assertRaises(StreamRefused) as refused:
            EventStream(address, **here)
        self.assertEqual(refused.exception.status, 429)
        self.assertIn("too_many_connections", refused.exception.body)
        answer = http_client.call(address, "GET", "/tickets", **here)
        self.assertEqual((answer.status, answer.error["code"], answer.headers["retry-after"]),
                         (429, "too_many_connections", "30"))
        self.assertEqual(http_client.call(address, "GET", "/tickets", **elsewhere).status, 200)
        first.close()
        wait_until(lambda: http_client.call(address, "GET", "/tickets", **here).status == 200,
                   "a place that was given back")

    def test_an_address_that_says_nothing_keeps_nobody_out(self) -> None:
        address = self.start("--max_connections_per_address=2", "--max_connections=40", "--threads=1")
        silent = []
        for _ in range(40):
            silent.append(socket.create_connection(address_of(address), PATIENCE,
                                                   source_address=("127.0.0.7", 0)))
            self.addCleanup(silent[-1].close)
        answer = silent[-1].recv(4096)
        self.assertRegex(answer, rb"(?s)HTTP/1.1 429 .*Retry-After: 30\r\n.*too_many_connections")
        neighbour = self.browser(address, source="127.0.0.8")
        self.assertEqual(neighbour.ask_text({"type": "ping"}), '{"type":"pong"}')

    def test_a_request_has_so_much_time_and_so_many_bytes(self) -> None:
        address = self.start("--max_http_header_bytes=5000", "--max_http_body_bytes=2000")
        for body, status in ((b"x" * 2000, 400), (b"x" * 2001, 413)):
            answer = http_client.call(address, "POST", "/tickets/create", body,
                                      Content_Type="application/json")
            self.assertEqual(answer.status, status)
        self.assertIn("2000 bytes", answer.error["message"])
        for size, status in ((4000, 200), (6000, 431)):
            answer = http_client.call(address, "GET", "/tickets", X="x" * size)
            self.assertEqual(answer.status, status)
        self.assertIn("5000 bytes", answer.error["message"])
        hello = self.browser(address, protocol="agentdesk.v1").wait_type("hello")
        self.assertEqual(hello["limits"]["body_bytes"], 2000, "what is promised is kept")
        hasty = self.start("--http_request_timeout=1s")
        slow = socket.create_connection(address_of(hasty), PATIENCE)
        self.addCleanup(slow.close)
        began = time.monotonic()
        slow.sendall(b"GET / HTTP/1.1\r\n")
        self.assertRegex(slow.recv(4096), rb"(?s)HTTP/1.1 408 .*a request may take 1s to arrive")
        self.assertGreater(time.monotonic() - began, 0.9)

    def test_a_socket_has_so_many_bytes_a_second(self) -> None:
        browser = self.browser(self.start("--max_message_bytes_per_second=1000"))
        self.assertEqual(browser.ask({"type": "ping", "x": "x" * 20_000}), {"type": "pong"})
        refused = browser.ask({"type": "ping"})
        self.assertEqual((refused["code"], refused["message"]),
                         ("rate_limited", "too many messages"))
        self.assertGreater(refused["retry_after_ms"], 10_000, "16 s for what was too much")

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

    def test_responses_that_nobody_takes_count_as_well(self) -> None:
        address = self.start("--max_outbox_bytes=2000000", "--threads=1")
        page = MetricsPage(lambda: address)
        reader = self.browser(address)
        for _ in range(30):
            self.desk.create("Long", description="x" * 32768)
        request = f"GET /tickets?page_size=1000 HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()
        stuck = []
        for _ in range(8):
            stuck.append(socket.socket())
            self.addCleanup(stuck[-1].close)
            stuck[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck[-1].settimeout(PATIENCE)
            stuck[-1].connect(address_of(address))
            stuck[-1].sendall(request)
        page.wait(lambda now: now >= 6, "agentdesk_limit_refusals_total", limit="outbox_bytes")

        def is_reset(connection: socket.socket) -> bool:
            size = 0
            with contextlib.suppress(ConnectionResetError):
                while size < 900_000 and (read := connection.recv(65536)):
                    size += len(read)
                return False
            return True
        self.assertEqual(sum(map(is_reset, stuck)), 6)
        self.assertEqual(reader.ask_text({"type": "ping"}), '{"type":"pong"}')
        self.assertEqual(http_client.call(address, "GET", "/tickets?page_size=1000").status, 200)

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


class UserLimitsTest(unittest.TestCase):
    """What a user may have on all of their sockets: a subject in its tenant."""

    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-users-")
        cls.addClassCleanup(scratch.cleanup)
        cls.issuer = Issuer()
        core_flags, cls.flags = authentication(pathlib.Path(scratch.name), cls.issuer)
        cls.system = System(core_flags, gateway=False)
        cls.addClassCleanup(cls.system.close)

    def start(self, *flags: str) -> str:
        gateway = Gateway(self.system.core.address, *self.flags, *flags)
        self.system.add(gateway).start()
        self.addCleanup(gateway.stop)
        return gateway.address

    def browser(self, address: str, subject: str = "alice", tenant: str | None = "acme") -> Browser:
        token = self.issuer.token(subject, tenant=tenant)
        browser = Browser(address, protocol=["agentdesk.v1", f"agentdesk.bearer.{token}"])
        self.addCleanup(browser.close)
        return browser

    def test_a_user_has_so_many_connections(self) -> None:
        address = self.start("--max_connections_per_user=1")
        first = self.browser(address)
        first.wait_type("hello")
        second = self.browser(address)
        self.assertEqual(second.wait_closed(), 4429)
        self.assertEqual(second.close_reason, "too many connections of this user, retry in 30 s")
        bearer = {"Authorization": f"Bearer {self.issuer.token('alice', tenant='acme')}"}
        with self.assertRaises(StreamRefused) as refused:
            EventStream(address, **bearer)
        self.assertEqual(refused.exception.status, 429)
        self.assertIn("too many connections of this user", refused.exception.body)
        self.assertEqual(http_client.call(address, "GET", "/tickets", **bearer).status, 200,
                         "calls are the core's to limit")
        for subject, tenant in (("bob", "acme"), ("alice", "zenith"), ("alice", None)):
            self.browser(address, subject, tenant).wait_type("hello")
        first.close()

        def is_let_in() -> bool:
            with contextlib.suppress(AssertionError):  # it was closed before its hello
                return self.browser(address).wait_type("hello") is not None
            return False
        wait_until(is_let_in, "a place that was given back")

    def test_a_user_has_so_many_bytes_a_second_on_all_sockets(self) -> None:
        address = self.start("--max_message_bytes_per_second_per_user=1000")
        one, two = self.browser(address), self.browser(address)
        self.assertEqual(one.ask({"type": "ping", "x": "x" * 20_000}), {"type": "pong"})
        refused = two.ask({"type": "ping"})
        self.assertEqual((refused["code"], refused["message"]),
                         ("rate_limited", "too many messages of this user"))
        self.assertGreater(refused["retry_after_ms"], 10_000, "16 s for what was too much")
        for subject, tenant in (("bob", "acme"), ("alice", "zenith")):
            self.assertEqual(self.browser(address, subject, tenant).ask({"type": "ping"}),
                             {"type": "pong"})


if __name__ == "__main__":
    unittest.main()
