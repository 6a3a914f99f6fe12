"""Outgoing webhooks across kills of the core, of the sender and of a receiver that comes and goes."""

import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import random
import socket
import tempfile
import threading
import time
import unittest
from typing import Any

from agentdesk_test import PATIENCE, SCALE, Core, Program, command_line, wait_until
from desk_client import DeskClient, admin_pb2, event_pb2, ticket_pb2
from tokens import AUDIENCE, ISSUER, As, Issuer, auth_config, bearer, part_in

KEY = b"0123456789abcdef0123456789abcdef"
TYPES = ["ticket_created", "agent_started", "agent_question", "question_answered", "agent_complete"]


class Receiver:
    """An HTTP server that notes what it took, and refuses or drops some of it."""

    def __init__(self, refuse: float = 0.0) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.tries = 0
        self.problems: list[str] = []
        self.refuse = refuse
        self._chance = random.Random(1)
        self._lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                answer = receiver.take(dict(self.headers.items()), body)
                if answer == 0:  # hangs up; the sender cannot know whether it was taken
                    self.close_connection = True
                    return
                self.send_response(answer)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        with self._lock:
            self.tries += 1
            self._check(headers, body)
            chance = self._chance.random()
            if chance < self.refuse / 2:
                return self._chance.choice([500, 503, 404, 301])
            self.taken.append((headers["webhook-id"], json.loads(body)))
            return 0 if chance < self.refuse else 204

    def _check(self, headers: dict[str, str], body: bytes) -> None:
        signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
        wanted = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        if headers["webhook-signature"] != wanted:
            self.problems.append(f"{headers['webhook-id']} is not signed")
        if abs(int(headers["webhook-timestamp"]) - time.time()) > 600:
            self.problems.append(f"{headers['webhook-id']} is of another time")

    @property
    def sequences(self) -> list[int]:
        with self._lock:
            return [event["sequence"] for _, event in self.taken]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class WebhooksTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-test-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.core = Core(self.scratch / "data")
        self.addCleanup(self.core.kill)
        self.core.start()
        self.desk = DeskClient(self.core.address)
        self.addCleanup(self.desk.close)
        (self.scratch / "secret").write_text("whsec_" + base64.b64encode(KEY).decode() + "\n")

    def receiver(self, **options: Any) -> Receiver:
        receiver = Receiver(**options)
        self.addCleanup(receiver.close)
        return receiver

    def sender(self, *flags: str, **urls: str) -> Program:
        endpoints = [{"name": name, "url": url, "secret_file": str(self.scratch / "secret"),
                      "types": TYPES, "from_beginning": True} for name, url in urls.items()]
        (self.scratch / "endpoints.json").write_text(json.dumps({"endpoints": endpoints}))
        sender = Program("agentdesk-webhooks", f"--core={self.core.address}",
                         f"--endpoints={self.scratch / 'endpoints.json'}",
                         f"--state_dir={self.scratch / 'kept/state'}", "--first_backoff=10ms",
                         "--max_backoff=200ms", *(flags or ("--allow_local_endpoints",)))
        self.addCleanup(sender.kill)
        return sender.start()

    def live(self) -> None:
        lease = self.desk.start("A life")
        self.desk.say(lease, "not wanted by the endpoint")
        question = self.desk.ask(lease)
        self.desk.answer(lease.session_id, "this", question_id=question.question_id)
        self.desk.complete(lease)

    def wanted(self) -> list[int]:
        return [event.sequence for event in self.desk.log(types=[
            getattr(event_pb2, f"EVENT_TYPE_{name.upper()}") for name in TYPES])]

    def check(self, receiver: Receiver) -> None:
        """Each wanted event came, in the order of the log; what came again is known by its id."""
        wanted = self.wanted()
        wait_until(lambda: set(wanted) <= set(receiver.sequences), "every wanted event", 120)
        self.assertEqual(receiver.problems, [])
        first: list[int] = []
        by_id: dict[str, dict[str, Any]] = {}
        for name, event in list(receiver.taken):
            self.assertEqual(name.split(":")[1], str(event["sequence"]))
            self.assertEqual(by_id.setdefault(name, event), event, "a repeat is the same")
            if event["sequence"] not in first:
                first.append(event["sequence"])
        self.assertEqual(first, wanted)

    def test_none_is_lost_and_the_order_is_kept(self) -> None:
        receiver = self.receiver(refuse=0.3)
        sender = self.sender(chat=receiver.url)
        chance = random.Random(7)
        for _ in range(8 * SCALE):
            before = len(receiver.taken)
            for _ in range(chance.randrange(1, 4)):
                self.live()
            wait_until(lambda n=before: len(receiver.taken) > n, "a delivery")
            if chance.random() < 0.5:
                self.core.kill()
                self.core.start()
                self.desk.wait_connected()
            else:
                sender.kill()
                sender.start()
        receiver.refuse = 0
        self.check(receiver)
        print(f"{len(set(receiver.sequences))} events in {receiver.tries} tries, "
              f"{len(receiver.taken) - len(set(receiver.sequences))} of them came again")
        self.assertEqual(sender.stop(), 0)

    def test_a_dead_endpoint_delays_nobody(self) -> None:
        receiver = self.receiver()
        sender = self.sender(dead="http://127.0.0.1:9/", chat=receiver.url)
        for _ in range(5):
            self.live()
        self.check(receiver)
        wait_until(lambda: sender.logged("not delivered; will be tried again"), "a try that failed")
        # Stopping does not wait for it either.
        self.assertEqual(sender.stop(), 0)

    def test_endpoints_that_never_answer_do_not_add_up_at_the_end(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
            silent.settimeout(PATIENCE)
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            names = [f"silent-{number}" for number in range(50)]
            sender = self.sender("--allow_local_endpoints", "--timeout=5m", **dict.fromkeys(names, url))
            self.live()
            for _ in names:
                self.addCleanup(silent.accept()[0].close)
            began = time.monotonic()
            self.assertEqual(sender.stop(), 0)
            took = time.monotonic() - began
        print(f"stopped after {took:.1f} s")
        self.assertLess(took, 10)
        self.assertEqual([line["signal"] for line in sender.logged("draining")], ["Terminated"])
        self.assertEqual([line["exit_code"] for line in sender.logged("stopped")], [0])

    def test_it_begins_with_what_comes_unless_told_otherwise(self) -> None:
        self.live()
        receiver = self.receiver()
        sender = self.sender(chat=receiver.url)
        self.check(receiver)
        sender.stop()
        file = self.scratch / "endpoints.json"
        file.write_text(file.read_text().replace("true", "false"))
        (self.scratch / "kept/state/chat.cursor").unlink()
        before = len(receiver.taken)
        sender.start(wait=False)
        sender.wait_for_log("follows the log")
        created = self.desk.create("New")
        wait_until(lambda: len(receiver.taken) > before, "the new event")
        self.assertEqual(receiver.sequences[before:], [created.sequence])

    def test_local_addresses_are_refused(self) -> None:
        receiver = self.receiver()
        sender = self.sender("--log_level=info", chat=receiver.url)
        self.live()
        refused = wait_until(lambda: sender.logged("not delivered; will be tried again"), "a refusal")
        self.assertIn("--allow_local_endpoints", refused[0]["error"])
        self.assertEqual(receiver.tries, 0)

    def test_what_was_compacted_meanwhile_is_sent_too(self) -> None:
        receiver = self.receiver()
        sender = self.sender(chat=receiver.url)
        self.live()
        self.check(receiver)
        sender.stop()
        for _ in range(5):
            self.live()
        self.desk.call(self.desk.admin.Compact, admin_pb2.CompactRequest(keep_events=1))
        sender.start(wait=False)
        self.check(receiver)

    def test_a_restored_desk_is_followed_from_the_backup_on(self) -> None:
        receiver = self.receiver()
        sender = self.sender(chat=receiver.url)
        self.live()
        self.assertEqual(command_line("admin", "backup", self.scratch / "backup",
                                      core=self.core.address).returncode, 0)
        self.live()
        self.check(receiver)
        restored = self.scratch / "restored"
        self.assertEqual(command_line("admin", "restore", self.scratch / "backup", restored).returncode, 0)
        self.core.kill()
        self.core.flags = [flag.replace(str(self.scratch / "data"), str(restored))
                           for flag in self.core.flags]
        self.core.start()
        self.desk.wait_connected()
        before = len(receiver.taken)
        backed_up = self.desk.head().head_sequence
        self.live()
        again = [sequence for sequence in self.wanted() if sequence > backed_up]
        wait_until(lambda: receiver.sequences[before:] == again, "the events of the new desk")
        desk_id = self.desk.head().desk_id
        self.assertEqual({name.split(":")[0] for name, _ in receiver.taken[before:]}, {desk_id})
        self.assertEqual(sender.stop(), 0)

    def test_another_desk_is_not_guessed_at(self) -> None:
        receiver, other = self.receiver(), self.receiver()
        sender = self.sender(chat=receiver.url, other=other.url)
        self.live()
        self.check(receiver)
        sender.stop()
        (self.scratch / "kept/state/chat.cursor").write_text("00000000-0000-7000-8000-000000000001 3\n")
        before = receiver.tries
        sender.start(wait=False)
        told = sender.wait_for_log("the log cannot be followed")
        self.assertIn("remove the file", told["error"])
        self.live()
        self.check(other)
        self.assertEqual(receiver.tries, before)

    def test_a_core_that_wants_tokens_gets_the_one_that_is_in_the_file_by_then(self) -> None:
        issuer = Issuer()
        (self.scratch / "keys.json").write_text(issuer.key_set())
        config = auth_config(self.scratch, [{"issuer": ISSUER, "audiences": [AUDIENCE],
                                             "algorithms": ["HS256"], "keys_file": "keys.json"}],
                             gateways=[])
        self.core = Core(self.scratch / "closed", f"--auth_config={config}").start()
        self.addCleanup(self.core.end)
        desk = DeskClient(self.core.address)
        self.addCleanup(desk.close)
        created = As(desk, bearer(issuer.token("alice"))).tickets.CreateTicket(
            ticket_pb2.CreateTicketRequest(ticket_name="Sent on"))
        token = self.scratch / "webhooks.token"
        shown = [issuer.token("webhooks", scope=scope) for scope in ("tickets:read", "events:read")]
        token.write_text(shown[0])
        receiver = self.receiver()
        sender = self.sender("--allow_local_endpoints", f"--token_file={token}", "--log_level=debug",
                             chat=receiver.url)
        self.assertIn("events:read", sender.wait_for_log("the log cannot be followed")["error"])
        token.write_text(shown[1])
        wait_until(lambda: receiver.sequences == [created.sequence], "an event by the second token")
        self.assertEqual(sender.stop(), 0)
        self.assertEqual(part_in(sender.tail(len(sender.log)), shown), "")

    def test_wrong_configuration(self) -> None:
        (self.scratch / "endpoints.json").write_text('{"endpoints":[{"name":"A"}]}')
        program = Program("agentdesk-webhooks", f"--endpoints={self.scratch / 'endpoints.json'}",
                          "--check_config").start(wait=False)
        self.assertEqual(program.wait(), 1)
        self.assertIn("--endpoints", program.tail())
        self.assertIn("endpoints[0].name", program.tail())
        program = Program("agentdesk-webhooks", f"--token_file={self.scratch / 'none'}",
                          f"--endpoints={self.scratch / 'endpoints.json'}").start(wait=False)
        self.assertEqual(program.wait(), 1)
        self.assertIn("--token_file", program.tail())
        program = Program("agentdesk-webhooks", f"--state_dir={self.scratch / 'endpoints.json/state'}",
                          f"--endpoints={self.scratch / 'endpoints.json'}",
                          "--check_config").start(wait=False)
        self.assertEqual(program.wait(), 1)
        self.assertIn("--state_dir: cannot make files in", program.tail())


if __name__ == "__main__":
    unittest.main()
