"""TLS on the gateway's port: what browsers and programs get over it, and what everybody else is told."""

import json
import pathlib
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from typing import Any

import grpc
import http_client
import oracle
from agentdesk_test import BIN, PATIENCE, Gateway, Program, System, address_of, wait_until
from certificates import HERE, Authority, Pair, credentials, handshake, shown_serial
from desk_client import DeskClient, agent_pb2, event_pb2
from fault_proxy import FaultProxy
from tokens import AUDIENCE, ISSUER, Issuer, auth_config
from ws_client import BareSocket, Browser, FullBrowser, refused_status

HANDSHAKE_S = 10.0


class TlsGateway(unittest.TestCase):
    """A core and a gateway with a certificate of its own."""

    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-gateway-tls-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.authority = Authority(cls.folder)
        cls.tls = cls.authority.client()
        cls.server = cls.authority.issue("server", *HERE)
        cls.system = System(cls.core_flags(), gateway=False)
        cls.addClassCleanup(cls.system.close)
        cls.core = cls.system.core
        cls.gateway = Gateway(cls.way_to_core(), f"--tls_cert={cls.server.cert}",
                              f"--tls_key={cls.server.key}", *cls.gateway_flags(), tls=cls.tls)
        cls.system.add(cls.gateway).start()
        cls.address = cls.gateway.address

    @classmethod
    def core_flags(cls) -> list[str]:
        return []

    @classmethod
    def gateway_flags(cls) -> list[str]:
        return []

    @classmethod
    def way_to_core(cls) -> str:
        """The address by which the gateway reaches it."""
        return cls.core.address

    def http(self, method: str, path: str, body: Any = None, **headers: str) -> http_client.Answer:
        return http_client.call(self.address, method, path, body, tls=self.tls, **headers)

    def browser(self, **more: Any) -> Browser:
        browser = Browser(self.address, tls=self.tls, **more)
        self.addCleanup(browser.close)
        return browser

    def full(self, query: str = "", **more: Any) -> FullBrowser:
        browser = FullBrowser(self.address, query, tls=self.tls, **more)
        self.addCleanup(browser.close)
        return browser

    def connect(self, **more: Any) -> socket.socket:
        connection = socket.create_connection(address_of(self.address), PATIENCE, **more)
        self.addCleanup(connection.close)
        return connection

    def shake(self, context: ssl.SSLContext, **more: Any) -> ssl.SSLSocket:
        connection = context.wrap_socket(self.connect(), server_hostname="127.0.0.1",
                                         suppress_ragged_eofs=False, **more)
        self.addCleanup(connection.close)
        return connection


def read_all(connection: socket.socket) -> bytes:
    """To the end; with TLS, a connection that is cut instead of ended raises."""
    got = b""
    while data := connection.recv(65536):
        got += data
    return got


class ServedTest(TlsGateway):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.desk = DeskClient(cls.core.address)
        cls.addClassCleanup(cls.desk.close)

    def say(self, count: int, size: int) -> int:
        """So many messages of an agent's in one batch; the sequence of the last."""
        lease = self.desk.start(lease_s=600)
        activities = [agent_pb2.Activity(message=event_pb2.AgentMessage(content="x" * size))
                      for _ in range(count)]
        self.desk.call(self.desk.agents.ReportActivity,
                       agent_pb2.ReportActivityRequest(activities=activities, **lease.args))
        self.desk.complete(lease)
        return self.desk.head().head_sequence

    def test_the_plain_protocol_and_http(self) -> None:
        browser = self.browser()
        self.assertEqual(browser.ask_text({"type": "ping"}), '{"type":"pong"}')
        made = self.http("POST", "/tickets/create", {"ticket_name": "Over TLS"})
        self.assertEqual(made.status, 200, made.text)
        self.assertEqual(browser.wait_type("ticket_created")["ticket_name"], "Over TLS")
        shown = self.http("GET", f"/tickets/{made.json['ticket_id']}")
        self.assertEqual(shown.json["ticket_name"], "Over TLS")
        lease = self.desk.claim()
        question = self.desk.ask(lease)
        browser.wait_type("agent_question", question_id=question.question_id)
        ack = browser.ask({"type": "user_response", "session_id": lease.session_id,
                           "response": "This one"})
        self.assertEqual(ack["status"], "received")

    def test_a_connection_is_used_for_many_requests(self) -> None:
        connection = self.shake(self.tls)
        request = f"GET /health HTTP/1.1\r\nHost: {self.address}\r\n".encode()
        connection.sendall(3 * (request + b"\r\n"))
        connection.sendall(request + b"Connection: close\r\n\r\n")
        self.assertEqual(read_all(connection).count(b"HTTP/1.1 200 OK"), 4)

    def test_resume_across_a_restart_of_the_core(self) -> None:
        desk = self.desk.head()
        browser = self.full(f"after={desk.head_sequence}&desk={desk.desk_id}")
        before = self.say(10, 100)
        browser.wait_sequence(before)
        browser.close()
        self.core.kill()
        self.core.start()
        self.desk.wait_connected()
        self.gateway.wait_ready()
        last = self.say(50, 3000)
        again = self.full(f"after={before}&desk={desk.desk_id}")
        again.wait_sequence(last)
        oracle.check_complete(browser.seen + again.seen, desk.head_sequence, last)

    def test_large_messages_pass_both_ways(self) -> None:
        last = 0
        for number in range(20):
            # In JSON each of them takes six characters; a snapshot's frame has one ticket or more.
            last = self.desk.create(f"Large {number}", description="\x01" * 12_000).sequence
        browser = self.full("snapshot=1")
        parts = browser.wait_for(
            lambda texts: (found := [text for text in texts if '"type":"snapshot"' in text[:30]])
            and not json.loads(found[-1])["more"] and found, "a whole snapshot")
        self.assertGreater(max(map(len, parts)), 64 * 1024)
        names = {ticket["ticket_name"] for part in parts for ticket in json.loads(part)["tickets"]}
        self.assertGreaterEqual(names, {f"Large {number}" for number in range(20)})
        self.assertGreaterEqual(json.loads(parts[-1])["up_to"], last)
        self.assertEqual(browser.ask({"type": "ping", "pad": "p" * 200_000})["type"], "pong")
        made = self.http("POST", "/tickets/create",
                         {"ticket_name": "Large", "description": "e" * 32_000})
        self.assertEqual(made.json["status"], "queued")

    def outbox_bytes(self) -> int:
        name = "agentdesk_ws_outbox_bytes "
        lines = self.http("GET", "/metrics").text.splitlines()
        return next(int(float(line[len(name):])) for line in lines if line.startswith(name))

    def test_a_slow_reader_meets_whole_messages_and_4430(self) -> None:
        slow = BareSocket(self.address, receive_buffer=65536, tls=self.tls)
        slow.send_text('{"type":"ping"}')
        self.assertEqual(slow.read_frame(), (1, b'{"type":"pong"}'))
        quick = self.full("live=1")
        quick.wait_type("subscribed")
        quick.wait_sequence(self.say(100, 30_000))
        wait_until(lambda: self.outbox_bytes() > 100_000, "a queue of the one that does not read")
        # What remains is the frame under way and the close.
        wait_until(lambda: self.outbox_bytes() < 50_000, "its end after 10 s")
        got = 0
        while (frame := slow.read_frame())[0] != 8:
            json.loads(frame[1])
            got += 1
        self.assertEqual(int.from_bytes(frame[1][:2], "big"), 4430, frame[1])
        self.assertLess(got, 100)
        self.assertTrue(quick.is_open)
        slow.close()

    def test_a_stream_of_events_has_an_end(self) -> None:
        gateway = Gateway(self.core.address, f"--tls_cert={self.server.cert}",
                          f"--tls_key={self.server.key}", tls=self.tls).start()
        self.addCleanup(gateway.end)
        stream = self.tls.wrap_socket(
            socket.create_connection(address_of(gateway.address), PATIENCE),
            server_hostname="127.0.0.1", suppress_ragged_eofs=False)
        self.addCleanup(stream.close)
        stream.sendall(f"GET /events HTTP/1.1\r\nHost: {gateway.address}\r\n\r\n".encode())
        got = b""
        while b'"type":"subscribed"' not in got:
            got += stream.recv(65536)
        self.desk.create("Streamed")
        while b"Streamed" not in got:
            got += stream.recv(65536)
        gateway.stop()
        read_all(stream)

    def test_only_new_versions_and_ciphers_with_forward_secrecy(self) -> None:
        def ok(*arguments: str, alpn: str = "http/1.1") -> bool:
            return handshake(self.address, self.authority, "-brief", *arguments,
                             alpn=alpn).returncode == 0
        weak = ("-cipher", "ALL:@SECLEVEL=0")
        for version, right in (("-tls1_2", True), ("-tls1_3", True), ("-tls1_1", False),
                               ("-tls1", False)):
            with self.subTest(version):
                self.assertEqual(ok(version, *(() if right else weak)), right)
        for cipher in ("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256",
                       "DHE-RSA-AES128-GCM-SHA256", "NULL"):
            with self.subTest(cipher):
                self.assertFalse(ok("-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0"))
        self.assertTrue(ok(alpn="h2,http/1.1"))
        self.assertFalse(ok(alpn="h2"))

    def test_no_renegotiation_and_no_compression(self) -> None:
        again = handshake(self.address, self.authority, "-tls1_2", alpn="http/1.1", typed="R\n")
        self.assertIn("Compression: NONE", again.stdout)
        self.assertIn("RENEGOTIATING", again.stdout + again.stderr)
        self.assertIn("no renegotiation", again.stderr)

    def test_a_session_is_resumed(self) -> None:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                context = self.authority.client()
                context.maximum_version = version
                first = self.shake(context)
                request = f"GET /health HTTP/1.1\r\nHost: {self.address}\r\nConnection: close\r\n\r\n"
                first.sendall(request.encode())
                read_all(first)  # after the ticket
                self.assertFalse(first.session_reused)
                second = self.shake(context, session=first.session)
                self.assertTrue(second.session_reused)
                second.sendall(request.encode())
                self.assertIn(b"200 OK", read_all(second))

    def test_who_speaks_no_tls_is_told(self) -> None:
        for method in ("GET", "DELETE"):
            answer = http_client.call(self.address, method, "/health")
            self.assertEqual((answer.status, answer.error["code"]), (400, "tls_required"))
            self.assertIn("https", answer.error["message"])
        self.assertEqual(refused_status(self.address), 400)
        plain = self.connect()
        plain.sendall(b"\x00\x01\x02\x03")
        self.assertIn(b"tls_required", read_all(plain))

    def test_a_slow_handshake_is_cut_off(self) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        talk = self.tls.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        with self.assertRaises(ssl.SSLWantReadError):
            talk.do_handshake()
        hello = outgoing.read()
        lasted: dict[str, float] = {}

        def wait_for_end(name: str, connection: socket.socket, first: bytes, rest: bytes) -> None:
            began = time.monotonic()
            connection.sendall(first)
            connection.settimeout(0.5)
            while time.monotonic() - began < PATIENCE:
                try:
                    if rest:
                        connection.sendall(rest[:1])
                        rest = rest[1:]
                    if connection.recv(65536) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            lasted[name] = time.monotonic() - began
        waiting = [threading.Thread(target=wait_for_end, args=(name, self.connect(), first, rest))
                   for name, first, rest in (("silent", b"", b""), ("half", hello[:100], b""),
                                             ("dripping", hello[:1], hello[1:]),
                                             ("no more", hello, b""))]
        for thread in waiting:
            thread.start()
        self.assertEqual(self.http("GET", "/health").status, 200)
        for thread in waiting:
            thread.join()
        self.assertEqual(len(lasted), len(waiting))
        for name, seconds in lasted.items():
            self.assertGreater(seconds, HANDSHAKE_S * 0.8, name)
            self.assertLess(seconds, PATIENCE, name)

    def test_new_certificates_are_used_without_a_restart(self) -> None:
        def shown() -> str:
            return shown_serial(self.address, self.authority, alpn="http/1.1")
        before = self.browser()
        old = self.server.serial()
        self.assertEqual(shown(), old)
        fresh = self.authority.issue("fresh", *HERE)
        # Half of it: the key is still the old one.
        Pair.replace(self.server.cert, fresh.cert)
        self.gateway.wait_for_log("certificates cannot be used; the old ones stay")
        self.assertEqual(shown(), old)
        Pair.replace(self.server.key, fresh.key)
        wait_until(lambda: shown() == fresh.serial(), "the new certificate")
        self.assertEqual(before.ask_text({"type": "ping"}), '{"type":"pong"}')
        self.assertEqual(self.browser().ask_text({"type": "ping"}), '{"type":"pong"}')


class WholeWay(TlsGateway):
    """Users over TLS to the gateway, and the gateway by its certificate to the core."""

    @classmethod
    def core_flags(cls) -> list[str]:
        cls.issuer = Issuer()
        (cls.folder / "keys.json").write_text(cls.issuer.key_set())
        cls.auth = auth_config(
            cls.folder, [{"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["HS256"],
                          "keys_file": "keys.json"}],
            gateways=["gateway-1"],
            certificates=[{"name": "DNS:gateway.desk.example", "subject": "gateway-1",
                           "scopes": ["events:read"]}])
        cls.clients = cls.folder / "clients.pem"
        cls.clients.write_bytes(cls.authority.file.read_bytes())
        return [f"--auth_config={cls.auth}", f"--tls_cert={cls.server.cert}",
                f"--tls_key={cls.server.key}", f"--tls_client_ca={cls.clients}"]

    @classmethod
    def gateway_flags(cls) -> list[str]:
        cls.own = cls.authority.issue("gateway", "DNS:gateway.desk.example")
        return [f"--auth_config={cls.auth}", f"--core_ca={cls.authority.file}",
                f"--core_cert={cls.own.cert}", f"--core_key={cls.own.key}"]


class WholeWayTest(WholeWay):
    def test_from_a_browser_to_the_log_and_back(self) -> None:
        token = self.issuer.token("alice")
        headers = {"Authorization": f"Bearer {token}"}
        browser = self.full("live=1", headers=headers)
        self.assertEqual(browser.wait_type("hello")["user"], "alice")
        browser.wait_type("subscribed")
        made = self.http("POST", "/tickets/create", {"ticket_name": "Encrypted"}, **headers)
        created = browser.wait_type("ticket_created", ticket_id=made.json["ticket_id"])
        self.assertEqual(created["actor"]["id"], "alice")
        self.core.kill()
        self.core.start()
        self.gateway.wait_ready()
        again = wait_until(lambda: (answer := self.http(
            "POST", "/tickets/create", {"ticket_name": "After a restart"},
            **headers)).status == 200 and answer.json, "a core that is back")
        browser.wait_type("ticket_created", ticket_id=again["ticket_id"])
        oracle.check_complete(browser.seen, created["sequence"] - 1, browser.last_sequence)
        self.assertEqual(self.http("GET", "/tickets").status, 401)

    def test_the_cookie_is_for_this_origin_and_for_tls_alone(self) -> None:
        token = self.issuer.token("bob")
        answer = self.http("POST", "/login", Authorization=f"Bearer {token}")
        cookie, *attributes = answer.headers["set-cookie"].split("; ")
        self.assertLessEqual({"Secure", "HttpOnly", "SameSite=Strict"}, set(attributes))
        signed_in = self.full(headers={"Cookie": cookie}, origin=f"https://{self.address}")
        self.assertEqual(signed_in.wait_type("hello")["user"], "bob")
        for foreign in ("https://evil.example", f"https://evil.example:{address_of(self.address)[1]}"):
            self.assertEqual(refused_status(self.address, headers={"Cookie": cookie},
                                            origin=foreign, tls=self.tls), 403)


class RotationTest(WholeWay):
    """What the gateway shows the core, and what the core believes, are replaced while both run."""

    @classmethod
    def way_to_core(cls) -> str:
        cls.proxy = FaultProxy(cls.core.address)
        cls.addClassCleanup(cls.proxy.close)
        return cls.proxy.address

    def is_let_in(self, own: Pair) -> bool:
        """Whether the core takes a new connection of whoever has this certificate."""
        desk = DeskClient(self.core.address, credentials(self.authority, own))
        try:
            desk.events.GetDesk(event_pb2.GetDeskRequest(), timeout=20)
        except grpc.RpcError as error:
            self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE, error)
            return False
        finally:
            desk.close()
        return True

    def believe(self, *authorities: Authority) -> None:
        bundle = self.folder / "bundle.pem"
        bundle.write_bytes(b"".join(authority.file.read_bytes() for authority in authorities))
        Pair.replace(self.clients, bundle)

    def test_another_authority_takes_over_without_a_restart(self) -> None:
        headers = {"Authorization": f"Bearer {self.issuer.token('alice')}"}

        def create() -> http_client.Answer:
            return self.http("POST", "/tickets/create", {"ticket_name": "Rotated"}, **headers)
        browser = self.full("live=1", headers=headers)
        browser.wait_type("subscribed")
        name = "DNS:gateway.desk.example"
        old, other = self.authority.issue("old-gateway", name), Authority(self.folder, "next")
        fresh = other.issue("next-gateway", name)
        self.assertEqual((self.is_let_in(old), self.is_let_in(fresh)), (True, False))

        self.believe(self.authority, other)
        wait_until(lambda: self.is_let_in(fresh), "a core that believes the next authority")
        self.assertTrue(self.is_let_in(old))
        self.own.replace_by(fresh)
        self.believe(other)
        wait_until(lambda: not self.is_let_in(old), "a core that no longer believes the first")
        self.assertTrue(self.is_let_in(fresh))
        # The gateway's connection is as old as the first certificate, which held when it began.
        made = create()
        self.assertEqual(made.status, 200, made.text)
        browser.wait_type("ticket_created", ticket_id=made.json["ticket_id"])

        self.proxy.reset()
        # Only with the next certificate can it have come back.
        made = wait_until(lambda: (answer := create()).status == 200 and answer,
                          "a gateway that shows its new certificate")
        browser.wait_type("ticket_created", ticket_id=made.json["ticket_id"])


class FlagsTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-gateway-tls-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.pair = Authority(self.folder).issue("server", *HERE)
        self.tls = [f"--tls_cert={self.pair.cert}", f"--tls_key={self.pair.key}"]
        issuer = Issuer()
        (self.folder / "keys.json").write_text(issuer.key_set())
        config = auth_config(self.folder, [{"issuer": ISSUER, "audiences": [AUDIENCE],
                                            "algorithms": ["HS256"], "keys_file": "keys.json"}], [])
        (self.folder / "token").write_text(issuer.token("gateway-1"))
        self.auth = [f"--auth_config={config}", f"--core_token_file={self.folder / 'token'}"]

    def refusal(self, *flags: str) -> str:
        """Why it does not start; nothing where it would."""
        done = subprocess.run([str(BIN / "agentdesk-gateway"), "--check_config", *flags],
                              capture_output=True, text=True, timeout=60, check=False)
        return done.stderr if done.returncode else ""

    def test_other_machines_reach_only_what_is_safe(self) -> None:
        for far in ("--listen=0.0.0.0:8000", "--listen=[::]:8000", "--listen=192.0.2.1:8000"):
            self.assertEqual(self.refusal(far, *self.auth, *self.tls), "")
            for flags, missing in [([], "--auth_config, --tls_cert and --tls_key"),
                                   (self.auth, "give --tls_cert and --tls_key as well"),
                                   (self.tls, "give --auth_config as well")]:
                self.assertIn(missing, self.refusal(far, *flags))
                self.assertIn("--listen", self.refusal(far, *flags))
                self.assertEqual(self.refusal(far, "--allow_insecure_remote", *flags), "")
        for near in ("127.0.0.1", "127.9.9.9", "[::1]", "localhost"):
            self.assertEqual(self.refusal(f"--listen={near}:8000"), "")
        # Not what it seems to be, whatever a name server makes of it.
        self.assertIn("--listen", self.refusal("--listen=127.0.0.1.example.com:8000"))

    def test_it_does_not_start_either(self) -> None:
        program = Program("agentdesk-gateway", "--listen=0.0.0.0:0").start(wait=False)
        self.assertEqual(program.wait(), 1)
        self.assertIn("--allow_insecure_remote", program.tail())

    def test_what_is_wrong_is_named(self) -> None:
        cert, key = self.tls
        for flags, words in [
            ([cert], "go together"), ([key], "go together"),
            ([cert, f"--tls_key={self.folder}/none"], "none: cannot be read"),
            ([f"--tls_cert={self.pair.key}", key], "must hold certificates in PEM"),
        ]:
            with self.subTest(words):
                refusal = self.refusal(*flags)
                self.assertIn(words, refusal)
                self.assertIn("--tls_", refusal)


if __name__ == "__main__":
    unittest.main()
