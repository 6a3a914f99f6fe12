"""Who is let in at the gateway, by which way in, and under whose name it goes on to the core."""

import json
import pathlib
import subprocess
import tempfile
import threading
import time
import unittest
from typing import Any

import http_client
from agentdesk_test import BIN, Core, Gateway, System, http_status, wait_until
from desk_client import agent_pb2, new_id, session_pb2, ticket_pb2
from event_stream import EventStream, StreamRefused
from tokens import AUDIENCE, PEOPLE, Issuer, auth_config, b64, make_key, two_issuers
from ws_client import Browser, refused_status

V1 = "agentdesk.v1"

# Every route that says something of the desk, and what it needs.
ROUTES = {
    ("POST", "/tickets/create"): "tickets:write",
    ("GET", "/tickets"): "tickets:read",
    ("GET", "/tickets/{id}"): "tickets:read",
    ("POST", "/tickets/{id}/cancel"): "tickets:write",
    ("POST", "/tickets/{id}/retry"): "tickets:write",
    ("GET", "/jobs/job-{id}"): "tickets:read",
    ("GET", "/sessions/{id}"): "sessions:read",
    ("POST", "/sessions/{id}/responses"): "answers:write",
    ("POST", "/sessions/{id}/messages"): "answers:write",
    ("GET", "/events"): "events:read",
    ("GET", "/questions"): "sessions:read",
    ("GET", "/questions/{id}"): "sessions:read",
    ("POST", "/webhook/notion"): "tickets:write",
}
OPEN = ["/", "/health", "/livez", "/readyz"]


def body_for(path: str) -> dict[str, str] | None:
    """Enough for the gateway to ask the core."""
    if path.endswith("create"):
        return {"ticket_name": "n"}
    if path.endswith("responses"):
        return {"response": "yes", "question_id": new_id()}
    if path.endswith("messages"):
        return {"content": "c"}
    return {"page_id": new_id()} if path.endswith("notion") else {}


class GatewayAuthenticationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-gateway-auth-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.issuer = Issuer()
        (cls.folder / "keys.json").write_text(cls.issuer.key_set())
        cls.signing, cls.public = make_key(cls.folder, "ES256")
        cls.config = auth_config(
            cls.folder, two_issuers(cls.public), gateways=["gateway-1"], clock_skew_s=0)
        cls.shown: list[str] = []
        cls.own_token = cls.folder / "gateway.token"
        cls.own_token.write_text(cls.token("gateway-1"))
        cls.system = System([f"--auth_config={cls.config}", "--log_level=debug"], cls.flags())
        cls.addClassCleanup(cls.system.close)
        cls.address = cls.system.gateway.address

    @classmethod
    def flags(cls) -> list[str]:
        return [f"--auth_config={cls.config}", f"--core_token_file={cls.own_token}",
                "--log_level=debug"]

    @classmethod
    def token(cls, subject: str = "alice", **more: Any) -> str:
        token = cls.issuer.token(subject, **more)
        cls.shown.append(token)
        return token

    def people_token(self) -> str:
        made = subprocess.run(
            [str(BIN / "agentdesk"), "token", "create", f"--signing_key={self.signing}",
             f"--issuer={PEOPLE}", f"--audience={AUDIENCE}", "--subject=bob", "--scope=tickets:read",
             "--scope=events:read"], check=True, capture_output=True, text=True)
        self.shown.append(made.stdout.strip())
        return made.stdout.strip()

    def http(self, method: str, path: str, token: str | None, **headers: str) -> http_client.Answer:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        body = body_for(path) if method == "POST" else None
        return http_client.call(self.address, method, path.replace("{id}", new_id()), body, **headers)

    def browser(self, *protocols: str, headers: dict[str, str] | None = None,
                **more: Any) -> Browser:
        browser = Browser(self.address, protocol=list(protocols) or None, headers=headers, **more)
        self.addCleanup(browser.close)
        return browser

    def bad_tokens(self) -> dict[str, tuple[str | None, str, int]]:
        """By name: a token, the error that it meets over HTTP, the code that closes a socket."""
        issuer, now = self.issuer, int(time.time())
        public = self.public.read_bytes()
        people = {**issuer.claims(), "iss": PEOPLE}
        invalid = {
            "garbage": "x.y.z",
            "none": f"{b64(json.dumps({'alg': 'none'}))}.{b64(json.dumps(issuer.claims()))}.",
            "wrong issuer": issuer.token(iss="https://other.example"),
            "wrong audience": issuer.token(aud="other"),
            "wrong algorithm": issuer.sign({"alg": "ES256", "kid": issuer.kid}, issuer.claims()),
            "HS256 signed with the public key": issuer.sign({"alg": "HS256"}, people, public),
            "unknown kid": issuer.sign({"alg": "HS256", "kid": "other"}, issuer.claims()),
            "another's secret": Issuer().token(),
        }
        self.shown.extend(invalid.values())
        return {"expired": (self.token(exp=now - 1), "token_expired", 4401),
                **{name: (token, "token_invalid", 4501) for name, token in invalid.items()}}

    def test_every_route_wants_a_token_that_is_right(self) -> None:
        cases = {"no token": (None, "token_missing", 4401), **self.bad_tokens()}
        for method, path in ROUTES:
            for name, (token, reason, _) in cases.items():
                ways = [{}] if token is None else [{"Authorization": f"Bearer {token}"},
                                                   {"Cookie": f"agentdesk_token={token}",
                                                    "Origin": f"http://{self.address}"}]
                for headers in ways:
                    with self.subTest(call=f"{method} {path}", case=name, way=[*headers][:1]):
                        answer = self.http(method, path, None, **headers)
                        self.assertEqual((answer.status, answer.error["code"]), (401, reason))
                        self.assertIn("Bearer", answer.headers["www-authenticate"])
                        self.assertEqual("error=" in answer.headers["www-authenticate"],
                                         token is not None)
        for path in OPEN:
            self.assertEqual(http_status(self.address, path), 200, path)

    def test_every_route_wants_its_scope(self) -> None:
        for (method, path), scope in ROUTES.items():
            with self.subTest(call=f"{method} {path}"):
                missing = self.http(method, path, self.token(scope=f"admin x{scope} {scope}s"))
                self.assertEqual((missing.status, missing.error["code"]), (403, "missing_scope"))
                self.assertIn(scope, missing.error["message"])
                self.assertIn("insufficient_scope", missing.headers["www-authenticate"])
                if path == "/events":
                    stream = EventStream(self.address, Authorization=f"Bearer {self.token()}")
                    stream.close()
                    continue
                right = self.http(method, path, self.token(scope=scope))
                self.assertNotIn(right.status, (401, 403, 500, 503), right.text)

    def test_a_token_in_the_url_is_not_looked_at(self) -> None:
        for name in ("token", "access_token", "agentdesk_token"):
            answer = self.http("GET", f"/tickets?{name}={self.issuer.token()}", None)
            self.assertEqual(answer.error["code"], "token_missing")
            waiting = self.browser(V1, query=f"{name}={self.issuer.token()}&live=1")
            waiting.send({"type": "ping"})
            self.assertEqual(waiting.wait_closed(), 4401)

    def test_a_socket_wants_a_token_that_is_right(self) -> None:
        cases = {**self.bad_tokens(),
                 "missing scope": (self.token(scope="tickets:read"), "", 4503)}
        own = f"http://{self.address}"
        for name, (token, _, code) in cases.items():
            for full in (True, False):
                protocols = [V1] if full else []
                with self.subTest(case=name, full=full):
                    header = self.browser(*protocols, headers={"Authorization": f"Bearer {token}"})
                    cookie = self.browser(*protocols, origin=own,
                                          headers={"Cookie": f"agentdesk_token={token}"})
                    said = self.browser(*protocols)
                    said.send({"type": "auth", "token": token})
                    sockets = [header, cookie, said]
                    if full:
                        sockets.append(self.browser(V1, f"agentdesk.bearer.{token}"))
                    for socket in sockets:
                        self.assertEqual(socket.wait_closed(), code, socket.close_reason)
                        self.assertNotIn(token, socket.close_reason)
                        self.assertEqual(socket.texts, [])

    def test_each_way_in_lets_in(self) -> None:
        for token, user in ((self.token("alice"), "alice"), (self.people_token(), "people:bob")):
            said = self.browser(V1)
            said.send({"type": "auth", "token": token})
            for socket in (self.browser(V1, f"agentdesk.bearer.{token}"),
                           self.browser(f"agentdesk.bearer.{token}", V1),
                           self.browser(V1, headers={"Authorization": f"Bearer {token}"}),
                           said):
                self.assertEqual(socket.subprotocol, V1)
                hello = socket.wait_type("hello")
                self.assertEqual(hello["user"], user)
                self.assertIn("token_expires_at", hello)
            plain = self.browser(headers={"Authorization": f"Bearer {token}"})
            later = self.browser()
            later.send({"type": "auth", "token": token})
            bare = self.browser()
            for socket in (plain, later):
                self.assertEqual(socket.ask_text({"type": "ping"}), '{"type":"pong"}')
            created = self.http("POST", "/tickets/create", self.token("carol")).json["ticket_id"]
            for socket in (plain, later):
                socket.wait_type("ticket_created", ticket_id=created)
            self.assertEqual(bare.texts, [])

    def test_what_is_done_is_recorded_under_who_was_authenticated(self) -> None:
        made = self.http("POST", "/tickets/create", self.token("zoë"), agentdesk_actor="mallory")
        ticket = self.http("GET", f"/tickets/{made.json['ticket_id']}", self.token()).json
        self.assertEqual((ticket["created_by"]["id"], ticket["created_by"]["via"]), ("zoë", "http"))
        socket = self.browser(V1, headers={"Authorization": f"Bearer {self.token('yves')}"})
        socket.wait_type("hello")
        ack = socket.ask({"type": "create_ticket", "ticket_name": "By socket"})
        ticket = self.http("GET", f"/tickets/{ack['ticket_id']}", self.token()).json
        self.assertEqual((ticket["created_by"]["id"], ticket["created_by"]["via"]),
                         ("yves", "websocket"))

    def test_a_request_id_is_its_users_own(self) -> None:
        def create(user: str) -> str:
            return http_client.call(self.address, "POST", "/tickets/create",
                                    {"ticket_name": "Once", "request_id": "the-same"},
                                    Authorization=f"Bearer {self.token(user)}").json["ticket_id"]
        first = create("alice")
        self.assertEqual(create("alice"), first)
        self.assertNotEqual(create("bob"), first)

    def test_a_command_without_its_scope_is_forbidden_and_the_socket_stays(self) -> None:
        token = self.token(scope="events:read")
        socket = self.browser(V1, headers={"Authorization": f"Bearer {token}"})
        plain = self.browser(headers={"Authorization": f"Bearer {token}"})
        socket.wait_type("hello")
        response = {"type": "user_response", "session_id": new_id(), "response": "yes"}
        for who in (socket, plain):
            self.assertEqual(who.ask(response)["status"], "forbidden")
        self.assertEqual(socket.ask({"type": "send_message", "session_id": new_id(),
                                     "content": "c"})["status"], "forbidden")
        refused = socket.ask({"type": "create_ticket", "ticket_name": "n"})
        self.assertEqual((refused["type"], refused["code"]), ("error", "missing_scope"))
        self.assertTrue(socket.is_open and plain.is_open)

    def test_sign_in_and_out(self) -> None:
        token, own = self.token("dora"), f"http://{self.address}"
        for bad, (wrong, reason, _) in self.bad_tokens().items():
            answer = self.http("POST", "/login", wrong, Origin=own)
            self.assertEqual((answer.status, answer.error["code"]), (401, reason), bad)
            self.assertNotIn("set-cookie", answer.headers)
        self.assertEqual(self.http("POST", "/login", None).error["code"], "token_missing")
        large = self.http("POST", "/login", self.token(groups=["g" * 100] * 40))
        self.assertEqual((large.status, large.error["code"]), (422, "token_too_large"))
        foreign = self.http("POST", "/login", token, Origin="http://evil.example")
        self.assertEqual((foreign.status, foreign.error["code"]), (403, "forbidden_origin"))

        signed_in = self.http("POST", "/login", token, Origin=own)
        self.assertEqual((signed_in.status, signed_in.json["user"]), (200, "dora"))
        cookie, *attributes = signed_in.headers["set-cookie"].split("; ")
        self.assertEqual(attributes[:4], ["Path=/", "HttpOnly", "Secure", "SameSite=Strict"])
        self.assertAlmostEqual(int(attributes[4].removeprefix("Max-Age=")), 3600, delta=120)
        for way in ({"Cookie": cookie}, {"Authorization": f"Bearer {token}"}):
            self.assertEqual(self.http("GET", "/login", None, **way).json, signed_in.json)
        self.assertEqual(self.http("GET", "/login", None).status, 401)
        # With it: reads, writes from the own page, sockets, streams.
        self.assertEqual(self.http("GET", "/tickets", None, Cookie=cookie).status, 200)
        made = self.http("POST", "/tickets/create", None, Cookie=cookie, Origin=own)
        self.assertEqual(made.status, 200)
        socket = self.browser(V1, origin=own, headers={"Cookie": cookie})
        self.assertEqual(socket.wait_type("hello")["user"], "dora")
        EventStream(self.address, Cookie=cookie).close()
        self.assertEqual(self.http("POST", "/login", None, Cookie=cookie, Origin=own).status, 401)

        signed_out = self.http("POST", "/logout", None, Cookie=cookie, Origin=own)
        self.assertEqual((signed_out.status, signed_out.json), (200, {"status": "ok"}))
        self.assertTrue(signed_out.headers["set-cookie"].startswith("agentdesk_token=; "))
        self.assertIn("Max-Age=0", signed_out.headers["set-cookie"])

    def test_a_page_elsewhere_cannot_use_the_cookie(self) -> None:
        """Cross-site WebSocket hijacking and request forgery."""
        cookie = {"Cookie": f"agentdesk_token={self.token()}"}
        port = self.address.rsplit(":", 1)[1]
        # The last two are let in where there is no cookie: they are other sites all the same.
        for origin in ("http://evil.example", "null", f"https://{self.address}.evil.example",
                       f"http://localhost:{port}", "http://127.0.0.1:1"):
            with self.subTest(origin=origin):
                for protocol in (None, V1):
                    self.assertEqual(refused_status(self.address, origin=origin, protocol=protocol,
                                                    headers=cookie), 403)
                for method, path in ROUTES:
                    answer = self.http(method, path, None, Origin=origin, **cookie)
                    self.assertEqual((answer.status, answer.error["code"]),
                                     (403, "forbidden_origin"), f"{method} {path}")
        # What is no browser has no use for a cookie, and a browser says where it is.
        self.assertEqual(refused_status(self.address, headers=cookie), 403)
        self.assertEqual(self.http("POST", "/tickets/create", None, **cookie).status, 403)
        # A page on the list that shows a token of its own is welcome.
        socket = self.browser(V1, f"agentdesk.bearer.{self.token()}", origin="http://localhost:1",
                              headers=cookie)
        socket.wait_type("hello")

    def test_who_says_nothing_is_let_go_after_ten_seconds(self) -> None:
        began = time.monotonic()
        silent = [self.browser(), self.browser(V1, query="live=1")]
        for socket in silent:
            self.assertEqual(socket.wait_closed(), 4401)
            self.assertEqual(socket.texts, [])
        self.assertGreater(time.monotonic() - began, 8)

    def test_a_connection_ends_with_its_token_unless_a_fresh_one_came(self) -> None:
        def short() -> dict[str, str]:
            return {"Authorization": f"Bearer {self.token(exp=int(time.time()) + 4)}"}
        ends = [self.browser(V1, headers=short()), self.browser(headers=short())]
        goes_on = [self.browser(V1, headers=short()), self.browser(headers=short())]
        stream = EventStream(self.address, **short())
        over = threading.Event()
        threading.Thread(target=lambda: (stream.read(), over.set()), daemon=True).start()
        goes_on[0].wait_type("hello")
        goes_on[0].send({"type": "auth", "token": self.token(), "request_id": "fresh"})
        goes_on[1].send({"type": "auth", "token": self.token()})
        ack = goes_on[0].wait_type("ack")
        self.assertEqual((ack["status"], ack["user"], ack["request_id"]),
                         ("authenticated", "alice", "fresh"))
        for socket in ends:
            self.assertEqual(socket.wait_closed(), 4401)
        self.assertTrue(over.wait(60))
        for socket in goes_on:
            self.assertEqual(socket.ask_text({"type": "ping"}), '{"type":"pong"}')
        goes_on[0].send({"type": "auth", "token": self.token("bob")})
        self.assertEqual(goes_on[0].wait_closed(), 4503)

    def test_a_gateway_that_the_core_does_not_know_blames_no_user(self) -> None:
        """The user's token is right: 503 and not 401, and the log says what is wrong."""
        own = self.folder / "stranger.token"
        own.write_text(self.token("no-gateway"))
        stranger = Gateway(self.system.core.address, f"--auth_config={self.config}",
                           f"--core_token_file={own}")
        self.system.add(stranger).start()
        for subject, aud in (("no-gateway", AUDIENCE), ("gateway-1", "other")):
            own.write_text(self.token(subject, aud=aud))

            def says_unavailable() -> bool:
                answer = http_client.call(stranger.address, "GET", "/tickets",
                                          Authorization=f"Bearer {self.token()}")
                self.assertEqual((answer.status, answer.error["code"]), (503, "unavailable"))
                return True
            wait_until(says_unavailable, "an answer")
        stranger.wait_for_log("the core takes no calls of this gateway")
        own.write_text(self.token("gateway-1"))
        wait_until(lambda: http_client.call(stranger.address, "GET", "/tickets",
                                            Authorization=f"Bearer {self.token()}").status == 200,
                   "the token being read again")
        self.assertEqual(stranger.stop(), 0)

    def test_a_core_that_keeps_no_scopes_is_asked_nothing(self) -> None:
        core = Core(self.folder / "open-desk")
        self.system.add(core).start()
        gateway = Gateway(core.address, *self.flags())
        self.system.add(gateway).start()
        answer = http_client.call(gateway.address, "GET", "/tickets",
                                  Authorization=f"Bearer {self.token(scope='events:read')}")
        self.assertEqual((answer.status, answer.error["code"]), (503, "unavailable"))
        gateway.wait_for_log("the core takes no calls of this gateway")
        self.assertEqual((gateway.stop(), core.stop()), (0, 0))

    def test_both_flags_or_neither(self) -> None:
        for flags, words in (([f"--auth_config={self.config}"], "--core_token_file"),
                             ([f"--core_token_file={self.own_token}"], "--auth_config"),
                             ([f"--auth_config={self.own_token}",
                               f"--core_token_file={self.own_token}"], "not JSON"),
                             ([f"--auth_config={self.config}",
                               f"--core_token_file={self.folder}/none"], "cannot be read")):
            done = subprocess.run([str(BIN / "agentdesk-gateway"), "--check_config", *flags],
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)
            self.assertNotIn(self.own_token.read_text(), done.stderr + done.stdout)

    @classmethod
    def tearDownClass(cls) -> None:
        """No log of this whole run, at the level of debugging, holds any part of any token."""
        logs = "".join(program.tail(100000) for program in cls.system.programs)
        if '"authentication":"on"' not in logs or len(cls.shown) < 30:
            raise AssertionError("nothing was looked at")
        if any(len(program.log) == program.log.maxlen for program in cls.system.programs):
            raise AssertionError("what a log began with is gone")
        for token in cls.shown:
            for part in token.split("."):
                if len(part) > 8 and part in logs:
                    raise AssertionError(f"a log holds a token: {part[:16]}…")


if __name__ == "__main__":
    unittest.main()
