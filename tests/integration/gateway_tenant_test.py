"""Nobody sees through the gateway what another tenant has, whatever they ask and however they follow.

What the core makes of tenants over gRPC is in tenant_test and every_call_test. Here the users are a gateway's:
it follows the log for all of them and asks the core for each, so that a user who got lost on the way between
the two would be taken for the gateway, which sees every tenant.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import unittest
from typing import Any

import http_client
from agentdesk.v1 import admin_pb2
from agentdesk_test import Gateway
from desk_client import event_pb2, new_id, session_pb2, ticket_pb2
from event_stream import EventStream
from guarded_desk import GuardedDeskCase, World, live
from metrics_text import MetricsPage
from openapi import routes
from tokens import As
from ws_client import Browser, FullBrowser

TENANTS = ("", "acme", "zenith")
SEED = int(os.environ.get("AGENTDESK_TEST_SEED", random.randrange(2**32)))
# These differ between any two answers.
OF_ITS_OWN = {"date", "content-length"}


def nobodys() -> World:
    """Ids that nobody has."""
    return World(f"secret-{new_id()}", f"q-{new_id()[:8]}", new_id(), new_id(), new_id(),
                 f"job-{new_id()}", 1, new_id())


def renamed(text: str, theirs: World, other: World) -> str:
    for mark, instead in zip(theirs.marks, other.marks):
        text = text.replace(mark, instead)
    return text


class Follower:
    """Somebody who follows the log by one of the ways in which the gateway lets them."""

    def __init__(self, tenant: str, way: str, connection: FullBrowser | EventStream) -> None:
        self.tenant = tenant
        self.way = way
        self.connection = connection

    @property
    def received(self) -> str:
        if isinstance(self.connection, EventStream):
            return "\n".join(itertools.chain.from_iterable(self.connection.events))
        return "\n".join(self.connection.texts)

    @property
    def sequences(self) -> list[int]:
        return [sequence for sequence, _ in self.connection.seen]

    @property
    def messages(self) -> list[dict[str, Any]]:
        if isinstance(self.connection, EventStream):
            return self.connection.messages
        return [json.loads(text) for text in list(self.connection.texts)]

    def wait_type(self, kind: str) -> dict[str, Any]:
        return self.connection.wait_type(kind)

    def wait_snapshot(self) -> list[dict[str, Any]]:
        """All parts of the first one."""
        def is_last(message: dict[str, Any]) -> bool:
            return message["type"] == "snapshot" and not message["more"]
        if isinstance(self.connection, EventStream):
            self.connection.wait_for(is_last, "whole snapshot")
        else:
            self.connection.wait_text(is_last, "whole snapshot")
        return [message for message in self.messages if message["type"] == "snapshot"]


class GatewayTenants(GuardedDeskCase):
    """Three tenants that have the same in one desk, under the same name of a user."""

    all_tenants = ("fleet",)

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        print(f"AGENTDESK_TEST_SEED={SEED}", flush=True)
        cls.random = random.Random(SEED)
        cls.worlds = {tenant: [live(cls.of(tenant))] for tenant in TENANTS}

    @classmethod
    def of(cls, tenant: str) -> As:
        return cls.who(tenant=tenant or None)

    @classmethod
    def shown(cls, tenant: str) -> dict[str, str]:
        return cls.headers(tenant=tenant or None)

    @classmethod
    def own(cls, tenant: str) -> World:
        return cls.worlds[tenant][0]

    def others(self, tenant: str) -> list[World]:
        return [world for other in TENANTS if other != tenant for world in self.worlds[other]]

    def assert_nothing_of_others(self, tenant: str, received: str, asked_for: str = "") -> None:
        """`asked_for`: an id that the answer may repeat."""
        for mark in itertools.chain.from_iterable(world.marks for world in self.others(tenant)):
            if mark != asked_for:
                self.assertNotIn(mark, received)

    @classmethod
    def desk_log(cls) -> list[event_pb2.Event]:
        return cls.log(cls.who("fleet"))

    @classmethod
    def head(cls) -> event_pb2.GetDeskResponse:
        return cls.who("fleet").events.GetDesk(event_pb2.GetDeskRequest())

    # Followers.

    def socket(self, tenant: str, gateway: Gateway, query: str = "") -> FullBrowser:
        browser = FullBrowser(gateway.address, query, headers=self.shown(tenant))
        self.addCleanup(browser.close)
        return browser

    def stream(self, tenant: str, gateway: Gateway, query: str = "",
               last_event_id: str = "") -> EventStream:
        stream = EventStream(gateway.address, query, last_event_id, **self.shown(tenant)).follow()
        self.addCleanup(stream.close)
        return stream

    def subscribed(self, tenant: str, gateway: Gateway, start: Any, **more: Any) -> FullBrowser:
        browser = self.socket(tenant, gateway)
        browser.wait_type("hello")
        browser.send({"type": "subscribe", "from": start, **more})
        return browser

    def followers_after(self, tenant: str, gateway: Gateway, desk: str, after: int) -> list[Follower]:
        """By every way that begins at a position."""
        return [
            Follower(tenant, "the socket's address",
                     self.socket(tenant, gateway, f"after={after}&desk={desk}")),
            Follower(tenant, "subscribe",
                     self.subscribed(tenant, gateway, {"desk": desk, "after": after})),
            Follower(tenant, "Last-Event-ID",
                     self.stream(tenant, gateway, last_event_id=f"{desk}:{after}")),
        ]

    def followers_from_snapshot(self, tenant: str, gateway: Gateway) -> list[Follower]:
        return [
            Follower(tenant, "the socket's address", self.socket(tenant, gateway, "snapshot=1")),
            Follower(tenant, "subscribe", self.subscribed(tenant, gateway, "snapshot")),
            Follower(tenant, "the stream's address", self.stream(tenant, gateway, "snapshot=1")),
        ]

    def all_do_something(self) -> dict[str, int]:
        """One event of each tenant, which ends what its followers are compared by."""
        return {tenant: self.of(tenant).tickets.CreateTicket(
            ticket_pb2.CreateTicketRequest(ticket_name="Last")).sequence for tenant in TENANTS}

    def check_followers(self, followers: list[tuple[int, Follower]]) -> None:
        """Each has had everything of its tenant after its position, and nothing else."""
        last = self.all_do_something()
        log = self.desk_log()
        for after, follower in followers:
            with self.subTest(tenant=follower.tenant, way=follower.way, after=after):
                end = last[follower.tenant]
                follower.connection.wait_sequence(end)
                self.assertEqual(follower.sequences, [
                    event.sequence for event in log
                    if event.tenant == follower.tenant and after < event.sequence <= end])
                self.assert_nothing_of_others(follower.tenant, follower.received)

    def check_snapshot(self, follower: Follower) -> int:
        """It shows what is the tenant's own; returns the position as of which it is true."""
        parts = follower.wait_snapshot()
        world = self.own(follower.tenant)
        for rows, name, identity in (("tickets", "ticket_id", world.ticket),
                                     ("sessions", "session_id", world.session),
                                     ("questions", "question_id", world.question)):
            self.assertIn(identity, [row[name] for part in parts for row in part[rows]])
        self.assertEqual({row.get("tenant", "") for part in parts for row in part["tickets"]},
                         {follower.tenant})
        self.assert_nothing_of_others(follower.tenant, follower.received)
        return parts[0]["up_to"]


class GatewayTenantTest(GatewayTenants):
    def http(self, tenant: str, method: str, path: str, body: Any = None) -> http_client.Answer:
        return http_client.call(self.gateway.address, method, path, body, **self.shown(tenant))

    # HTTP.

    def test_what_wants_no_id_holds_ones_own(self) -> None:
        documented = {path for method, path in routes() if method == "GET" and "{" not in path}
        self.assertLessEqual({"/tickets", "/questions", "/events", "/metrics"}, documented)
        filtered = ["/tickets?status=running", "/tickets?status=cancelled", "/questions?state=open"]
        for tenant in TENANTS:
            for path in sorted(documented - {"/events"}) + filtered:
                with self.subTest(tenant=tenant, path=path):
                    answer = self.http(tenant, "GET", path)
                    self.assertEqual(answer.status, 200, answer.text)
                    self.assert_nothing_of_others(tenant, f"{answer.headers} {answer.text}")
                    if path.startswith(("/tickets", "/questions")):
                        self.assertIn(self.own(tenant).secret, answer.text)

    def pages(self, tenant: str, kind: str) -> tuple[list[dict[str, Any]], list[str]]:
        """All rows, read one by one, and the tokens that led to them."""
        rows: list[dict[str, Any]] = []
        tokens: list[str] = []
        while not tokens or tokens[-1]:
            page = self.http(tenant, "GET", f"/{kind}?page_size=1" +
                             (f"&page_token={tokens[-1]}" if tokens else ""))
            self.assertEqual(page.status, 200, page.text)
            self.assert_nothing_of_others(tenant, page.text)
            rows += page.json[kind]
            tokens.append(page.json["next_page_token"])
        return rows, tokens[:-1]

    def test_pages_hold_ones_own_also_by_the_token_of_another(self) -> None:
        created = [event for event in self.desk_log() if event.WhichOneof("payload") == "ticket_created"]
        tokens = {}
        for tenant in TENANTS:
            rows, tokens[tenant] = self.pages(tenant, "tickets")
            self.assertEqual(sorted(row["ticket_id"] for row in rows),
                             sorted(event.ticket_id for event in created if event.tenant == tenant))
            self.assertTrue(tokens[tenant])
        for tenant, other in itertools.permutations(TENANTS, 2):
            for token in tokens[other]:
                answer = self.http(tenant, "GET", f"/tickets?page_token={token}")
                self.assert_nothing_of_others(tenant, answer.text)

    def calls_with_an_id(self) -> dict[tuple[str, str], Any]:
        """Every documented route with an id in it, and a body for it."""
        bodies: dict[str, Any] = {
            "/sessions/{session_id}/responses":
                lambda world: {"response": "yes", "question_id": world.question},
            "/sessions/{session_id}/messages": lambda world: {"content": "c"}}
        return {(method, path): bodies.get(path, lambda world: None if method == "GET" else {})
                for method, path in routes() if "{" in path}

    @staticmethod
    def path_of(path: str, world: World) -> str:
        ticket = world.cancelled if path.endswith("retry") else world.ticket
        return path.format(ticket_id=ticket, job_id=world.job, session_id=world.session,
                           question_id=world.question)

    def said(self, answer: http_client.Answer, world: World, other: World) -> tuple[Any, ...]:
        headers = {name: value for name, value in answer.headers.items() if name not in OF_ITS_OWN}
        return answer.status, renamed(answer.text, world, other), headers

    def test_an_id_of_others_is_answered_like_one_that_nobody_has(self) -> None:
        calls = self.calls_with_an_id()
        self.assertGreaterEqual(len(calls), 8)
        before = self.head().head_sequence
        for tenant in TENANTS:
            for (method, path), body in calls.items():
                nobody = nobodys()
                nothing = self.http(tenant, method, self.path_of(path, nobody), body(nobody))
                judged = path.endswith("/responses")
                self.assertEqual(nothing.status, 200 if judged else 404, nothing.text)
                if judged:
                    self.assertEqual(nothing.json["status"], "unknown_session")
                for world in self.others(tenant):
                    with self.subTest(tenant=tenant, call=f"{method} {path}"):
                        answer = self.http(tenant, method, self.path_of(path, world), body(world))
                        self.assertNotIn(world.secret, answer.text)
                        self.assertEqual(self.said(answer, world, nobody),
                                         self.said(nothing, nobody, nobody))
        self.assertEqual(self.head().head_sequence, before, "none of it did anything")
        for tenant in TENANTS:
            for method, path in calls:
                if method == "GET":
                    own = self.http(tenant, method, self.path_of(path, self.own(tenant)))
                    self.assertEqual(own.status, 200, own.text)
                    self.assertIn(self.own(tenant).ticket, own.text)

    def test_ids_of_others_in_what_is_asked_find_nothing(self) -> None:
        """In a filter, as the question of one's own session, and as the id of a new ticket."""
        for tenant in TENANTS:
            own = self.own(tenant)
            responses = f"/sessions/{own.session}/responses"
            for world in self.others(tenant):
                nobody = nobodys()
                for asked in (world, nobody):
                    listed = self.http(tenant, "GET", f"/questions?session_id={asked.session}")
                    self.assertEqual((listed.status, listed.json["questions"]), (200, []))
                theirs, nothing = (self.http(tenant, "POST", responses, {
                    "response": "yes", "question_id": asked.question}) for asked in (world, nobody))
                self.assertEqual(theirs.json["status"], "unknown_question")
                self.assertEqual(self.said(theirs, world, nobody), self.said(nothing, nobody, nobody))

    def test_a_ticket_id_that_others_have_is_as_free_as_any(self) -> None:
        for path, body in [("/tickets/create", lambda id: {"ticket_name": "n", "ticket_id": id}),
                           ("/webhook/notion", lambda id: {"page_id": id})]:
            with self.subTest(path=path):
                world = live(self.of("acme"))
                theirs, nothing = (self.http("zenith", "POST", path, body(ticket))
                                   for ticket in (world.ticket, new_id()))
                self.assertEqual((theirs.status, theirs.json["ticket_id"]), (200, world.ticket))
                self.assertEqual((nothing.status, {*nothing.json}), (200, {*theirs.json}))
                for tenant, mine in [("acme", world.job), ("zenith", theirs.json["job_id"])]:
                    own = self.http(tenant, "GET", f"/tickets/{world.ticket}")
                    self.assertEqual(own.json["job_id"], mine)

    # Commands on sockets.

    @staticmethod
    def commands(world: World) -> list[dict[str, Any]]:
        return [
            {"type": "user_response", "session_id": world.session, "response": "yes"},
            {"type": "user_response", "session_id": world.session, "response": "yes",
             "question_id": world.question, "request_id": new_id()},
            {"type": "send_message", "session_id": world.session, "content": "c"},
            {"type": "cancel_ticket", "ticket_id": world.ticket},
            {"type": "retry_ticket", "ticket_id": world.cancelled},
        ]

    def test_a_command_on_what_others_have_finds_nothing(self) -> None:
        before = self.head().head_sequence
        for tenant, full in itertools.product(TENANTS, (True, False)):
            browser = (self.socket(tenant, self.gateway) if full else
                       Browser(self.gateway.address, headers=self.shown(tenant)))
            self.addCleanup(browser.close)
            for world in self.others(tenant):
                nobody = nobodys()
                for theirs, nothing in zip(self.commands(world), self.commands(nobody)):
                    if not full and theirs["type"] != "user_response":
                        continue
                    if "request_id" in theirs:
                        nothing["request_id"] = theirs["request_id"] + "-2"
                    with self.subTest(tenant=tenant, full=full, command=theirs["type"]):
                        answer = renamed(browser.ask_text(theirs), world, nobody)
                        expected = browser.ask_text(nothing).replace("-2\"", "\"")
                        self.assertEqual(answer, expected)
                        self.assertRegex(answer, r"unknown_session|not_found")
            for text in browser.texts:
                self.assertNotIn("secret-", text)
        self.assertEqual(self.head().head_sequence, before, "none of it did anything")

    # What is followed.

    def test_a_snapshot_holds_ones_own(self) -> None:
        late = self.another_gateway()
        followers = [(self.check_snapshot(follower), follower)
                     for tenant in TENANTS for gateway in (self.gateway, late)
                     for follower in self.followers_from_snapshot(tenant, gateway)]
        self.check_followers(followers)

    def test_a_snapshot_in_place_of_a_position_holds_ones_own(self) -> None:
        head = self.head()
        for tenant in TENANTS:
            for desk, after, reason in ((new_id(), 1, "other_desk"),
                                        (head.desk_id, head.head_sequence + 1000, "ahead")):
                for follower in self.followers_after(tenant, self.gateway, desk, after):
                    with self.subTest(tenant=tenant, way=follower.way, reason=reason):
                        self.assertEqual(follower.wait_type("gap")["reason"], reason)
                        self.check_snapshot(follower)

    def resume(self, gateway: Gateway, rounds: int) -> list[tuple[int, Follower]]:
        head = self.head()
        followers = []
        for tenant in TENANTS:
            # The first is the whole log.
            for after in [0] + [self.random.randint(0, head.head_sequence) for _ in range(rounds)]:
                followers += [(after, follower) for follower in
                              self.followers_after(tenant, gateway, head.desk_id, after)]
        return followers

    def test_what_the_gateway_remembers_is_served_to_whose_it_is(self) -> None:
        """This gateway was there before the first event."""
        self.check_followers(self.resume(self.gateway, rounds=7))

    def test_what_the_gateway_must_ask_for_is_served_to_whose_it_is(self) -> None:
        core = MetricsPage(lambda: self.core.admin)
        ended = {"grpc_service": "agentdesk.v1.EventService", "grpc_method": "Subscribe"}
        before = core.value("grpc_server_handled_total", **ended)
        followers = self.resume(self.another_gateway(), rounds=7)
        self.check_followers(followers)
        # Each beginning was a stream of the core's own, which ended where the gateway's joins it.
        begun = len([after for after, _ in followers if after == 0])
        core.wait(lambda now: now >= before + begun, "grpc_server_handled_total", **ended)

    def test_a_filter_that_names_what_others_have_lets_nothing_through(self) -> None:
        desk, late = self.head().desk_id, self.another_gateway()
        for tenant, gateway in itertools.product(TENANTS, (self.gateway, late)):
            theirs, own = self.others(tenant)[0], self.own(tenant)
            names = [("ticket_ids", theirs.ticket, own.ticket),
                     ("session_ids", theirs.session, own.session)]
            for kind, foreign, mine in names:
                with self.subTest(tenant=tenant, kind=kind):
                    log = [event.sequence for event in self.desk_log()
                           if mine in (event.ticket_id, event.session_id)]
                    start = {"desk": desk, "after": 0}
                    nothing = self.subscribed(tenant, gateway, start, filter={kind: [foreign]})
                    both = self.subscribed(tenant, gateway, start, filter={kind: [foreign, mine]})
                    streamed = self.stream(tenant, gateway, f"after={desk}:0&{kind}={foreign},{mine}")
                    for follower in (both, streamed):
                        follower.wait_sequence(log[-1])
                        self.assertEqual([sequence for sequence, _ in follower.seen], log)
                    nothing.wait_type("subscribed")
                    # What it is sent comes in order: by then it would have had their events.
                    nothing.send({"type": "subscribe", "from": {"desk": desk, "after": 0},
                                  "filter": {kind: [mine]}})
                    nothing.wait_sequence(log[-1])
                    self.assertEqual([sequence for sequence, _ in nothing.seen], log)
                    for text in nothing.texts + both.texts:
                        self.assert_nothing_of_others(tenant, text)

    def work(self, tenant: str) -> None:
        """A life of a ticket with all that users do through the gateway."""
        own = self.of(tenant)
        world = live(own)
        self.worlds[tenant].append(world)
        said = {"content": world.secret}
        socket = FullBrowser(self.gateway.address, headers=self.shown(tenant))
        acks = [socket.ask({"type": "send_message", "session_id": world.session, **said}),
                socket.ask({"type": "user_response", "session_id": world.session,
                            "question_id": world.question, "response": world.secret}),
                socket.ask({"type": "retry_ticket", "ticket_id": world.cancelled}),
                socket.ask({"type": "cancel_ticket", "ticket_id": world.cancelled})]
        socket.close()
        sent = self.http(tenant, "POST", f"/sessions/{world.session}/messages", said)
        self.outcomes.append(([ack["type"] for ack in acks], sent.status))
        own.sessions.SendMessage(session_pb2.SendMessageRequest(session_id=world.session, **said))

    def test_live_events_go_to_whose_they_are(self) -> None:
        late = self.another_gateway()
        followers, plain = [], []
        for tenant, gateway in itertools.product(TENANTS, (self.gateway, late)):
            for way, connection in (("a socket", self.socket(tenant, gateway, "live=1")),
                                    ("a stream", self.stream(tenant, gateway))):
                follower = Follower(tenant, way, connection)
                followers.append((follower.wait_type("subscribed")["up_to"], follower))
            browser = Browser(gateway.address, headers=self.shown(tenant))
            self.addCleanup(browser.close)
            self.assertEqual(browser.ask({"type": "ping"}), {"type": "pong"})
            plain.append((tenant, browser))
        self.outcomes: list[Any] = []
        at_once = [threading.Thread(target=self.work, args=(tenant,))
                   for tenant in TENANTS for _ in range(3)]
        for thread in at_once:
            thread.start()
        for thread in at_once:
            thread.join()
        self.assertEqual(self.outcomes, [(["ack"] * 4, 200)] * len(at_once))
        self.check_followers(followers)
        end = {tenant: self.of(tenant).tickets.CreateTicket(
            ticket_pb2.CreateTicketRequest(ticket_name="Over")).ticket_id for tenant in TENANTS}
        for tenant, browser in plain:
            browser.wait_type("ticket_created", ticket_id=end[tenant])
            received = "\n".join(browser.texts)
            self.assert_nothing_of_others(tenant, received)
            for world in self.worlds[tenant][-3:]:
                self.assertIn(world.secret, received)


class CompactedTest(GatewayTenants):
    """The log's beginning is not served any more, by a gateway that has not seen it either."""

    def test_a_position_that_is_gone_and_one_that_is_not(self) -> None:
        for _ in range(3):
            self.all_do_something()
        compacted = self.of("").admin.Compact(admin_pb2.CompactRequest(keep_events=12))
        oldest, desk = compacted.oldest_sequence, self.head().desk_id
        self.assertGreater(oldest, 10)
        late, followers = self.another_gateway(), []
        for tenant in TENANTS:
            for after in [0, oldest - 2, self.random.randint(0, oldest - 2)]:
                for follower in self.followers_after(tenant, late, desk, after):
                    with self.subTest(tenant=tenant, way=follower.way, after=after):
                        gap = follower.wait_type("gap")
                        self.assertEqual((gap["reason"], gap["available_from"]),
                                         ("compacted", oldest))
                        followers.append((self.check_snapshot(follower), follower))
            for after in (oldest - 1, self.random.randint(oldest - 1, compacted.head_sequence)):
                followers += [(after, follower) for follower in
                              self.followers_after(tenant, late, desk, after)]
        self.check_followers(followers)


if __name__ == "__main__":
    unittest.main()
