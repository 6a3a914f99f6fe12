"""TLS on the core's port: what is spoken there, with whom, and for whom a client certificate stands."""

import json
import pathlib
import subprocess
import tempfile
import time
import unittest
from typing import Any

import grpc
from agentdesk_test import (BIN, Core, Gateway, Program, System, command_line, http_status,
                            wait_until)
from certificates import (HERE, OLD_HASH, SHORT_KEY, Authority, Pair, credentials, handshake,
                          shown_serial)
from desk_client import (DeskClient, Refusal, agent_pb2, event_pb2, refusal_of, ticket_pb2)
from grpc._cython import cygrpc
from http_client import call
from tokens import AUDIENCE, ISSUER, SCOPES, As, Issuer, auth_config, b64, bearer



class TlsDesk:
    """Certificates of a class's own, and a core that uses them."""

    with_auth = False
    with_clients = False

    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-tls-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.authority = Authority(cls.folder)
        cls.stranger = Authority(cls.folder, "stranger")
        cls.server = cls.authority.issue("server", *HERE)
        flags = [f"--tls_cert={cls.server.cert}", f"--tls_key={cls.server.key}"]
        if cls.with_clients:
            flags.append(f"--tls_client_ca={cls.authority.file}")
        if cls.with_auth:
            flags.append(f"--auth_config={cls.write_auth()}")
        cls.system = System(flags, gateway=False)
        cls.addClassCleanup(cls.system.close)
        cls.core = cls.system.core

    @classmethod
    def write_auth(cls) -> pathlib.Path:
        cls.issuer = Issuer()
        (cls.folder / "keys.json").write_text(cls.issuer.key_set())
        return auth_config(
            cls.folder, [{"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["HS256"],
                          "keys_file": "keys.json"}],
            gateways=["gateway-1"],
            certificates=[
                {"name": "URI:spiffe://desk.example/worker", "subject": "worker-1",
                 "scopes": ["agents:work", "tickets:write", "events:read"], "tenant": "acme"},
                {"name": "DNS:gateway.desk.example", "subject": "gateway-1",
                 "scopes": ["events:read"]},
            ])

    def test_the_core_sees_that_it_is_alive(self) -> None:
        self.assertEqual(http_status(self.core.logged("listening")[0]["admin"], "/livez"), 200)

    def connect(self, own: Pair | None = None, authority: Authority | None = None,
                tls_sessions: Any = None) -> DeskClient:
        desk = DeskClient(self.core.address, credentials(authority or self.authority, own),
                          tls_sessions)
        self.addCleanup(desk.close)
        return desk

    def refused(self, desk: DeskClient | As, method: Any = None) -> Refusal:
        with self.assertRaises(grpc.RpcError) as raised:
            if method is None:
                desk.events.GetDesk(event_pb2.GetDeskRequest(), timeout=20)
            else:
                method()
        return refusal_of(raised.exception)

    def check_that_it_ends(self, name: str) -> None:
        """A client certificate lets nobody in after its end, whatever its connection is."""
        now = time.time()
        own = self.authority.issue_for_time("ends", now - 3600, now + 8, name)
        sessions = cygrpc.SSLSessionCacheLRU(4)
        desk = self.connect(own, tls_sessions=sessions)
        desk.head()
        with self.assertRaises(grpc.RpcError) as ended:
            for _ in desk.events.Subscribe(event_pb2.SubscribeRequest(live=True), timeout=60):
                pass
        over = refusal_of(ended.exception)
        self.assertIn("Resume after", over.text)
        # On the connection that there is, and on one that goes on with its session of TLS.
        for refusal in (over, self.refused(desk),
                        self.refused(self.connect(own, tls_sessions=sessions))):
            self.assertEqual((refusal.code, refusal.reason),
                             (grpc.StatusCode.UNAUTHENTICATED, "certificate_expired"), refusal.text)
        self.assertEqual(self.refused(self.connect(own)).code, grpc.StatusCode.UNAVAILABLE)

    def handshake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return handshake(self.core.address, self.authority, "-brief", *arguments)


class ServerTest(TlsDesk, unittest.TestCase):
    def test_calls_go_through_for_who_knows_the_authority(self) -> None:
        self.connect().create("Over TLS")
        shown = command_line("ticket", "list", f"--core_ca={self.authority.file}",
                             core=self.core.address)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("Over TLS", shown.stdout)

    def test_plain_text_is_refused(self) -> None:
        plain = DeskClient(self.core.address)
        self.addCleanup(plain.close)
        self.assertEqual(self.refused(plain).code, grpc.StatusCode.UNAVAILABLE)
        shown = command_line("desk", core=self.core.address)
        self.assertEqual(shown.returncode, 1, shown.stdout)
        self.assertIn("if the core speaks TLS, give --core_ca=FILE", shown.stderr)

    def test_a_core_of_another_authority_or_name_is_not_believed(self) -> None:
        wrong = self.connect(authority=self.stranger)
        self.assertEqual(self.refused(wrong).code, grpc.StatusCode.UNAVAILABLE)
        shown = command_line("desk", f"--core_ca={self.stranger.file}", core=self.core.address)
        self.assertEqual(shown.returncode, 1, shown.stdout)
        # The one line that is printed for people says what to do; gRPC adds none.
        self.assertRegex(shown.stderr, r"\Aagentdesk: .*; --core_ca does not cover the core's "
                                       r"certificate, or that has expired\n\Z")
        gateway = Program("agentdesk-gateway", f"--core={self.core.address}", "--listen=127.0.0.1:0",
                          f"--core_ca={self.stranger.file}").start()
        self.addCleanup(gateway.end)
        self.assertIn("--core_ca does not cover", gateway.wait_for_log("the core is away")["status"])
        other = self.authority.issue("other", "DNS:other.desk.example")
        core = Core(self.folder / "other", f"--tls_cert={other.cert}", f"--tls_key={other.key}")
        self.system.add(core).start()
        self.assertEqual(handshake(core.address, self.authority, "-brief").returncode, 0)
        misnamed = command_line("desk", f"--core_ca={self.authority.file}", core=core.address)
        self.assertEqual(misnamed.returncode, 1, misnamed.stdout)

    def test_only_new_versions_and_ciphers_with_forward_secrecy(self) -> None:
        weak = ("-cipher", "ALL:@SECLEVEL=0")
        for version, right in (("-tls1_2", True), ("-tls1_3", True), ("-tls1_1", False),
                               ("-tls1", False)):
            with self.subTest(version):
                done = self.handshake(version, *(() if right else weak))
                self.assertEqual(done.returncode == 0, right, done.stderr)
        for cipher in ("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256",
                       "NULL"):
            with self.subTest(cipher):
                done = self.handshake("-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
                self.assertNotEqual(done.returncode, 0, done.stderr)

    def shown_serial(self) -> str:
        return shown_serial(self.core.address, self.authority)

    def test_new_certificates_are_used_without_a_restart(self) -> None:
        before = self.connect()
        before.head()
        old = self.server.serial()
        self.assertEqual(self.shown_serial(), old)
        fresh = self.authority.issue("fresh", *HERE)
        # Half of it: the key is still the old one.
        Pair.replace(self.server.cert, fresh.cert)
        self.core.wait_for_log("certificates cannot be used; the old ones stay")
        self.assertEqual(self.shown_serial(), old)
        Pair.replace(self.server.key, fresh.key)
        wait_until(lambda: self.shown_serial() == fresh.serial(), "the new certificate")
        self.connect().head()
        before.head()
        # A pair that is one, but of no use.
        self.server.replace_by(self.authority.issue("short", *HERE, form=SHORT_KEY))
        wait_until(lambda: any("server.pem: cannot be used: ee key too small" in line["error"]
                               for line in self.core.logged(
                                   "certificates cannot be used; the old ones stay")),
                   "a word about the weak key")
        self.assertEqual(self.shown_serial(), fresh.serial())
        self.connect().head()


class RequiredTest(TlsDesk, unittest.TestCase):
    """Without authentication a certificate is all that lets somebody in."""

    with_clients = True

    def test_only_certificates_of_the_authority_are_let_in(self) -> None:
        self.connect(self.authority.issue("client", "DNS:anyone.example")).head()
        impostor = self.stranger.issue("impostor", "DNS:anyone.example")
        self.assertEqual(self.refused(self.connect(impostor)).code, grpc.StatusCode.UNAVAILABLE)
        bare = self.connect()
        for method in (None, lambda: next(bare.events.Subscribe(
                event_pb2.SubscribeRequest(live=True), timeout=20))):
            refusal = self.refused(bare, method)
            self.assertEqual((refusal.code, refusal.reason),
                             (grpc.StatusCode.UNAUTHENTICATED, "certificate_missing"))

    def test_a_certificate_lets_in_until_its_end(self) -> None:
        self.check_that_it_ends("DNS:anyone.example")

    def test_programs_show_their_certificate(self) -> None:
        own = self.authority.issue("programs", "DNS:programs.example")
        flags = [f"--core_ca={self.authority.file}", f"--core_cert={own.cert}",
                 f"--core_key={own.key}"]
        shown = command_line("desk", *flags, core=self.core.address)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        stranger = self.stranger.issue("stranger-program", "DNS:programs.example")
        for shown, words in [((), "--core_cert=FILE"),
                             ((f"--core_cert={stranger.cert}", f"--core_key={stranger.key}"),
                              "may not know who signed --core_cert")]:
            refused = command_line("desk", flags[0], *shown, core=self.core.address)
            self.assertEqual(refused.returncode, 1, refused.stdout)
            self.assertIn(words, refused.stderr)

        created = self.connect(own).create("For the worker")
        worker = Program("agentdesk-worker", f"--core={self.core.address}", *flags,
                         """--agent=echo '{"type":"complete","summary":"done"}'""").start()
        self.addCleanup(worker.end)
        desk = self.connect(own)
        wait_until(lambda: desk.job(created.job_id).status == ticket_pb2.JOB_STATUS_COMPLETED,
                   "a job that a worker did over TLS")


class IdentityTest(TlsDesk, unittest.TestCase):
    with_clients = True
    with_auth = True

    def test_a_certificate_stands_for_whom_the_configuration_says(self) -> None:
        own = self.authority.issue("worker", "URI:spiffe://desk.example/worker", "DNS:other.example")
        desk = self.connect(own)
        created = desk.create("By certificate")
        self.assertEqual((created.ticket.created_by.id, created.ticket.tenant), ("worker-1", "acme"))
        refusal = self.refused(desk, lambda: desk.tickets.ListTickets(
            ticket_pb2.ListTicketsRequest(), timeout=20))
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.PERMISSION_DENIED, "missing_scope"))
        self.assertEqual(desk.claim().claim.ticket.tenant, "acme")

    def test_a_certificate_stands_for_somebody_until_its_end(self) -> None:
        self.check_that_it_ends("URI:spiffe://desk.example/worker")

    def test_any_other_certificate_stands_for_nobody(self) -> None:
        for number, names in enumerate([("DNS:spiffe://desk.example/worker",),
                                        ("URI:spiffe://desk.example/workers",), ("DNS:worker-1",),
                                        ("URI:spiffe://desk.example/worker",
                                         "DNS:gateway.desk.example")]):
            with self.subTest(names):
                refusal = self.refused(self.connect(self.authority.issue(f"other-{number}", *names)))
                self.assertEqual((refusal.code, refusal.reason),
                                 (grpc.StatusCode.UNAUTHENTICATED, "certificate_unknown"))
        impostor = self.stranger.issue("spiffe", "URI:spiffe://desk.example/worker")
        self.assertEqual(self.refused(self.connect(impostor)).code, grpc.StatusCode.UNAVAILABLE)

    def test_a_token_does_without_a_certificate_and_goes_before_it(self) -> None:
        bare = self.connect()
        self.assertEqual(self.refused(bare).reason, "token_missing")
        worker = self.connect(self.authority.issue("both", "URI:spiffe://desk.example/worker"))
        for desk in (bare, worker):
            alice = As(desk, bearer(self.issuer.token("alice")))
            created = alice.tickets.CreateTicket(ticket_pb2.CreateTicketRequest(ticket_name="Token"))
            self.assertEqual(created.ticket.created_by.id, "alice")
            bad = As(desk, bearer(self.issuer.token("alice", aud="other")))
            refusal = self.refused(bad, lambda who=bad: who.events.GetDesk(
                event_pb2.GetDeskRequest()))
            self.assertEqual(refusal.reason, "token_invalid")

    def test_a_gateway_may_be_known_by_its_certificate(self) -> None:
        user = {"sub": "bob", "scopes": list(SCOPES), "tenant": "zenith"}
        metadata = [("agentdesk-user", b64(json.dumps(user)))]
        gateway = As(self.connect(self.authority.issue("gateway", "DNS:gateway.desk.example")),
                     metadata)
        created = gateway.tickets.CreateTicket(ticket_pb2.CreateTicketRequest(ticket_name="Bob's"))
        self.assertEqual((created.ticket.created_by.id, created.ticket.tenant), ("bob", "zenith"))
        own = self.authority.issue("gateway-2", "DNS:gateway.desk.example")
        program = Gateway(self.core.address, f"--auth_config={self.folder}/auth.json",
                          f"--core_ca={self.authority.file}", f"--core_cert={own.cert}",
                          f"--core_key={own.key}").start()
        self.addCleanup(program.end)
        token = self.issuer.token("carol", tenant="zenith")
        made = call(program.address, "POST", "/tickets/create", {"ticket_name": "Carol's"},
                    Authorization=f"Bearer {token}")
        self.assertEqual(made.status, 200, made.text)
        carol = As(self.connect(), bearer(token))
        ticket = carol.tickets.GetTicket(ticket_pb2.GetTicketRequest(
            ticket_id=made.json["ticket_id"])).ticket
        self.assertEqual((ticket.created_by.id, ticket.tenant), ("carol", "zenith"))
        worker = As(self.connect(self.authority.issue("w", "URI:spiffe://desk.example/worker")),
                    metadata)
        refusal = self.refused(worker, lambda: worker.agents.ClaimJob(
            agent_pb2.ClaimJobRequest(queues=["default"], worker="w")))
        self.assertEqual(refusal.reason, "not_a_gateway")


class TimeTest(unittest.TestCase):
    """Certificates that do not hold are served, since clients judge that, but not without a word."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-tls-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.authority = Authority(self.folder)

    def core(self, pair: Pair) -> Program:
        core = Program("agentdesk-core", "--listen=127.0.0.1:0", "--admin_listen=",
                       f"--data_dir={self.folder}/desk", f"--tls_cert={pair.cert}",
                       f"--tls_key={pair.key}").start()
        self.addCleanup(core.end)
        return core

    def test_the_end_of_a_certificate_is_told_at_the_start(self) -> None:
        core = self.core(self.authority.issue_for_time("holds", 0, 4102444800, "DNS:a.example"))
        self.assertEqual(core.wait_for_log("certificates were read")["expires_at"],
                         "2100-01-01T00:00:00+00:00")
        self.assertEqual(core.logged("the certificate does not hold; clients refuse it"), [])
        shown = command_line("desk", f"--core_ca={self.authority.file}", core=core.address)
        self.assertIn("the core's certificate is not for the host that --core names", shown.stderr)

    def test_one_that_does_not_hold_is_told(self) -> None:
        now = time.time()
        past = self.authority.issue_for_time("past", now - 7200, now - 3600, *HERE)
        later = self.authority.issue_for_time("later", now + 3600, now + 7200, *HERE)
        for pair, words in ((past, "past.pem: has expired at "), (later, "later.pem: holds only from ")):
            for program in ("agentdesk-core", "agentdesk-gateway"):
                with self.subTest(f"{program}: {words}"):
                    done = subprocess.run(
                        [str(BIN / program), "--check_config", f"--tls_cert={pair.cert}",
                         f"--tls_key={pair.key}"], capture_output=True, text=True, timeout=60,
                        check=False)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertIn(words, done.stderr)
        core = self.core(past)
        line = core.wait_for_log("the certificate does not hold; clients refuse it")
        self.assertEqual(line["level"], "error")
        self.assertIn("past.pem: has expired at ", line["error"])
        shown = command_line("desk", f"--core_ca={self.authority.file}", core=core.address)
        self.assertIn("certificate, or that has expired", shown.stderr)
        past.replace_by(self.authority.issue("fresh", *HERE))
        wait_until(lambda: command_line("desk", f"--core_ca={self.authority.file}",
                                        core=core.address).returncode == 0, "the fresh certificate")
        self.assertEqual(len(core.logged("the certificate does not hold; clients refuse it")), 1)


class FlagsTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-tls-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.authority = Authority(self.folder)
        self.pair = self.authority.issue("server", *HERE)
        self.tls = [f"--tls_cert={self.pair.cert}", f"--tls_key={self.pair.key}"]

    def auth(self, **more: Any) -> str:
        (self.folder / "keys.json").write_text(Issuer().key_set())
        return "--auth_config=" + str(auth_config(
            self.folder, [{"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["HS256"],
                           "keys_file": "keys.json"}], gateways=[], **more))

    def check(self, program: str, *flags: str) -> str:
        """What --check_config says is wrong; nothing where all is well."""
        done = subprocess.run([str(BIN / program), "--check_config", *flags], capture_output=True,
                              text=True, timeout=60, check=False)
        return done.stderr if done.returncode else ""

    def test_other_machines_reach_only_what_is_safe(self) -> None:
        far = "--listen=0.0.0.0:0"
        self.assertEqual(self.check("agentdesk-core", far, self.auth(), *self.tls), "")
        for flags, missing in [([], "--auth_config, --tls_cert and --tls_key"),
                               ([self.auth()], "give --tls_cert and --tls_key as well"),
                               (self.tls, "give --auth_config as well")]:
            self.assertIn(missing, self.check("agentdesk-core", far, *flags))
            self.assertEqual(self.check("agentdesk-core", far, "--allow_insecure_remote", *flags), "")

    def test_what_no_handshake_could_use_is_refused_at_the_start(self) -> None:
        short = self.authority.issue("short", *HERE, form=SHORT_KEY)
        old = self.authority.issue("old", *HERE, form=OLD_HASH)
        chained = self.folder / "chained.pem"
        chained.write_bytes(self.pair.cert.read_bytes() + short.cert.read_bytes())
        for cert, key, words in [(short.cert, short.key, "ee key too small"),
                                 (old.cert, old.key, "ca md too weak"),
                                 (chained, self.pair.key, "ca key too small")]:
            for program in ("agentdesk-core", "agentdesk-gateway"):
                with self.subTest(f"{program}: {words}"):
                    wrong = self.check(program, f"--tls_cert={cert}", f"--tls_key={key}")
                    self.assertIn(f"{cert}: cannot be used: {words}", wrong)
        core = Program("agentdesk-core", "--listen=127.0.0.1:0", f"--tls_cert={short.cert}",
                       f"--tls_key={short.key}", f"--data_dir={self.folder}/desk").start(wait=False)
        self.assertEqual(core.wait(), 1)
        self.assertIn("ee key too small", core.tail())

    def test_what_is_wrong_is_named(self) -> None:
        other = self.authority.issue("other", *HERE)
        cert, key = self.tls
        locked = self.folder / "locked.key"
        subprocess.run(["openssl", "ec", "-in", str(self.pair.key), "-aes256", "-passout", "pass:x",
                        "-out", str(locked)], check=True, capture_output=True)
        named = [{"name": "DNS:a", "subject": "a"}]
        for flags, words in [
            ([cert], "go together"), ([key], "go together"),
            ([cert, f"--tls_key={other.key}"], "is not the key of the first certificate"),
            ([cert, f"--tls_key={locked}"], "not encrypted"),
            ([cert, f"--tls_key={self.folder}/none"], "none: cannot be read"),
            ([f"--tls_cert={self.pair.key}", key], "must hold certificates in PEM"),
            ([*self.tls, f"--tls_client_ca={self.pair.key}"], "must hold certificates in PEM"),
            ([f"--tls_client_ca={self.authority.file}"], "only with --tls_cert"),
            ([*self.tls, self.auth(certificates=named)], "--tls_client_ca: is required"),
        ]:
            with self.subTest(words):
                self.assertIn(words, self.check("agentdesk-core", *flags))
        with_ca = [*self.tls, f"--tls_client_ca={self.authority.file}"]
        for certificates, words in [
            ([{"subject": "a"}], "name: is missing"),
            ([{"name": "a", "subject": "a"}], "name: must be DNS:, URI: or EMAIL:"),
            ([{"name": "DNS:a"}], "subject: is missing"),
            ([{"name": "DNS:a", "subject": "a", "scope": "x"}], "scope: is not known"),
            (named * 2, "name: stands there twice"), ({}, "certificates: must be an array"),
        ]:
            with self.subTest(words):
                self.assertIn(words, self.check("agentdesk-core", *with_ca,
                                                self.auth(certificates=certificates)))
        for program in ("agentdesk", "agentdesk-gateway"):
            for flags, words in [
                ([f"--core_key={self.pair.key}"], "go together"),
                ([f"--core_cert={self.pair.cert}", f"--core_key={self.pair.key}"],
                 "--core_ca: is required"),
                ([f"--core_ca={self.folder}/none"], "--core_ca: "),
                ([f"--core_ca={self.authority.file}", f"--core_cert={self.pair.cert}",
                  f"--core_key={other.key}"], "--core_cert: "),
            ]:
                with self.subTest(program=program, words=words):
                    self.assertIn(words, self.check(program, *flags))


if __name__ == "__main__":
    unittest.main()
