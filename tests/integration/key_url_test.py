"""Keys that an issuer publishes at a URL: fetched, taken over as they change, kept while the issuer is away."""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from typing import Any

import grpc
import http_client
from agentdesk_test import BIN, Core, Gateway, System, wait_until
from certificates import Authority, Pair
from desk_client import DeskClient, event_pb2, refusal_of
from tokens import AUDIENCE, ISSUER, SCOPES, Issuer, auth_config, bearer, make_key


class KeyServer:
    """Serves what a test says, at /keys, over https where it has a certificate."""

    def __init__(self, body: str = "", status: int = 200, headers: dict[str, str] | None = None,
                 certificate: Pair | None = None) -> None:
        self.body = body
        self.hits = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.hits += 1
                text = outer.body.encode()
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                with contextlib.suppress(OSError):  # who has read enough goes away
                    self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.cert, certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


class KeyUrlTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-keys-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def key(self, name: str) -> tuple[pathlib.Path, dict[str, Any]]:
        """A signing key, and what is published of it."""
        (self.folder / name).mkdir()
        signing, keys = make_key(self.folder / name, "ES256")
        return signing, json.loads(keys.read_text())["keys"][0]

    def serve(self, *keys: dict[str, Any], **how: Any) -> KeyServer:
        server = KeyServer(json.dumps({"keys": keys}), **how)
        self.addCleanup(server.close)
        return server

    def token(self, signing: pathlib.Path, subject: str = "alice") -> str:
        return subprocess.run(
            [str(BIN / "agentdesk"), "token", "create", f"--signing_key={signing}", f"--issuer={ISSUER}",
             f"--audience={AUDIENCE}", f"--subject={subject}", *(f"--scope={scope}" for scope in SCOPES)],
            check=True, capture_output=True, text=True).stdout.strip()

    def config(self, url: str, **more: Any) -> pathlib.Path:
        return auth_config(self.folder, [{"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["ES256"],
                                          "jwks_url": url, **more}], gateways=["gateway"])

    def start(self, url: str, **more: Any) -> tuple[Core, DeskClient]:
        system = System([f"--auth_config={self.config(url, **more)}"], gateway=False)
        self.addCleanup(system.close)
        desk = DeskClient(system.core.address)
        self.addCleanup(desk.close)
        return system.core, desk

    def said(self, desk: DeskClient, token: str) -> str:
        """Nothing where the token is taken, else why it is not."""
        try:
            desk.events.GetDesk(event_pb2.GetDeskRequest(), metadata=bearer(token), timeout=30)
        except grpc.RpcError as error:
            refusal = refusal_of(error)
            self.assertEqual((refusal.code, refusal.reason),
                             (grpc.StatusCode.UNAUTHENTICATED, "token_invalid"))
            return refusal.text
        return ""

    def test_a_rotation_is_taken_over_and_an_issuer_that_is_away_takes_nothing_away(self) -> None:
        (old_signing, old), (new_signing, new) = self.key("old"), self.key("new")
        server = self.serve(old)
        began = time.monotonic()
        core, desk = self.start(server.url)
        token_file = self.folder / "gateway.token"
        token_file.write_text(self.token(old_signing, "gateway"))
        gateway = Gateway(core.address, f"--auth_config={self.folder / 'auth.json'}",
                          f"--core_token_file={token_file}").start()
        self.addCleanup(gateway.end)

        def over_http(token: str) -> int:
            return http_client.call(gateway.address, "GET", "/tickets",
                                    Authorization=f"Bearer {token}").status

        before, after = self.token(old_signing), self.token(new_signing)
        self.assertEqual((self.said(desk, before), over_http(before)), ("", 200))
        self.assertIn("no key has its kid", self.said(desk, after))
        server.body = json.dumps({"keys": [new]})
        # Each asks for the keys when it sees one that it does not know. Both take the gateway's own
        # token along.
        token_file.write_text(self.token(new_signing, "gateway"))
        wait_until(lambda: self.said(desk, after) == "", "the new key's tokens in the core")
        wait_until(lambda: over_http(after) == 200, "the new key's tokens in the gateway")
        self.assertIn("no key has its kid", self.said(desk, before))
        self.assertEqual(over_http(before), 401)

        # However many tokens of unknown keys come, each of the two asks once in 10 s.
        for _ in range(200):
            self.said(desk, before)
        self.assertLessEqual(server.hits, 2 * ((time.monotonic() - began) / 10 + 1))
        server.close()

        def both_have_asked_in_vain() -> bool:
            self.said(desk, before)
            over_http(before)
            return all(program.logged("keys cannot be fetched; the old ones stay")
                       for program in (core, gateway))
        wait_until(both_have_asked_in_vain, "two fetches that fail")
        self.assertEqual((self.said(desk, after), over_http(after)), ("", 200))

    def test_keys_are_fetched_again_without_being_asked_for(self) -> None:
        (old_signing, old), (_, new) = self.key("old"), self.key("new")
        server = self.serve(old)
        _, desk = self.start(server.url, jwks_refresh_s=10)
        token = self.token(old_signing)
        self.assertEqual(self.said(desk, token), "")
        server.body = json.dumps({"keys": [new]})
        wait_until(lambda: self.said(desk, token) != "", "the old key to be gone")

    def test_a_key_of_no_use_takes_no_other_away(self) -> None:
        signing, good = self.key("good")
        bad = [{**good, "kid": "bad", "x": good["x"][:-2]}, {"kty": "oct", "k": "AAAA", "kid": "secret"},
               {**good, "use": "enc", "kid": "enc"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak"}, 7,
               {**good}]
        core, desk = self.start(self.serve(*bad[:5], good, bad[5]).url)
        self.assertEqual(self.said(desk, self.token(signing)), "")
        remarks = [line["remark"] for line in core.logged("among the keys that were fetched")]
        for number, words in ((1, "x: must"), (2, "a secret is not published"),
                              (3, "its use is not `sig`"), (4, "2048"), (5, "must be an object"),
                              (7, "another key has the same kid")):
            self.assertTrue(any(f"key {number}" in remark and words in remark for remark in remarks),
                            (number, remarks))

    def test_over_https(self) -> None:
        authority = Authority(self.folder)
        signing, key = self.key("good")
        server = self.serve(key, certificate=authority.issue("server", "IP:127.0.0.1"))
        _, desk = self.start(server.url, jwks_ca_file=authority.file.name)
        self.assertEqual(self.said(desk, self.token(signing)), "")
        core, desk = self.start(server.url)  # an authority that the system does not know
        self.assertIn("certificate", core.wait_for_log("keys cannot be fetched; the old ones stay")["error"])
        self.assertIn("keys of its issuer are not known", self.said(desk, self.token(signing)))
        other = self.serve(key, certificate=authority.issue("other", "DNS:other.example"))
        core, desk = self.start(other.url, jwks_ca_file=authority.file.name)
        self.assertTrue(core.wait_for_log("keys cannot be fetched; the old ones stay"))
        self.assertNotEqual(self.said(desk, self.token(signing)), "")

    def test_what_is_wrong_with_an_answer_is_said_and_nobody_gets_in(self) -> None:
        signing, key = self.key("good")
        token = self.token(signing)
        good = self.serve(key)
        secret = json.loads(Issuer().key_set())["keys"][0]
        for server, words in [
            (self.serve(status=302, headers={"Location": good.url}), "redirect (302)"),
            (self.serve(key, status=404), "the answer is 404"),
            (self.serve({**key, "filler": "a" * 1100000}), "more than 1048576 bytes"),
            (self.serve(), "no usable key"),
            (self.serve(secret), "no usable key"),
        ]:
            with self.subTest(words=words):
                core, desk = self.start(server.url)
                line = core.wait_for_log("keys cannot be fetched; the old ones stay")
                self.assertIn(words, line["error"])
                self.assertEqual(line["issuer"], ISSUER)
                # It serves all the same, and says at its start what it lacks.
                self.assertIn(words, core.logged("an issuer's tokens are refused until its keys come")[0]["error"])
                self.assertIn("keys of its issuer are not known", self.said(desk, token))
        self.assertEqual(good.hits, 0)

    def test_a_server_that_says_nothing_delays_the_start_and_costs_nobody_a_lease(self) -> None:
        silent = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        self.addCleanup(silent.server_close)  # it listens, and answers nobody
        system = System(gateway=False)
        self.addCleanup(system.close)
        desk = DeskClient(system.core.address)
        self.addCleanup(desk.close)
        desk.start(lease_s=5)
        core = system.core
        self.assertEqual(core.stop(), 0)

        core.flags.append(f"--auth_config={self.config(f'http://127.0.0.1:{silent.server_address[1]}/keys')}")
        core.start()
        self.assertTrue(core.logged("an issuer's tokens are refused until its keys come"))
        self.assertFalse(core.logged("a lease ran out"), "while nobody could renew it")
        began = time.monotonic()
        self.assertEqual(core.stop(), 0)
        self.assertLess(time.monotonic() - began, 30)

    def test_what_is_wrong_with_the_configuration_is_named(self) -> None:
        (self.folder / "keys.json").write_text(Issuer().key_set())
        good = "https://issuer.example/keys"
        for url, more, words in [
            (good, {}, ""),
            ("http://localhost:1/keys", {}, ""), ("http://[::1]:1/keys", {}, ""),
            ("http://issuer.example/keys", {}, "jwks_url: must begin with https://"),
            ("http://127.0.0.1.example/keys", {}, "jwks_url: must begin with https://"),
            ("file:///etc/passwd", {}, "jwks_url: must begin with https://"),
            ("https://me:secret@issuer.example/keys", {}, "jwks_url: must hold no name"),
            ("nonsense", {}, "jwks_url: must"),
            (good, {"keys_file": "keys.json"}, "keys_file: goes not with jwks_url"),
            (good, {"algorithms": ["HS256"]}, "algorithms: HS256 goes not with jwks_url"),
            (good, {"jwks_refresh_s": 9}, "jwks_refresh_s: must be 10 to 86400"),
            (good, {"jwks_ca_file": "nothing.pem"}, "jwks_ca_file"),
        ]:
            with self.subTest(url=url, more=more):
                done = subprocess.run(
                    [str(BIN / "agentdesk-core"), "--check_config", f"--auth_config={self.config(url, **more)}"],
                    capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 1 if words else 0, done.stderr)
                self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
