"""Every metric that docs/OPERATIONS.md lists exists, and moves when its cause is made to happen."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
from collections.abc import Callable
from typing import Any

import grpc
import http_client
import websockets
from agentdesk_test import (PATIENCE, ROOT, Core, DeskTestCase, Gateway, System, address_of,
                            wait_until)
from collector import Collector
from desk_client import (DeskClient, agent_pb2, event_pb2, new_id, seconds, ticket_pb2)
from metrics_text import MetricsPage, documented, documented_labels
from tokens import Issuer, authentication
from ws_client import BareSocket, Browser, FullBrowser

PROMTOOL = ROOT / "build/tools/promtool"
RETAINED = 300
# What the process has whatever happens; tried by its value.
CONSTANT = {"process_max_fds", "process_start_time_seconds", "agentdesk_build_info"}
LIMIT_REFUSALS = "agentdesk_limit_refusals_total"  # moved by LimitRefusalsTest, under each label


class MetricsTest(DeskTestCase):
    moved: dict[str, set[str]] = {"core": set(), "gateway": set()}

    @classmethod
    def setUpClass(cls) -> None:
        cls.collector = Collector()
        cls.addClassCleanup(cls.collector.close)
        cls.gateway_flags = (f"--otlp_endpoint={cls.collector.endpoint}",)
        cls.core_flags = (*cls.gateway_flags, "--expiry_hold=0s", f"--retain_events={RETAINED}")
        super().setUpClass()
        cls.core_page = MetricsPage(lambda: cls.core.admin)
        cls.gateway_page = MetricsPage(lambda: cls.gateway.address)

    @classmethod
    def page(cls, process: str) -> MetricsPage:
        return cls.core_page if process == "core" else cls.gateway_page

    def moves(self, process: str, name: str, cause: Callable[[], Any], page: Any = None,
              by: float | None = None, **labels: str) -> Any:
        """The cause changes the value: makes it greater, or exactly by so much."""
        page = page or self.page(process)
        sample = name + ("_count" if documented(process.capitalize()).get(name) == "histogram" else "")
        before = page.value(sample, **labels)
        result = cause()
        page.wait(lambda now: now > before if by is None else now == before + by, sample, **labels)
        self.moved[process].add(name)
        return result

    def burst(self, lease: Any, megabytes: int) -> None:
        """So many events of 30 KiB that they fill what lies between two processes."""
        message = agent_pb2.Activity(message=event_pb2.AgentMessage(content="x" * 30000))
        for _ in range(megabytes):
            self.desk.call(self.desk.agents.ReportActivity, agent_pb2.ReportActivityRequest(
                activities=[message] * 34, **lease.args))

    def test_1_calls(self) -> None:
        of_create = {"grpc_service": "agentdesk.v1.TicketService", "grpc_method": "CreateTicket"}
        create = self.desk.create
        self.moves("core", "grpc_server_handled_total", create, by=1, grpc_code="OK", **of_create)
        self.moves("core", "grpc_server_handling_seconds", create, by=1, **of_create)

        def refuse() -> None:
            self.desk.refused(self.desk.tickets.GetTicket,
                              ticket_pb2.GetTicketRequest(ticket_id=new_id()))
        self.moves("core", "grpc_server_handled_total", refuse, by=1, grpc_method="GetTicket",
                   grpc_code="NotFound")
        self.moves("core", "agentdesk_refused_calls_total", refuse, by=1, reason="not_found")

        def subscribe() -> None:
            call = self.desk.events.Subscribe(event_pb2.SubscribeRequest(live=True))
            next(iter(call))
            call.cancel()
        self.moves("core", "grpc_server_handled_total", subscribe, by=1, grpc_method="Subscribe",
                   grpc_code="Canceled")

    def test_2_log_and_writer(self) -> None:
        create = self.desk.create
        self.moves("core", "agentdesk_committer_batch_commands", create, by=1)
        self.moves("core", "agentdesk_commit_seconds", create, by=1)
        self.moves("core", "agentdesk_events_total", create, by=1, type="ticket_created")
        self.moves("core", "agentdesk_log_head_sequence", create, by=1)
        self.moves("core", "agentdesk_log_tail_events", create, by=1)
        self.moves("core", "agentdesk_log_tail_bytes", create)
        self.moves("core", "agentdesk_log_oldest_sequence",
                   lambda: [create() for _ in range(RETAINED)])
        head = self.desk.head()
        self.assertEqual(self.core_page.value("agentdesk_log_head_sequence"), head.head_sequence)
        self.assertEqual(self.core_page.value("agentdesk_log_oldest_sequence"),
                         head.oldest_sequence)

    def test_3_work_and_questions(self) -> None:
        desk = self.desk
        desk.create(queue="m")
        self.moves("core", "agentdesk_jobs", lambda: desk.create(queue="m"), by=1, status="queued")
        lease = self.moves("core", "agentdesk_jobs", lambda: desk.claim("m"), by=1,
                           status="running")
        self.moves("core", "agentdesk_leases_held", lambda: desk.claim("m"), by=1)
        question = self.moves("core", "agentdesk_questions_open", lambda: desk.ask(lease), by=1)
        self.moves("core", "agentdesk_question_oldest_open_age_seconds", lambda: None)
        self.moves("core", "agentdesk_responses_total",
                   lambda: desk.answer(lease.session_id, "yes", question_id=question.question_id),
                   by=1, outcome="received")
        self.moves("core", "agentdesk_responses_total",
                   lambda: desk.answer(lease.session_id, "no", question_id=question.question_id),
                   by=1, outcome="already_answered")
        self.assertEqual(self.core_page.value("agentdesk_questions_open"), 0)
        self.assertEqual(self.core_page.value("agentdesk_question_oldest_open_age_seconds"), 0)
        self.moves("core", "agentdesk_question_deadlines_missed_total",
                   lambda: desk.ask(lease, expires_in=seconds(1)), by=1)
        self.moves("core", "agentdesk_jobs_ended_total", lambda: desk.complete(lease), by=1,
                   status="completed")
        self.moves("core", "agentdesk_leases_expired_total", lambda: desk.start(lease_s=1), by=1)
        running = self.core_page.value("agentdesk_jobs", status="running")
        queued = self.core_page.value("agentdesk_jobs", status="queued")
        open_question = desk.ask(desk.start())
        self.core.kill()
        self.start_core()
        self.assertEqual(self.core_page.value("agentdesk_jobs", status="running"), running + 1,
                         "counted anew after a restart")
        self.assertEqual(self.core_page.value("agentdesk_jobs", status="queued"), queued)
        self.assertEqual(self.core_page.value("agentdesk_questions_open"), 1, open_question)

    def test_4_a_writer_that_cannot_keep_up(self) -> None:
        slow = Core(self.system.scratch / "slow", wrapper=[
            "strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync",
            "-e", "inject=fdatasync:delay_enter=2000000"])
        self.addCleanup(slow.kill)
        slow.start()
        page = MetricsPage(lambda: slow.admin)
        clients = [DeskClient(slow.address) for _ in range(2)]
        calls = []
        for number in range(5000):
            client = clients[number % len(clients)]
            calls.append(client.tickets.CreateTicket.future(
                ticket_pb2.CreateTicketRequest(ticket_name="One of many"), wait_for_ready=True))
        page.wait(lambda now: now > 0, "agentdesk_committer_queue_commands")
        page.wait(lambda now: now > 0, "agentdesk_committer_overloaded_total")
        page.wait(lambda now: now > 0, "agentdesk_refused_calls_total", reason="overloaded")
        self.moved["core"] |= {"agentdesk_committer_queue_commands",
                               "agentdesk_committer_overloaded_total"}
        for call in calls:
            call.cancel()
        for client in clients:
            client.close()

    def test_5_connections_and_subscriptions(self) -> None:
        def connect() -> DeskClient:
            client = DeskClient(self.core.address)
            self.addCleanup(client.close)
            client.wait_connected()
            return client
        client = self.moves("core", "agentdesk_grpc_connections_accepted_total", connect, by=1)
        # Several, since those of the page before may be closing meanwhile.
        self.moves("core", "process_open_fds", lambda: [connect() for _ in range(5)])

        def subscribe() -> None:
            call = client.events.Subscribe(event_pb2.SubscribeRequest(live=True))
            next(iter(call))
            self.addCleanup(call.cancel)
        self.moves("core", "agentdesk_subscriptions", subscribe, by=1)
        # That subscription is not read any more.
        lease = self.desk.start()
        self.moves("core", "agentdesk_subscription_lag_events", lambda: self.burst(lease, 12))

        small = Core(self.system.scratch / "small", "--max_connections=1")
        self.addCleanup(small.kill)
        small.start()

        def one_too_many() -> None:
            for _ in range(3):
                connection = socket.create_connection(address_of(small.address))
                self.addCleanup(connection.close)
        self.moves("core", "agentdesk_grpc_connections_refused_total", one_too_many,
                   MetricsPage(lambda: small.admin))

    def test_6_browsers(self) -> None:
        gateway = self.gateway.address
        for protocol, kind in (("plain", Browser), ("agentdesk.v1", FullBrowser)):
            opened = self.moves("gateway", "agentdesk_ws_upgrades_total", lambda k=kind: k(gateway),
                                by=1, protocol=protocol)
            self.moves("gateway", "agentdesk_ws_connections", lambda k=kind: k(gateway), by=1,
                       protocol=protocol)
            self.moves("gateway", "agentdesk_ws_closes_total", opened.close, by=1, code="1000")
        browser = Browser(gateway)
        self.moves("gateway", "agentdesk_ws_messages_received_total",
                   lambda: browser.send({"type": "ping"}), by=1)
        self.moves("gateway", "agentdesk_ws_messages_sent_total", self.desk.create)
        self.moves("gateway", "agentdesk_fanout_seconds", self.desk.create)
        self.moves("gateway", "agentdesk_event_delivery_seconds", self.desk.create)
        health = lambda: http_client.call(gateway, "GET", "/health")
        self.moves("gateway", "agentdesk_http_requests_total", health, by=1, code="200")
        self.moves("gateway", "agentdesk_http_request_seconds", health, by=1)
        stuck = BareSocket(gateway, receive_buffer=4096)
        self.addCleanup(stuck.close)
        lease = self.desk.start()
        self.moves("gateway", "agentdesk_ws_outbox_bytes", lambda: self.burst(lease, 4))
        self.gateway_page.wait(lambda now: now >= 1, "agentdesk_ws_closes_total", code="4430")

    def test_7_upstream(self) -> None:
        self.moves("gateway", "agentdesk_upstream_sequence", self.desk.create, by=1)

        def restart() -> None:
            self.core.kill()
            self.gateway_page.wait(lambda now: now == 0, "agentdesk_upstream_live")
            self.start_core()
        self.moves("gateway", "agentdesk_upstream_reconnects_total", restart, by=1)
        self.gateway_page.wait(lambda now: now == 1, "agentdesk_upstream_live")
        self.moved["gateway"].add("agentdesk_upstream_live")

        first = Core(self.system.scratch / "first")
        self.addCleanup(first.kill)
        follower = Gateway(first.start().address)
        self.addCleanup(follower.kill)
        follower.start()
        second = Core(self.system.scratch / "second")
        self.addCleanup(second.kill)
        second.address = first.address

        def replace() -> None:
            first.kill()
            second.start()
        DeskClient(first.address).create()
        page = MetricsPage(lambda: follower.address)
        page.wait(lambda now: now == 1, "agentdesk_upstream_sequence")
        self.moves("gateway", "agentdesk_upstream_gaps_total", replace, page, by=1,
                   reason="other_desk")

    def test_8_process(self) -> None:
        for process in ("core", "gateway"):
            page = self.page(process)
            before = page.value("process_cpu_seconds_total")
            wait_until(lambda: page.value("process_cpu_seconds_total") > before, "work done")
            self.assertGreater(page.value("process_resident_memory_bytes"), 1 << 20)
            self.assertGreater(page.value("process_virtual_memory_bytes"),
                               page.value("process_resident_memory_bytes"))
            self.assertGreater(page.value("process_threads"), 2)
            self.assertGreater(page.value("process_max_fds"), page.value("process_open_fds"))
            self.assertLess(abs(page.value("process_start_time_seconds") - time.time()), 600)
            self.assertEqual(page.value("agentdesk_build_info", service=process), 1)
            self.moved[process] |= {
                "process_cpu_seconds_total", "process_resident_memory_bytes", "process_threads",
                "process_virtual_memory_bytes", "process_open_fds"}
        data_dir = self.core.data_dir

        def tells_what_is_free() -> bool:
            """But for what others write and remove meanwhile."""
            disk = os.statvfs(data_dir)
            told = self.core_page.value("agentdesk_data_dir_free_bytes")
            return abs(told - disk.f_bavail * disk.f_frsize) < 16 << 20
        wait_until(tells_what_is_free, "the space on the disk")
        with open(self.core.data_dir / "ballast", "wb") as ballast:
            ballast.write(os.urandom(64 << 20))
            ballast.flush()
            os.fsync(ballast.fileno())
        wait_until(tells_what_is_free, "64 MiB less of it")
        self.moved["core"].add("agentdesk_data_dir_free_bytes")

    def test_8_spans(self) -> None:
        def trace() -> None:
            http_client.call(self.gateway.address, "GET", "/tickets")
        for process in ("core", "gateway"):
            self.moves(process, "agentdesk_spans_exported_total", trace)
        self.collector.close()
        for process in ("core", "gateway"):
            self.moves(process, "agentdesk_spans_dropped_total", trace, reason="collector")

    def test_9_the_documents_tell_of_all_of_them(self) -> None:
        for process in ("core", "gateway"):
            page = self.page(process)
            told = documented(process.capitalize())
            found = page.types()
            # These show themselves with their first cause, which may have been in another process.
            first_cause = {"agentdesk_upstream_gaps_total", "agentdesk_refused_calls_total"}
            self.assertEqual({**{name: told[name] for name in first_cause & told.keys()}, **found},
                             told)
            self.assertEqual(set(told) - CONSTANT - {LIMIT_REFUSALS}, self.moved[process])
            checked = subprocess.run([str(PROMTOOL), "check", "metrics"], input=page.text(),
                                     text=True, capture_output=True, timeout=60)
            self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))


class LimitRefusalsTest(DeskTestCase):
    """Each limit of the gateway counts whom it refuses under its own label, and under no other."""

    with_gateway = False

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-limits-")
        cls.addClassCleanup(scratch.cleanup)
        cls.issuer = Issuer()
        core_flags, cls.gateway_authentication = authentication(pathlib.Path(scratch.name),
                                                                cls.issuer)
        cls.knows_users = System(core_flags, gateway=False)
        cls.addClassCleanup(cls.knows_users.close)

    def browser(self, **more: Any) -> Browser:
        browser = Browser(self.address, **more)
        self.addCleanup(browser.close)
        return browser

    def alice(self) -> Browser:
        return self.browser(protocol=["agentdesk.v1", f"agentdesk.bearer.{self.issuer.token()}"])

    def get(self, path: str = "/livez", **more: Any) -> int:
        return http_client.call(self.address, "GET", path, **more).status

    def too_many_connections(self) -> None:
        held = []
        while self.get() != 503:
            held.append(self.browser())
        for browser in held:
            browser.close()
        wait_until(lambda: self.get() == 200, "a place that was given back")

    def too_many_of_a_user(self) -> None:
        self.alice().wait_type("hello")
        self.assertEqual(self.alice().wait_closed(), 4429)
        self.assertEqual(self.get("/events", Authorization=f"Bearer {self.issuer.token()}"), 429)

    def too_many_of_an_address(self) -> None:
        crowded = {"source": "127.0.0.7"}
        for _ in range(2):
            self.browser(**crowded).ask({"type": "ping"})
        self.assertEqual(self.browser(**crowded).wait_closed(), 4429)
        self.assertEqual(self.get(**crowded), 429)

    def too_many_handshakes(self) -> None:
        codes = []
        while 1013 not in codes:
            browser = self.browser()
            with contextlib.suppress(websockets.ConnectionClosed):
                browser.send({"type": "ping"})
            browser.wait_for(lambda texts: texts or not browser.is_open, "pong or close")
            codes.append(0 if browser.texts else browser.wait_closed())

    def too_slow_a_request(self) -> None:
        slow = socket.create_connection(address_of(self.address), PATIENCE)
        self.addCleanup(slow.close)
        slow.sendall(b"GET / HTTP/1.1\r\n")
        self.assertIn(b"408", slow.recv(4096))

    def too_large_a_request(self) -> None:
        self.assertEqual(self.get(X="x" * 5000), 431)
        answer = http_client.call(self.address, "POST", "/tickets/create", b"x" * 5000)
        self.assertEqual(answer.status, 413)

    def too_many_messages(self, browser: Browser | None = None) -> None:
        browser = browser or self.browser()
        while browser.ask({"type": "ping"})["type"] == "pong":
            pass

    def too_many_commands(self) -> None:
        browser = self.browser(protocol="agentdesk.v1")
        browser.wait_type("hello")
        self.core.signal(signal.SIGSTOP)
        try:
            for _ in range(65):
                browser.send({"type": "create_ticket", "ticket_name": "One of many"})
            browser.wait_type("error", code="rate_limited")
        finally:
            self.core.signal(signal.SIGCONT)

    def too_much_for_those_who_do_not_read(self) -> None:
        for _ in range(4):
            stuck = BareSocket(self.address, receive_buffer=4096)
            self.addCleanup(stuck.close)
        lease = self.desk.start()

        def one_goes() -> bool:
            self.desk.say(lease, "x" * 30000)
            return self.page.value(LIMIT_REFUSALS, limit="outbox_bytes") >= 1
        wait_until(one_goes, "a reader that is closed for the sake of memory")

    def flood_without_a_token(self) -> None:
        socket_of_nobody = BareSocket(self.address)
        self.addCleanup(socket_of_nobody.close)
        for _ in range(5):
            socket_of_nobody.send_frame(0x0A, b"")  # pongs, which nothing answers
        opcode, payload = socket_of_nobody.read_frame()
        self.assertEqual((opcode, payload),
                         (8, struct.pack("!H", 4429) + b"too many messages, retry in 5 s"))

    def test_each_under_its_own_label(self) -> None:
        messages = self.too_many_messages
        rows: dict[str, tuple[list[str], bool, Callable[[], Any]]] = {
            "connections": (["--max_connections=4"], False, self.too_many_connections),
            "connections_per_user": (["--max_connections_per_user=1"], True,
                                     self.too_many_of_a_user),
            "connections_per_address": (["--max_connections_per_address=2"], False,
                                        self.too_many_of_an_address),
            "handshakes": (["--max_handshakes_per_second=1"], False, self.too_many_handshakes),
            "request_time": (["--http_request_timeout=1s"], False, self.too_slow_a_request),
            "request_size": (["--max_http_header_bytes=4096", "--max_http_body_bytes=4096"], False,
                             self.too_large_a_request),
            "messages": (["--max_messages_per_second=5"], False, messages),
            "messages_per_user": (["--max_messages_per_second_per_user=5"], True,
                                  lambda: messages(self.alice())),
            "commands": ([], False, self.too_many_commands),
            "outbox_bytes": (["--max_outbox_bytes=400000"], False,
                             self.too_much_for_those_who_do_not_read),
            "flood": (["--max_messages_per_second=1"], True, self.flood_without_a_token),
        }
        self.assertEqual(documented_labels(LIMIT_REFUSALS), set(rows), "docs/OPERATIONS.md names them")
        for label, (flags, users, cause) in rows.items():
            with self.subTest(limit=label):
                desk = self.knows_users.core if users else self.core
                gateway = Gateway(desk.address, "--threads=1", *flags,
                                  *(self.gateway_authentication if users else []))
                self.system.add(gateway).start()
                self.address = gateway.address
                token = {"Authorization": f"Bearer {self.issuer.token()}"} if users else {}
                # From an address of its own, so that it takes nobody's place.
                self.page = MetricsPage(lambda address=gateway.address: address, source="127.0.0.9",
                                        **token)
                self.assertEqual(set(self.page.by_label(LIMIT_REFUSALS, "limit")), set(rows))
                cause()
                refused = self.page.by_label(LIMIT_REFUSALS, "limit")
                self.assertEqual({limit for limit, count in refused.items() if count > 0}, {label},
                                 refused)
                self.doCleanups()
                gateway.stop()


class HalfOpenTest(DeskTestCase):
    def test_metrics_are_answered_under_load_and_beside_200_half_open_connections(self) -> None:
        browser = Browser(self.gateway.address)
        self.addCleanup(browser.close)
        for name, address in (("core", self.core.admin), ("gateway", self.gateway.address)):
            with self.subTest(process=name):
                took = self.times_under_load(address)
                print(f"/metrics of the {name} under load: median {took[25] * 1000:.1f} ms, "
                      f"worst {took[-1] * 1000:.1f} ms")
                self.assertLess(took[25], 0.1, "this promise is in seconds, far above the usual")
        self.assertEqual(browser.ask_text({"type": "ping"}), '{"type":"pong"}')

    def times_under_load(self, address: str) -> list[float]:
        silent = []
        for _ in range(200):
            connection = socket.create_connection(address_of(address))
            connection.sendall(b"GET /metrics HTTP/1.1\r\n")
            silent.append(connection)
        stop = threading.Event()

        def load() -> None:
            client = DeskClient(self.core.address)
            while not stop.is_set():
                client.create()
            client.close()
        writers = [threading.Thread(target=load) for _ in range(4)]
        for writer in writers:
            writer.start()
        took = []
        for _ in range(50):
            began = time.monotonic()
            answer = http_client.call(address, "GET", "/metrics", timeout=5)
            took.append(time.monotonic() - began)
            self.assertEqual(answer.status, 200)
        stop.set()
        for writer in writers:
            writer.join()
        for connection in silent:
            connection.close()
        return sorted(took)


class AdminPortTest(DeskTestCase):
    with_gateway = False

    def test_livez_and_readyz(self) -> None:
        for path in ("/livez", "/readyz"):
            answer = http_client.call(self.core.admin, "GET", path)
            self.assertEqual((answer.status, answer.text), (200, "ok\n"))
        self.assertEqual(http_client.call(self.core.admin, "GET", "/").status, 404)
        self.assertEqual(http_client.call(self.core.admin, "POST", "/livez").status, 405)

    def test_no_admin_port(self) -> None:
        core = Core(self.system.scratch / "closed", "--admin_listen=")
        self.addCleanup(core.kill)
        core.start()
        self.assertEqual(core.admin, "")


if __name__ == "__main__":
    unittest.main()
