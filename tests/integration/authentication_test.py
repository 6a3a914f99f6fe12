"""Who is let in to the core, under whose name it is recorded, and for how long.

Every call with every wrong token is in every_call_test.
"""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest
from typing import Any

import grpc
import http_client
from agentdesk_test import BIN, Gateway, Program, System, wait_until
from desk_client import (DeskClient, Refusal, agent_pb2, event_pb2, new_id, refusal_of, session_pb2,
                         ticket_pb2)
from agentdesk.v1 import admin_pb2
from guarded_desk import IssuedCase
from tokens import (AUDIENCE, PEOPLE, SCOPES, As, Issuer, Metadata, auth_config, b64, bearer,
                    make_key, part_in, two_issuers)
from watch import Watch

def all_calls() -> list[Any]:
    """Every method of every service of ours, as its descriptor."""
    return [method for module in (ticket_pb2, agent_pb2, session_pb2, event_pb2, admin_pb2)
            for service in module.DESCRIPTOR.services_by_name.values()
            for method in service.methods]


class AuthenticationTest(IssuedCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.signing, cls.public = make_key(cls.folder, "ES256")
        cls.config = auth_config(
            cls.folder, two_issuers(cls.public), gateways=["gateway-1"], clock_skew_s=0)
        cls.system = System([f"--auth_config={cls.config}", "--log_level=debug"], gateway=False)
        cls.addClassCleanup(cls.system.close)
        cls.core = cls.system.core
        cls.desk = DeskClient(cls.core.address)
        cls.addClassCleanup(cls.desk.close)
        cls.shown: list[str] = []

    def token(self, subject: str = "alice", **more: Any) -> str:
        token = self.issuer.token(subject, **more)
        self.shown.append(token)
        return token

    def who(self, subject: str = "alice", extra: Metadata | None = None, **more: Any) -> As:
        return As(self.desk, bearer(self.token(subject, **more)) + (extra or []))

    def raw(self, method: Any, metadata: Metadata) -> Refusal | None:
        """One call of any method with an empty request; nothing when it is not refused."""
        path = f"/{method.containing_service.full_name}/{method.name}"
        try:
            if method.server_streaming:
                call = self.desk.channel.unary_stream(path)(b"", timeout=30, metadata=metadata)
                next(iter(call))
                call.cancel()
            else:
                self.desk.channel.unary_unary(path)(b"", timeout=30, metadata=metadata)
        except grpc.RpcError as error:
            return refusal_of(error)
        return None

    def people_token(self, *more: str) -> str:
        made = subprocess.run(
            [str(BIN / "agentdesk"), "token", "create", f"--signing_key={self.signing}",
             f"--issuer={PEOPLE}", f"--audience={AUDIENCE}", "--subject=bob",
             *(f"--scope={scope}" for scope in SCOPES), *more],
            check=True, capture_output=True, text=True)
        self.shown.append(made.stdout.strip())
        return made.stdout.strip()

    def test_health_and_reflection_are_open(self) -> None:
        import health_pb2
        import health_pb2_grpc
        health = health_pb2_grpc.HealthStub(self.desk.channel)
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=30)
        self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING)

    def test_the_core_can_be_watched_without_a_token(self) -> None:
        for path in ("/livez", "/readyz", "/metrics"):
            self.assertEqual(http_client.call(self.core.admin, "GET", path).status, 200, path)

    def test_what_is_done_is_recorded_under_who_was_proved(self) -> None:
        label = [("agentdesk-actor", "mallory"), ("agentdesk-via", "http")]
        created = self.who("alice", label).tickets.CreateTicket(
            ticket_pb2.CreateTicketRequest(ticket_name="Whose"))
        self.assertEqual(created.ticket.created_by.id, "alice")
        self.assertEqual(created.ticket.created_by.via, "http")
        bob = As(self.desk, bearer(self.people_token())).tickets.CreateTicket(
            ticket_pb2.CreateTicketRequest(ticket_name="Bob's"))
        self.assertEqual(bob.ticket.created_by.id, "people:bob")
        refusal = self.raw(all_calls()[0], bearer(self.token("agentdesk")))
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.PERMISSION_DENIED, "reserved_name"))

    def test_a_token_may_name_many_groups(self) -> None:
        who = self.who(groups=[f"group-{number:04}" for number in range(700)])
        who.events.GetDesk(event_pb2.GetDeskRequest())

    def test_a_request_id_is_its_callers_own(self) -> None:
        request = ticket_pb2.CreateTicketRequest(ticket_name="Once", request_id=new_id())
        first = self.who("alice").tickets.CreateTicket(request)
        again = self.who("alice").tickets.CreateTicket(request)
        other = self.who("bob").tickets.CreateTicket(request)
        self.assertEqual((again.ticket_id, again.replayed), (first.ticket_id, True))
        self.assertNotEqual(other.ticket_id, first.ticket_id)

    def question(self, **may_answer: list[str]) -> Any:
        queue = f"q-{new_id()[:8]}"
        worker = self.who("worker")
        worker.tickets.CreateTicket(ticket_pb2.CreateTicketRequest(ticket_name="Ask", queue=queue))
        claim = worker.agents.ClaimJob(agent_pb2.ClaimJobRequest(queues=[queue], worker="w"))
        return worker.agents.AskQuestion(agent_pb2.AskQuestionRequest(
            job_id=claim.job.job_id, lease_token=claim.lease_token, key="k", content="May I?",
            may_answer=session_pb2.MayAnswer(**may_answer))).question

    def answer(self, who: As, question: Any) -> Any:
        return who.sessions.SubmitResponse(session_pb2.SubmitResponseRequest(
            session_id=question.session_id, question_id=question.question_id, response="yes"))

    def test_only_those_whom_a_question_names_may_answer_it(self) -> None:
        allowed = {"users": self.who("carol"), "groups": self.who("dave", groups=["x", "ops"]),
                   "roles": self.who("erin", roles=["approver"])}
        names = {"users": ["carol"], "groups": ["ops"], "roles": ["approver"]}
        for kind, who in allowed.items():
            with self.subTest(kind=kind):
                question = self.question(**{kind: names[kind]})
                for stranger in (self.who("carol2", groups=["approver"], roles=["ops"]),
                                 self.who("ops"), self.who("approver", [("agentdesk-actor", "carol")])):
                    self.assertEqual(self.answer(stranger, question).outcome,
                                     session_pb2.RESPONSE_OUTCOME_FORBIDDEN)
                self.assertEqual(
                    self.who().sessions.GetQuestion(session_pb2.GetQuestionRequest(
                        question_id=question.question_id)).question.state,
                    session_pb2.QUESTION_STATE_OPEN)
                answered = self.answer(who, question)
                self.assertEqual(answered.outcome, session_pb2.RESPONSE_OUTCOME_RECEIVED)

    def gateway_metadata(self, user: dict[str, Any] | str, subject: str = "gateway-1") -> Metadata:
        text = user if isinstance(user, str) else b64(json.dumps(user))
        return bearer(self.token(subject)) + [("agentdesk-user", text)]

    def test_only_a_gateway_speaks_for_its_users(self) -> None:
        create = ticket_pb2.DESCRIPTOR.services_by_name["TicketService"].methods_by_name["CreateTicket"]
        user = {"sub": "zoe", "scopes": ["tickets:write"], "groups": [], "roles": []}
        created = As(self.desk, self.gateway_metadata(user)).tickets.CreateTicket(
            ticket_pb2.CreateTicketRequest(ticket_name="For Zoe"))
        self.assertEqual(created.ticket.created_by.id, "zoe")
        past = int(time.time() * 1000) - 1000
        denied, unknown = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
        bad = grpc.StatusCode.INVALID_ARGUMENT
        for metadata, code, reason in [
            (self.gateway_metadata(user, "alice"), denied, "not_a_gateway"),
            (self.gateway_metadata({**user, "scopes": []}), denied, "missing_scope"),
            (self.gateway_metadata({**user, "sub": "agentdesk"}), denied, "reserved_name"),
            (self.gateway_metadata({**user, "expires_ms": past}), unknown, "token_expired"),
            ([("agentdesk-user", b64(json.dumps(user)))], unknown, "token_missing"),
            (self.gateway_metadata({"scopes": ["tickets:write"]}), bad, "invalid_argument"),
            (self.gateway_metadata({**user, "sub": "a\nb"}), bad, "invalid_argument"),
            (self.gateway_metadata("%%%"), bad, "invalid_argument"),
            (self.gateway_metadata(user) + [("agentdesk-user", b64("{}"))], bad, "invalid_argument"),
        ]:
            with self.subTest(reason=reason, code=code):
                refusal = self.raw(create, metadata)
                self.assertEqual((refusal.code, refusal.reason), (code, reason), refusal.text)

    def test_a_stream_ends_when_its_token_does(self) -> None:
        token = self.token(exp=int(time.time()) + 6)
        call = self.desk.events.Subscribe(event_pb2.SubscribeRequest(live=True), timeout=60,
                                          metadata=bearer(token))
        began = time.monotonic()
        with self.assertRaises(grpc.RpcError) as ended:
            for _ in call:
                pass
        refusal = refusal_of(ended.exception)
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.UNAUTHENTICATED, "token_expired"))
        self.assertIn("Resume after", refusal.text)
        self.assertLess(time.monotonic() - began, 50)

    def test_watch_comes_back_with_the_token_that_its_file_then_holds(self) -> None:
        path = self.folder / "watch.token"
        path.write_text(self.token("watcher", exp=int(time.time()) + 8))
        create = lambda name: self.who("boss").tickets.CreateTicket(
            ticket_pb2.CreateTicketRequest(ticket_name=name))
        first = create("Under the first token")
        watch = Watch(self.core.address, "--json", "--after=0", f"--token_file={path}")
        self.addCleanup(watch.process.kill)
        watch.wait_for(first.ticket_id)
        path.write_text(self.token("watcher"))
        wait_until(lambda: "coming back" in watch.said or watch.process.poll() is not None,
                   "the end of the first token")
        last = create("Under the second token")
        watch.wait_for(last.ticket_id)
        self.assertEqual(watch.end(), 0, watch.said)
        sequences = [json.loads(line)["sequence"] for line in watch.lines]
        self.assertEqual(sequences, list(range(1, last.sequence + 1)), "each once")

    def test_watch_does_not_begin_under_a_token_that_has_expired(self) -> None:
        path = self.folder / "old.token"
        path.write_text(self.token("watcher", exp=int(time.time()) - 60))
        done = subprocess.run([str(BIN / "agentdesk"), f"--core={self.core.address}", "watch",
                               f"--token_file={path}"], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("expired", done.stderr)

    def test_keys_are_taken_over_as_they_change(self) -> None:
        fresh = Issuer(kid="key-2")
        fresh_token = fresh.token()
        both = json.loads(self.issuer.key_set())["keys"] + json.loads(fresh.key_set())["keys"]
        replaced = self.keys.with_suffix(".new")
        replaced.write_text(json.dumps({"keys": both}))
        os.replace(replaced, self.keys)
        get_desk = event_pb2.DESCRIPTOR.services_by_name["EventService"].methods_by_name["GetDesk"]
        wait_until(lambda: self.raw(get_desk, bearer(fresh_token)) is None, "the new key's tokens")
        self.keys.write_text("{")
        self.core.wait_for_log("keys cannot be read; the old ones stay")
        self.assertIsNone(self.raw(get_desk, bearer(fresh_token)))
        self.assertIsNone(self.raw(get_desk, bearer(self.token())))
        self.keys.write_text(self.issuer.key_set())

    def test_programs_show_the_token_of_their_file(self) -> None:
        path = self.folder / "token"
        path.write_text(self.token("cli") + "\n")
        command = [str(BIN / "agentdesk"), f"--core={self.core.address}", "--json", "desk"]
        shown = subprocess.run([*command, f"--token_file={path}"], capture_output=True, text=True,
                               timeout=60, check=False)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("token_missing", refused.stderr)
        self.assertIn("--token_file=FILE gives one", refused.stderr)

    def test_no_log_holds_a_token(self) -> None:
        for method in all_calls():
            self.raw(method, bearer(self.token()))
            self.raw(method, bearer(self.token(aud="other")))
        log = self.core.tail(2000)
        self.assertIn('"authentication":"on"', log)
        self.assertEqual(part_in(log, self.shown), "")

    def test_no_log_of_a_worker_holds_its_token(self) -> None:
        """Neither one that the core takes nor one that it refuses, at the level of debugging."""
        path, queue = self.folder / "worker.token", f"q-{new_id()[:8]}"
        shown = [self.token("worker", aud="other"), self.token("worker")]
        path.write_text(shown[0])
        created = self.who("boss").tickets.CreateTicket(
            ticket_pb2.CreateTicketRequest(ticket_name="For a worker", queue=queue))

        def is_refused() -> bool:
            return any(call["method"].endswith("/ClaimJob") and "the token" in call["error"]
                       for call in self.core.logged("call"))
        worker = Program("agentdesk-worker", f"--core={self.core.address}", f"--token_file={path}",
                         f"--queue={queue}", "--log_level=debug",
                         """--agent=echo '{"type":"complete","summary":"done"}'""").start()
        self.addCleanup(worker.end)
        wait_until(is_refused, "a claim that is refused")
        self.assertIn("the token", worker.wait_for_log("cannot claim; trying again")["error"])
        path.write_text(shown[1])
        get_job = ticket_pb2.GetJobRequest(job_id=created.job_id)
        wait_until(lambda: self.who("boss").tickets.GetJob(get_job).job.status ==
                   ticket_pb2.JOB_STATUS_COMPLETED, "a job that was done under the token")
        self.assertEqual(worker.stop(), 0)
        self.assertTrue(worker.logged("attempt ended"))
        self.assertEqual(part_in(worker.tail(len(worker.log)), shown), "")
        self.assertEqual(part_in(self.core.tail(len(self.core.log)), shown), "")


class TellsOnceTest(IssuedCase):
    """A program whose token is refused tries again and again, and says so once for each reason."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        _, public = make_key(cls.folder, "ES256")
        cls.config = auth_config(cls.folder, two_issuers(public), gateways=["gateway-1"])
        cls.system = System([f"--auth_config={cls.config}", "--log_level=debug"], gateway=False)
        cls.addClassCleanup(cls.system.close)
        cls.core = cls.system.core

    def refusals(self, method: str, words: str) -> int:
        return sum(call["method"].endswith(method) and words in call.get("error", "")
                   for call in self.core.logged("call"))

    def check(self, program: Program, path: pathlib.Path, method: str, line: str, field: str) -> None:
        """Its token, that of another audience, is followed by one without any scope of use."""
        for number, words in enumerate(("the token is refused", "this call needs the scope"), 1):
            wait_until(lambda text=words: self.refusals(method, text) >= 3, "three tries")
            said = program.logged(line)
            self.assertEqual(len(said), number, said)
            self.assertIn(words, said[-1][field])
            path.write_text(self.issuer.token("gateway-1", scope="tickets:read"))

    def test_a_gateway(self) -> None:
        path = self.folder / "gateway.token"
        path.write_text(self.issuer.token("gateway-1", aud="other"))
        gateway = Gateway(self.core.address, f"--auth_config={self.config}",
                          f"--core_token_file={path}")
        self.addCleanup(gateway.end)
        Program.start(gateway)
        line = "the core refuses the stream of events; trying again"
        self.check(gateway, path, "/Subscribe", line, "status")
        self.assertIn("--core_token_file", gateway.logged(line)[0]["status"])
        path.write_text(self.issuer.token("gateway-1"))
        gateway.wait_ready()
        gateway.wait_for_log("following the core")

    def test_a_worker(self) -> None:
        path = self.folder / "worker.token"
        path.write_text(self.issuer.token("worker", aud="other"))
        worker = Program("agentdesk-worker", f"--core={self.core.address}", f"--token_file={path}",
                         "--agent=true").start()
        self.addCleanup(worker.end)
        line = "cannot claim; trying again"
        self.check(worker, path, "/ClaimJob", line, "error")
        self.assertIn("--token_file", worker.logged(line)[0]["error"])


class ConfigTest(unittest.TestCase):
    """What is wrong with --auth_config is said at the start, by --check_config too."""

    def check(self, config: Any) -> str:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "keys.json").write_text(Issuer().key_set())
            (folder / "bad.json").write_text("{")
            path = folder / "auth.json"
            path.write_text(config if isinstance(config, str) else json.dumps(config))
            done = subprocess.run(
                [str(BIN / "agentdesk-core"), "--check_config", f"--auth_config={path}"],
                capture_output=True, text=True, timeout=60, check=False)
            self.assertIn(done.returncode, (0, 1), done)
            return done.stderr if done.returncode else ""

    def test_what_is_wrong_is_named(self) -> None:
        good = {"issuer": "i", "audiences": ["a"], "algorithms": ["HS256"], "keys_file": "keys.json"}
        self.assertEqual(self.check({"issuers": [good]}), "")
        for config, words in [
            ({}, "issuers: must be an array"),
            ({"issuers": []}, "issuers: must be an array"),
            ({"issuers": [good], "gateway": []}, "gateway: is not known"),
            ({"issuers": [{**good, "audience": "a"}]}, "audience: is not known"),
            ({"issuers": [{**good, "audiences": []}]}, "audiences: must name one"),
            ({"issuers": [{**good, "algorithms": ["none"]}]}, "algorithms: each must be"),
            ({"issuers": [{**good, "algorithms": []}]}, "algorithms: must name one"),
            ({"issuers": [{**good, "keys_file": "no.json"}]}, "no.json"),
            ({"issuers": [{**good, "keys_file": "bad.json"}]}, "bad.json"),
            ({"issuers": [good, good]}, "issuer: stands there twice"),
            ({"issuers": [good, {**good, "issuer": "j"}]}, "subject_prefix: each issuer must have"),
            ({"issuers": [good], "clock_skew_s": 301}, "clock_skew_s: must be 0 to 300"),
            ('{"issuers":[],"issuers":[]}', "occurs twice"),
            ("", "not JSON"),
        ]:
            with self.subTest(words=words):
                self.assertIn(words, self.check(config))


if __name__ == "__main__":
    unittest.main()
