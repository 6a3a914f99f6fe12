"""`agentdesk audit`: who did what, from where, and that nobody has changed it since."""

import base64
import contextlib
import hashlib
import http.client
import json
import pathlib
import shutil
import sqlite3
import tempfile
import unittest
from collections.abc import Iterator
from typing import Any

import stored_desk
from agentdesk_test import Gateway, System, address_of, command_line
from desk_client import DeskClient, event_pb2, ticket_pb2
from tokens import AUDIENCE, ISSUER, Issuer, As, auth_config, b64, bearer
from ws_client import Browser

CONTENT_FROM = 20  # the number of the first field of an event that is content


def http_from(source: str, address: str, path: str, body: Any, token: str = "") -> int:
    """A POST whose connection comes from that address of this machine."""
    connection = http.client.HTTPConnection(*address_of(address), timeout=60,
                                            source_address=(source, 0))
    with contextlib.closing(connection):
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection.request("POST", path, json.dumps(body), headers)
        return connection.getresponse().status


def act_on_a_socket(source: str, desk: DeskClient, gateway: str) -> None:
    """Everything that a browser can do over one that comes from that address."""
    lease = desk.start("Is asked")
    question = desk.ask(lease)
    browser = Browser(gateway, protocol="agentdesk.v1", source=source)
    made = browser.ask({"type": "create_ticket", "ticket_name": "By socket"})
    acks = [made, *map(browser.ask, [
        {"type": "user_response", "session_id": lease.session_id, "response": "this",
         "question_id": question.question_id},
        {"type": "send_message", "session_id": lease.session_id, "content": "c"},
        {"type": "cancel_ticket", "ticket_id": made["ticket_id"]},
        {"type": "retry_ticket", "ticket_id": made["ticket_id"]}])]
    browser.close()
    assert all(ack["type"] == "ack" for ack in acks), acks


def header_of(event: event_pb2.Event) -> bytes:
    """Its fields but the content; protobuf writes them in the order of their numbers."""
    bare = event_pb2.Event()
    bare.CopyFrom(event)
    bare.ClearField(event.WhichOneof("payload"))
    return bare.SerializeToString(deterministic=True)


def chain_over(entries: list[dict[str, Any]]) -> list[str]:
    """The hashes that lead over these entries, by docs/SECURITY.md and by no code of ours."""
    chain, hashes = bytes(32), []
    for entry in entries:
        number = event_pb2.EventType.Value(f"EVENT_TYPE_{entry['type'].upper()}")
        chain = hashlib.sha256(chain + base64.b64decode(entry["header"]) + number.to_bytes(4, "big") +
                               bytes.fromhex(entry["content_hash"])).digest()
        hashes.append(chain.hex())
    return hashes


class AuditTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-audit-")
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = pathlib.Path(scratch.name)
        system = System(core_flags=["--expiry_hold=0s"])
        desk = DeskClient(system.core.address)
        stored_desk.live(desk)
        act_on_a_socket("127.0.0.7", desk, system.gateway.address)
        assert http_from("127.0.0.7", system.gateway.address, "/tickets/create",
                         {"ticket_name": "From a browser"}) == 200
        cls.head = desk.head().head_sequence
        cls.backup = cls.scratch / "backup"
        assert command_line("admin", "backup", cls.backup, core=system.core.address).returncode == 0
        desk.close()
        system.gateway.stop()
        system.core.stop()
        cls.sound = cls.scratch / "sound"
        shutil.copytree(system.core.data_dir, cls.sound)
        system.close()

    @contextlib.contextmanager
    def changed(self) -> Iterator[tuple[pathlib.Path, sqlite3.Connection]]:
        """A copy of the desk, and its file to be changed."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as name:
            place = pathlib.Path(name) / "desk"
            shutil.copytree(self.sound, place)
            with contextlib.closing(sqlite3.connect(place / "desk.sqlite3", isolation_level=None)) as file:
                yield place, file

    def verified(self, place: pathlib.Path, *flags: str) -> dict[str, Any]:
        done = command_line("audit", "verify", place, "--json", *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def exported(self, place: pathlib.Path, *flags: str) -> list[dict[str, Any]]:
        done = command_line("audit", "export", place, *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_a_sound_log_and_its_backup(self) -> None:
        report = self.verified(self.sound)
        self.assertEqual((report["head_sequence"], report["erased"]), (self.head, 0))
        self.assertEqual(self.verified(self.backup), report)
        said = command_line("audit", "verify", self.sound)
        anchor = f"{self.head}:{report['hash']}"
        self.assertTrue(said.stdout.endswith(anchor + "\n"), said.stdout)
        self.verified(self.sound, f"--expect={anchor}")

    def test_the_export_proves_itself(self) -> None:
        entries = self.exported(self.sound)
        self.assertEqual([entry["sequence"] for entry in entries], list(range(1, self.head + 1)))
        self.assertEqual([entry["hash"] for entry in entries], chain_over(entries))
        self.assertEqual(entries[-1]["hash"], self.verified(self.sound)["hash"])
        for entry in entries:
            event = event_pb2.Event.FromString(base64.b64decode(entry["header"]))
            self.assertEqual((event.sequence, event.actor.id, event.client_address),
                             (entry["sequence"], entry["actor"], entry["client_address"]))
        self.assertEqual(self.exported(self.sound, f"--after={self.head - 2}"), entries[-2:])
        self.assertNotIn("hunter2", json.dumps(entries))

    def test_who_did_what_from_where(self) -> None:
        entries = self.exported(self.sound)
        for kind in ("ticket_created", "ticket_cancelled", "question_answered"):
            entry = next(entry for entry in entries if entry["type"] == kind)
            self.assertEqual((entry["actor"], entry["via"], entry["client_address"],
                              entry["gateway_address"]), ("anonymous", "grpc", "127.0.0.1", ""))
        browser = entries[-1]
        self.assertEqual((browser["type"], browser["via"], browser["client_address"],
                          browser["gateway_address"]),
                         ("ticket_created", "http", "127.0.0.7", "127.0.0.1"))
        by_socket = [entry for entry in entries if entry["via"] == "websocket"]
        self.assertEqual([entry["type"] for entry in by_socket],
                         ["ticket_created", "question_answered", "user_message", "ticket_cancelled",
                          "agent_complete", "ticket_updated"])
        for entry in by_socket:
            self.assertEqual((entry["client_address"], entry["gateway_address"]),
                             ("127.0.0.7", "127.0.0.1"), entry["type"])
        expired = next(entry for entry in entries if entry["type"] == "question_expired")
        self.assertEqual((expired["actor"], expired["client_address"]), ("agentdesk", ""))

    def test_erased_content_leaves_the_chain_whole(self) -> None:
        before = self.exported(self.sound)
        with self.changed() as (place, file):
            erased = 0
            for sequence, stored in file.execute("SELECT sequence, event FROM events").fetchall():
                event = event_pb2.SubscribeResponse.FromString(stored).events[0]
                content = event.WhichOneof("payload")
                getattr(event, content).Clear()
                getattr(event, content).SetInParent()
                bare = event_pb2.SubscribeResponse(events=[event]).SerializeToString()
                if bare == stored:  # it had none
                    continue
                erased += file.execute("UPDATE events SET event = ?, erased_by = ? WHERE sequence = ?",
                                       (bare, self.head, sequence)).rowcount
            self.assertGreater(erased, 10)
            report = self.verified(place)
            self.assertEqual((report["erased"], report["hash"]), (erased, before[-1]["hash"]))
            after = self.exported(place)
            self.assertEqual(sum(entry.pop("erased_by", 0) == self.head for entry in after), erased)
            self.assertEqual(after, before)

    def test_the_first_entry_that_is_wrong_is_named(self) -> None:
        actor = "SET event = CAST(replace(event, 'anonymous', 'anonymoux') AS BLOB)"
        changes = {
            "who did it": (f"UPDATE events {actor}, actor = 'anonymoux' WHERE sequence = 4", 4),
            "from where": ("UPDATE events SET event = CAST(replace(event, '127.0.0.1', '127.0.0.9')"
                           " AS BLOB) WHERE sequence >= 6", 6),
            "content": ("UPDATE events SET event = CAST(replace(event, 'I begin.', 'I ended.') AS BLOB)",
                        None),
            "a hash": ("UPDATE events SET chain = zeroblob(32) WHERE sequence = 9", 9),
            "a hash of content": ("UPDATE events SET content_hash = zeroblob(32) WHERE sequence = 2", 2),
            "the hash of erased content": (
                "UPDATE events SET content_hash = zeroblob(32), erased_by = 9 WHERE sequence = 2", 2),
            "a type": ("UPDATE events SET type = 7 WHERE sequence = 1", 1),
            "a column beside it": ("UPDATE events SET actor = 'x' WHERE sequence = 5", 5),
            "one is gone": ("DELETE FROM events WHERE sequence = 7", 7),
            "the first is gone": ("DELETE FROM events WHERE sequence = 1", 1),
            "two have changed places": (
                "UPDATE events SET sequence = CASE sequence WHEN 3 THEN -4 ELSE -3 END"
                " WHERE sequence IN (3, 4); UPDATE events SET sequence = -sequence WHERE sequence < 0", 3),
        }
        for name, (change, sequence) in changes.items():
            with self.subTest(name), self.changed() as (place, file):
                if sequence is None:
                    sequence = file.execute("SELECT min(sequence) FROM events"
                                            " WHERE instr(event, CAST('I begin.' AS BLOB))").fetchone()[0]
                file.executescript(change)
                done = command_line("audit", "verify", place)
                self.assertEqual((done.returncode, done.stdout), (1, ""), done)
                self.assertIn(f"event {sequence} ", done.stderr)
                done = command_line("audit", "export", place)
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"event {sequence} ", done.stderr)
                self.assertEqual(done.stdout.count("\n"), sequence - 1)

    def test_a_log_rewritten_with_its_hashes_does_not_lead_to_what_was_noted(self) -> None:
        entries = self.exported(self.sound)
        anchor = f"--expect={self.head}:{entries[-1]['hash']}"
        with self.changed() as (place, file):
            chain = bytes(32)
            for sequence, stored, number, content in file.execute(
                    "SELECT sequence, event, type, content_hash FROM events ORDER BY sequence").fetchall():
                stored = stored.replace(b"127.0.0.1", b"127.0.0.9")
                event = event_pb2.SubscribeResponse.FromString(stored).events[0]
                chain = hashlib.sha256(chain + header_of(event) + number.to_bytes(4, "big") +
                                       content).digest()
                file.execute("UPDATE events SET event = ?, chain = ? WHERE sequence = ?",
                             (stored, chain, sequence))
            self.assertNotEqual(self.verified(place)["hash"], entries[-1]["hash"])
            done = command_line("audit", "verify", place, anchor)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(f"event {self.head} has another chain value", done.stderr)
        with self.changed() as (place, file):
            file.execute("DELETE FROM events WHERE sequence = ?", (self.head,))
            self.verified(place)
            done = command_line("audit", "verify", place, anchor)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(f"event {self.head} is missing", done.stderr)

    def test_wrong_use(self) -> None:
        for flag in ("--expect=1", "--expect=0:" + "0" * 64, "--expect=1:xyz", "--expect=:"):
            done = command_line("audit", "verify", self.sound, flag)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn("--expect", done.stderr)
        self.assertEqual(command_line("audit", "export", self.sound, "--after=x").returncode, 2)
        nothing = command_line("audit", "verify", self.scratch / "nothing")
        self.assertEqual(nothing.returncode, 1)
        self.assertIn("there is no desk", nothing.stderr)


class OriginTest(unittest.TestCase):
    """With authentication on, only a gateway says from where it was asked."""

    def test_only_a_gateway_is_believed(self) -> None:
        with tempfile.TemporaryDirectory(prefix="agentdesk-audit-") as name:
            folder = pathlib.Path(name)
            issuer = Issuer()
            (folder / "keys.json").write_text(issuer.key_set())
            (folder / "gateway.token").write_text(issuer.token("gateway-1"))
            config = auth_config(
                folder, [{"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["HS256"],
                          "keys_file": "keys.json"}], gateways=["gateway-1"])
            system = System([f"--auth_config={config}"], gateway=False)
            self.addCleanup(system.close)
            gateway = system.add(Gateway(system.core.address, f"--auth_config={config}",
                                         f"--core_token_file={folder / 'gateway.token'}")).start()
            desk = DeskClient(system.core.address)
            self.addCleanup(desk.close)
            claimed = [("agentdesk-client", "203.0.113.9")]
            user = [("agentdesk-user", b64(json.dumps({"sub": "zoe", "scopes": ["tickets:write"]})))]
            for metadata in (bearer(issuer.token("alice")) + claimed,
                             bearer(issuer.token("gateway-1")) + claimed,
                             bearer(issuer.token("gateway-1")) + user + claimed):
                As(desk, metadata).tickets.CreateTicket(
                    ticket_pb2.CreateTicketRequest(ticket_name="Whence"))
            self.assertEqual(http_from("127.0.0.7", gateway.address, "/tickets/create",
                                       {"ticket_name": "Whence"}, issuer.token("bob")), 200)
            socket = Browser(gateway.address, protocol="agentdesk.v1", source="127.0.0.7",
                             headers={"Authorization": f"Bearer {issuer.token('eve')}",
                                      "Agentdesk-Client": "203.0.113.9"})
            self.assertEqual(socket.ask({"type": "create_ticket", "ticket_name": "Whence"})["type"], "ack")
            socket.close()
            log = As(desk, bearer(issuer.token())).events.ListEvents(event_pb2.ListEventsRequest())
            self.assertEqual(
                [(event.actor.id, event.client_address, event.gateway_address) for event in log.events],
                [("alice", "127.0.0.1", ""), ("gateway-1", "127.0.0.1", ""),
                 ("zoe", "203.0.113.9", "127.0.0.1"), ("bob", "127.0.0.7", "127.0.0.1"),
                 ("eve", "127.0.0.7", "127.0.0.1")])


if __name__ == "__main__":
    unittest.main()
