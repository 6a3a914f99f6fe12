"""Who is let in at the gateway, by which way in, and under whose name it goes on to the core."""

import dataclasses
import json
import subprocess
import threading
import time
import unittest
from collections.abc import Callable
from typing import Any

import http_client
from agentdesk_test import BIN, Core, Gateway, System, wait_until
from desk_client import DeskClient, event_pb2, session_pb2
from event_stream import EventStream
from guarded_desk import IssuedCase, World, live
from openapi import routes
from tokens import (AUDIENCE, PEOPLE, SCOPES, As, Issuer, auth_config, b64, bearer, make_key,
                    part_in, two_issuers)
from ws_client import Browser, FullBrowser, refused_status

V1 = "agentdesk.v1"


@dataclasses.dataclass
class Row:
    scopes: tuple[str, ...]  # each of them; none: any token does
    body: Callable[[World], Any] = lambda world: None
    stranger: int = 200  # what one of another tenant gets, where nothing of this world may show
    theirs: Callable[[World], Any] | None = None  # what the stranger sends, where it differs


def nothing(_world: World) -> dict[str, Any]:
    return {}


# Every documented route that is not open to everyone.
ROUTES = {
    ("POST", "/tickets/create"): Row(
        ("tickets:write",), lambda w: {"ticket_name": "n"},
        theirs=lambda w: {"ticket_name": "n", "ticket_id": w.ticket}),
    ("GET", "/tickets"): Row(("tickets:read",)),
    ("GET", "/tickets/{ticket_id}"): Row(("tickets:read",), stranger=404),
    ("POST", "/tickets/{ticket_id}/cancel"): Row(("tickets:write",), nothing, 404),
    ("POST", "/tickets/{ticket_id}/retry"): Row(("tickets:write",), nothing, 404),
    ("GET", "/jobs/{job_id}"): Row(("tickets:read",), stranger=404),
    ("GET", "/sessions/{session_id}"): Row(("sessions:read", "events:read"), stranger=404),
    # Judged `unknown_session` where it is a stranger's.
    ("POST", "/sessions/{session_id}/responses"): Row(
        ("answers:write",), lambda w: {"response": "yes", "question_id": w.question}),
    ("POST", "/sessions/{session_id}/messages"): Row(
        ("answers:write",), lambda w: {"content": "c"}, 404),
    ("GET", "/events"): Row(("events:read",)),
    ("GET", "/questions"): Row(("sessions:read",)),
    ("GET", "/questions/{question_id}"): Row(("sessions:read",), stranger=404),
    # The page is known to its owner, so it is read as well.
    ("POST", "/webhook/notion"): Row(
        ("tickets:write", "tickets:read"), lambda w: {"page_id": w.ticket}),
    ("GET", "/login"): Row(()),
    ("POST", "/login"): Row(()),
    ("GET", "/metrics"): Row(()),
}


def path_for(path: str, world: World) -> str:
    """A good one, which would do something or show something."""
    ticket = world.cancelled if path.endswith("retry") else world.ticket
    return path.format(ticket_id=ticket, job_id=world.job, session_id=world.session,
                       question_id=world.question)


class GatewayAuthenticationTest(IssuedCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.signing, cls.public = make_key(cls.folder, "ES256")
        cls.config = auth_config(
            cls.folder, two_issuers(cls.public), gateways=["gateway-1"], clock_skew_s=0)
        cls.shown: list[str] = []
        cls.own_token = cls.folder / "gateway.token"
        cls.own_token.write_text(cls.token("gateway-1"))
        cls.system = System([f"--auth_config={cls.config}", "--log_level=debug"], cls.flags())
        cls.addClassCleanup(cls.system.close)
        cls.address = cls.system.gateway.address
        cls.desk = DeskClient(cls.system.core.address)
        cls.addClassCleanup(cls.desk.close)
        cls.owner = As(cls.desk, bearer(cls.token("owner")))

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

    def http(self, method: str, path: str, token: str | None, body: Any = None,
             **headers: str | list[str]) -> http_client.Answer:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if path == "/tickets/create" and body is None:
            body = {"ticket_name": "n"}
        return http_client.call(self.address, method, path, body, **headers)

    def use(self, method: str, path: str, world: World, body: Any, token: str) -> tuple[int, str]:
        """The status, and all that came; of a stream how it begins."""
        if path == "/events":
            stream = EventStream(self.address, "snapshot=1", Authorization=f"Bearer {token}").follow()
            stream.wait_for(lambda message: message.get("more") is False, "whole snapshot")
            stream.close()
            return 200, str(stream.events)
        answer = self.http(method, path_for(path, world), token, body)
        return answer.status, answer.text

    def head(self) -> int:
        return self.owner.events.GetDesk(event_pb2.GetDeskRequest()).head_sequence

    def browser(self, *protocols: str, headers: dict[str, str | list[str]] | None = None,
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
                "not yet valid": (self.token(nbf=now + 3000), "token_not_yet_valid", 4401),
                **{name: (token, "token_invalid", 4501) for name, token in invalid.items()}}

    def test_every_documented_route_is_open_or_in_the_table(self) -> None:
        documented = routes()
        self.assertEqual({route for route, is_open in documented.items() if not is_open}, set(ROUTES))
        for (method, path), is_open in documented.items():
            if is_open:
                self.assertEqual(self.http(method, path, None).status, 200, f"{method} {path}")

    def wrong_ways(self) -> list[tuple[str, dict[str, str | list[str]], str]]:
        """By name: what is shown, and what it is refused as."""
        own, good = f"http://{self.address}", [self.token("owner"), self.token("owner")]
        wrong: list[tuple[str, dict[str, str | list[str]], str]] = [("no token", {}, "token_missing")]
        shown = [*((name, [token], reason) for name, (token, reason, _) in self.bad_tokens().items()),
                 ("two tokens", good, "token_invalid")]
        for name, tokens, reason in shown:
            header = {"Authorization": [f"Bearer {token}" for token in tokens]}
            wrong.append((f"{name}, in the header", header, reason))
            cookies = "; ".join(f"agentdesk_token={token}" for token in tokens)
            wrong.append((f"{name}, as cookie", {"Cookie": cookies, "Origin": own}, reason))
            # The first way in counts, whatever follows.
            wrong.append((f"{name}, before a good cookie",
                          {**header, "Cookie": f"agentdesk_token={good[0]}", "Origin": own}, reason))
        return wrong

    def test_every_route_wants_a_token_that_is_right(self) -> None:
        world = live(self.owner)
        before = self.head()
        for (method, path), row in ROUTES.items():
            for name, headers, reason in self.wrong_ways():
                with self.subTest(call=f"{method} {path}", case=name):
                    answer = self.http(method, path_for(path, world), None, row.body(world), **headers)
                    self.assertEqual((answer.status, answer.error["code"]), (401, reason))
                    self.assertIn("Bearer", answer.headers["www-authenticate"])
                    self.assertEqual("error=" in answer.headers["www-authenticate"],
                                     reason != "token_missing")
                    self.assertNotIn(world.secret, answer.text)
        self.assertEqual(self.head(), before, "none of it did anything")

    def test_every_route_wants_each_of_its_scopes(self) -> None:
        world = live(self.owner)
        before = self.head()
        for (method, path), row in ROUTES.items():
            for scope in row.scopes:
                with self.subTest(call=f"{method} {path}", scope=scope):
                    others = [other for other in SCOPES if other != scope]
                    token = self.token("owner", scope=" ".join([*others, f"x{scope}", f"{scope}s"]))
                    missing = self.http(method, path_for(path, world), token, row.body(world))
                    self.assertEqual((missing.status, missing.error["code"]), (403, "missing_scope"))
                    self.assertIn(scope, missing.error["message"])
                    self.assertIn("insufficient_scope", missing.headers["www-authenticate"])
                    self.assertNotIn(world.secret, missing.text)
        self.assertEqual(self.head(), before, "none of it did anything")

    def test_the_right_token_does_it(self) -> None:
        for (method, path), row in ROUTES.items():
            with self.subTest(call=f"{method} {path}"):
                world = live(self.owner)
                token = self.token("owner", scope=" ".join(row.scopes))
                status, text = self.use(method, path, world, row.body(world), token)
                self.assertEqual(status, 200, text)

    def test_another_tenant_finds_nothing(self) -> None:
        for (method, path), row in ROUTES.items():
            with self.subTest(call=f"{method} {path}"):
                world = live(self.owner)
                desk = self.owner.events.GetDesk(event_pb2.GetDeskRequest())
                stranger = self.token("owner", tenant="zenith", scope=" ".join(row.scopes))
                status, text = self.use(method, path, world, (row.theirs or row.body)(world), stranger)
                self.assertEqual(status, row.stranger, text)
                self.assertNotIn(world.secret, text)
                if status >= 400:
                    self.assertEqual(json.loads(text)["error"]["code"], "not_found")
                elif path.endswith("/responses"):
                    self.assertEqual(json.loads(text)["status"], "unknown_session")
                since = event_pb2.ListEventsRequest(after_sequence=desk.head_sequence, desk_id=desk.desk_id)
                self.assertEqual(list(self.owner.events.ListEvents(since).events), [])

    def test_a_token_in_the_url_is_not_looked_at(self) -> None:
        for name in ("token", "access_token", "agentdesk_token"):
            answer = self.http("GET", f"/tickets?{name}={self.issuer.token()}", None)
            self.assertEqual(answer.error["code"], "token_missing")
            waiting = self.browser(V1, query=f"{name}={self.issuer.token()}&live=1")
            waiting.send({"type": "ping"})
            self.assertEqual(waiting.wait_closed(), 4401)

    def test_a_socket_wants_a_token_that_is_right(self) -> None:
        without = " ".join(scope for scope in SCOPES if scope != "events:read")
        cases = {**self.bad_tokens(), "missing scope": (self.token(scope=without), "", 4503)}
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

    def test_two_tokens_in_one_way_are_none_for_a_socket(self) -> None:
        first, second = self.token(), self.token()
        sockets = [
            self.browser(V1, headers={"Authorization": [f"Bearer {first}", f"Bearer {second}"]}),
            self.browser(V1, f"agentdesk.bearer.{first}", f"agentdesk.bearer.{second}"),
            self.browser(V1, origin=f"http://{self.address}", headers={
                "Cookie": f"agentdesk_token={first}; agentdesk_token={second}"})]
        for socket in sockets:
            self.assertEqual(socket.wait_closed(), 4501, socket.close_reason)
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

    def answers(self) -> dict[str, tuple[str, Callable[[World, dict[str, Any]], Any]]]:
        """Every way to answer, by the subject that answers: where it shows, and how it is done there.

        Each also claims to be mallory in every way that there is to say so.
        """
        mallory = b64(json.dumps({"sub": "mallory", "scopes": list(SCOPES)}))

        def headers(subject: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {self.token(subject)}", "Agentdesk-Actor": "mallory",
                    "Agentdesk-User": mallory, "X-User": "mallory"}

        def socket(subject: str, *protocols: str) -> Callable[[World, dict[str, Any]], Any]:
            def answer(world: World, response: dict[str, Any]) -> Any:
                browser = self.browser(*protocols, headers=headers(subject))
                return browser.ask({"type": "user_response", "session_id": world.session, **response})
            return answer

        def http(world: World, response: dict[str, Any]) -> Any:
            path = path_for("/sessions/{session_id}/responses", world)
            return self.http("POST", f"{path}?user=mallory", None, response, **headers("by-http")).json

        def grpc(world: World, response: dict[str, Any]) -> Any:
            who = As(self.desk, bearer(self.token("by-grpc")) + [("agentdesk-actor", "mallory")])
            judged = who.sessions.SubmitResponse(session_pb2.SubmitResponseRequest(
                session_id=world.session, question_id=response["question_id"],
                response=response["response"]))
            received = judged.outcome == session_pb2.RESPONSE_OUTCOME_RECEIVED
            return {"status": "received" if received else judged.outcome}
        return {"by-socket": ("websocket", socket("by-socket", V1)),
                "by-plain-socket": ("websocket", socket("by-plain-socket")),
                "by-http": ("http", http), "by-grpc": ("grpc", grpc)}

    def test_each_answer_is_recorded_under_who_was_proved(self) -> None:
        follower = self.browser(V1, query="live=1", headers={
            "Authorization": f"Bearer {self.token('eve')}"})
        follower.wait_type("subscribed")
        for subject, (via, answer) in self.answers().items():
            with self.subTest(subject=subject):
                world = live(self.owner)
                given = answer(world, {"question_id": world.question, "response": "yes",
                                       "answered_by": "mallory", "user": "mallory", "from": "mallory",
                                       "actor": {"id": "mallory", "via": "grpc"}})
                self.assertEqual(given["status"], "received", given)
                question = self.owner.sessions.GetQuestion(session_pb2.GetQuestionRequest(
                    question_id=world.question)).question
                self.assertEqual((question.answered_by.id, question.answered_by.via), (subject, via))
                event = self.owner.events.ListEvents(event_pb2.ListEventsRequest(
                    filter=event_pb2.EventFilter(
                        session_ids=[world.session],
                        types=[event_pb2.EVENT_TYPE_QUESTION_ANSWERED]))).events[0]
                self.assertEqual((event.actor.id, event.actor.via), (subject, via))
                # And so is everyone told who follows, asks, or comes too late.
                told = follower.wait_type("question_answered", question_id=world.question)
                shown = self.http("GET", path_for("/questions/{question_id}", world), self.token("eve"))
                self.assertEqual((told["answered_by"], shown.json["answered_by"]), (subject, subject))
                late = self.http("POST", path_for("/sessions/{session_id}/responses", world),
                                 self.token("eve"), {"question_id": world.question, "response": "no"})
                self.assertEqual((late.json["status"], late.json["answered_by"]),
                                 ("already_answered", subject))

    def test_a_request_id_is_its_users_own(self) -> None:
        def create(user: str) -> str:
            return http_client.call(self.address, "POST", "/tickets/create",
                                    {"ticket_name": "Once", "request_id": "the-same"},
                                    Authorization=f"Bearer {self.token(user)}").json["ticket_id"]
        first = create("alice")
        self.assertEqual(create("alice"), first)
        self.assertNotEqual(create("bob"), first)

    def test_a_command_without_its_scope_is_forbidden_and_the_socket_stays(self) -> None:
        world = live(self.owner)
        response = {"type": "user_response", "session_id": world.session, "response": "yes",
                    "question_id": world.question}
        commands = {
            "answers:write": [response, {"type": "send_message", "session_id": world.session,
                                         "content": "c"}],
            "tickets:write": [{"type": "create_ticket", "ticket_name": "n"},
                              {"type": "cancel_ticket", "ticket_id": world.ticket},
                              {"type": "retry_ticket", "ticket_id": world.cancelled}],
        }
        before = self.head()
        for scope, needing in commands.items():
            others = self.token("owner", scope=" ".join(other for other in SCOPES if other != scope))
            socket = self.browser(V1, headers={"Authorization": f"Bearer {others}"})
            socket.wait_type("hello")
            for command in needing:
                with self.subTest(command=command["type"]):
                    refused = socket.ask(command)
                    self.assertEqual((refused["type"], refused.get("status", refused.get("code"))),
                                     ("ack", "forbidden") if scope == "answers:write" else
                                     ("error", "missing_scope"))
                    self.assertIn(scope, refused["message"])
            self.assertTrue(socket.is_open)
        plain = self.browser(headers={
            "Authorization": f"Bearer {self.token('owner', scope='events:read')}"})
        self.assertEqual(plain.ask(response)["status"], "forbidden")
        self.assertTrue(plain.is_open)
        self.assertEqual(self.head(), before, "none of it did anything")
        # The same commands with their scopes are good ones.
        both = self.token("owner", scope=f"events:read {' '.join(commands)}")
        socket = self.browser(V1, headers={"Authorization": f"Bearer {both}"})
        for command in commands["answers:write"] + commands["tickets:write"]:
            self.assertEqual(socket.ask(command)["type"], "ack", command)

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
        world = live(self.owner)
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
                    answer = self.http(method, path_for(path, world), None, Origin=origin, **cookie)
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
            return {"Authorization": f"Bearer {self.token(exp=int(time.time()) + 10)}"}
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

    def test_a_gateway_that_the_core_knows_no_more_sends_nobody_away_for_good(self) -> None:
        """A page whose events come from the core by themselves is to come back; its own token is right."""
        own = self.folder / "changing.token"
        own.write_text(self.token("gateway-1"))
        gateway = Gateway(self.system.core.address, f"--auth_config={self.config}",
                          f"--core_token_file={own}")
        self.system.add(gateway).start()
        shows = {"Authorization": f"Bearer {self.token()}"}
        for subject, aud in (("no-gateway", AUDIENCE), ("gateway-1", "other")):
            own.write_text(self.token(subject, aud=aud))
            wait_until(lambda: http_client.call(gateway.address, "GET", "/tickets", **shows).status
                       == 503, "the token being read again")
            browser = FullBrowser(gateway.address, query="snapshot=1", headers=shows)
            self.assertEqual(browser.wait_closed(), 1012)
            own.write_text(self.token("gateway-1"))
            wait_until(lambda: http_client.call(gateway.address, "GET", "/tickets", **shows).status
                       == 200, "the token being read again")
        self.assertEqual(gateway.stop(), 0)

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
        if part := part_in(logs, cls.shown):
            raise AssertionError(f"a log holds a token: {part[:16]}…")


if __name__ == "__main__":
    unittest.main()
