"""Backup of a desk that is at work, restore elsewhere, and what everybody is told then (row 23)."""

import hashlib
import json
import pathlib
import tempfile
import threading
import unittest

import grpc
import oracle
import stored_desk
from agentdesk_test import Core, Gateway, command_line, wait_until
from desk_client import (DeskClient, Subscriber, admin_pb2, agent_pb2, event_pb2, refusal_of,
                         ticket_pb2)
from ws_client import Browser, FullBrowser


class Worker(threading.Thread):
    """Keeps the desk busy: whole lives of tickets, one after the other."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.done = 0
        self.problem = ""
        self._address = address
        self._stopping = threading.Event()

    def run(self) -> None:
        desk = DeskClient(self._address)
        try:
            while not self._stopping.is_set():
                self._live(desk)
                self.done += 1
        except grpc.RpcError as error:
            self.problem = f"{error.code()} {error.details()}"
        desk.close()

    def _live(self, desk: DeskClient) -> None:
        lease = desk.start("A life", description="x" * 2000)
        desk.say(lease, "I begin.", key="hello")
        question = desk.ask(lease, "Which?", key="which")
        desk.answer(lease.session_id, "this", question_id=question.question_id)
        desk.complete(lease, "Done.")

    def stop(self) -> None:
        self._stopping.set()
        self.join(60)


class BackupTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-test-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.core = self.start_core(Core(self.scratch / "data"))
        self.desk = self.client()

    def start_core(self, core: Core) -> Core:
        self.addCleanup(core.end)
        core.start()
        return core

    def client(self) -> DeskClient:
        desk = DeskClient(self.core.address)
        self.addCleanup(desk.close)
        return desk

    def run_tool(self, *arguments: object) -> dict:
        done = command_line(*arguments, "--json", core=self.core.address)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def replace_by(self, backup: pathlib.Path) -> dict:
        """The machine is lost: the backup is restored elsewhere and served in its place."""
        restored = self.run_tool("admin", "restore", backup, self.scratch / "restored")
        self.core.kill()
        core = Core(self.scratch / "restored")
        core.address = self.core.address
        core.flags = [f"--listen={core.address}" if flag.startswith("--listen") else flag
                      for flag in core.flags]
        self.core = self.start_core(core)
        self.desk.wait_connected()
        return restored

    def test_while_the_desk_is_busy(self) -> None:
        workers = [Worker(self.core.address) for _ in range(4)]
        for worker in workers:
            worker.start()
        wait_until(lambda: all(worker.done >= 5 for worker in workers), "lives of tickets")
        before = self.desk.head().head_sequence
        backups = [self.run_tool("admin", "backup", self.scratch / f"backup-{n}") for n in range(3)]
        after = self.desk.head().head_sequence
        lives = sum(worker.done for worker in workers)
        for worker in workers:
            worker.stop()
            self.assertEqual(worker.problem, "")
        log = [event.SerializeToString(deterministic=True) for event in self.desk.log()]
        self.assertGreater(after, before, "it went on working")
        for number, told in enumerate(backups):
            with self.subTest(backup=number):
                file = pathlib.Path(told["file"])
                content = file.read_bytes()
                self.assertEqual((len(content), hashlib.sha256(content).hexdigest()),
                                 (told["size"], told["sha256"]))
                self.assertEqual(file.stat().st_mode & 0o077, 0)
                # Whole as of one moment: the state is what the events up to there tell.
                report = self.run_tool("admin", "check", file)
                self.assertEqual((report["head_sequence"], report["desk_id"]),
                                 (told["sequence"], self.desk.head().desk_id))
                self.assertTrue(before <= told["sequence"] <= after)
        self.replace_by(pathlib.Path(backups[-1]["file"]))
        restored = [event.SerializeToString(deterministic=True) for event in self.desk.log()]
        self.assertEqual(restored, log[:backups[-1]["sequence"]])
        print(f"3 backups of {backups[-1]['size'] >> 10} KiB while {lives} lives of tickets passed, "
              f"the last as of event {backups[-1]['sequence']} of {len(log)}")

    def test_the_state_is_equal(self) -> None:
        stored_desk.live(self.desk)
        before = stored_desk.state_of(self.desk)
        backup = self.scratch / "backup"
        self.run_tool("admin", "backup", backup)
        self.replace_by(backup)
        self.assertEqual(stored_desk.state_of(self.desk), before)
        created = self.desk.create("It goes on")
        self.assertEqual(created.sequence, len(before["log"]) + 1)

    def test_everybody_is_told(self) -> None:
        gateway = Gateway(self.core.address)
        self.addCleanup(gateway.end)
        gateway.start()
        for number in range(10):
            self.desk.create(f"Before {number}")
        backup = self.scratch / "backup"
        told = self.run_tool("admin", "backup", backup)
        lost = self.desk.create("Committed after the backup")
        old = self.desk.head()
        full = FullBrowser(gateway.address, f"after=0&desk={old.desk_id}")
        plain = Browser(gateway.address)
        self.addCleanup(full.close)
        full.wait_sequence(lost.sequence)
        plain.ask({"type": "ping"})
        follower = Subscriber(self.core.address, old.desk_id, after=lost.sequence)
        follower.start()

        restored = self.replace_by(backup)
        new = self.desk.head()
        self.assertNotEqual(new.desk_id, old.desk_id)
        self.assertEqual((new.desk_id, new.restored_from, new.restored_sequence),
                         (restored["desk_id"], old.desk_id, told["sequence"]))
        self.assertEqual(new.head_sequence, told["sequence"])

        gap = full.wait_type("gap")
        self.assertEqual((gap["reason"], gap["desk"]), ("other_desk", new.desk_id))
        start = len(full.texts)
        snapshot = full.wait_type("snapshot", more=False)
        self.assertEqual(snapshot["up_to"], told["sequence"])
        self.assertEqual(plain.wait_closed(), 1012)
        created = self.desk.create("On the new desk")
        full.wait_type("ticket_created", start=start, sequence=created.sequence)

        wait_until(lambda: follower.refusals, "a subscriber that is told")
        follower.stop()
        refusal = follower.refusals[0]
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.OUT_OF_RANGE, "other_desk"))
        self.assertIn(new.desk_id, refusal.text)
        for after in (1, told["sequence"], lost.sequence):
            refusal = self.desk.refused(
                lambda r, **kw: list(self.desk.events.Subscribe(r, **kw)),
                event_pb2.SubscribeRequest(after_sequence=after, desk_id=old.desk_id))
            self.assertEqual(refusal.reason, "other_desk")

    def test_a_lease_of_the_lost_desk_is_worth_nothing(self) -> None:
        """A restored log gives out the same sequences a second time; leases are told apart (P7)."""
        self.desk.create("Work", queue="q")
        backup = self.scratch / "backup"
        self.run_tool("admin", "backup", backup)
        before = self.desk.claim("q", worker="of the lost desk")
        self.replace_by(backup)
        after = self.desk.claim("q", worker="of the new desk")
        self.assertEqual((after.job_id, after.claim.sequence), (before.job_id, before.claim.sequence))
        self.assertGreater(after.token, before.token)
        refusal = self.desk.refused(self.desk.agents.CompleteJob, agent_pb2.CompleteJobRequest(
            summary="I was first", **before.args))
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.FAILED_PRECONDITION, "lease_lost"))
        self.desk.say(after, "I hold it.")
        self.desk.answer(after.session_id, "A message.", as_of_sequence=after.claim.sequence)
        heard = self.desk.agents.ReceiveInput(agent_pb2.ReceiveInputRequest(**after.args), timeout=60)
        said = next(one.message.content for one in heard if one.HasField("message"))
        heard.cancel()
        self.assertEqual(said, "A message.")
        self.desk.complete(after)
        self.core.end()
        self.run_tool("admin", "check", self.scratch / "restored")

    def test_restoring_twice_makes_two_desks(self) -> None:
        self.desk.create()
        backup = self.scratch / "backup"
        self.run_tool("admin", "backup", backup)
        desks = {self.run_tool("admin", "restore", backup, self.scratch / name)["desk_id"]
                 for name in ("one", "two")}
        self.assertEqual(len(desks), 2)
        again = command_line("admin", "restore", backup, self.scratch / "one")
        self.assertEqual(again.returncode, 1)
        self.assertIn("has a desk already", again.stderr)

    def test_what_a_killed_core_left_is_not_mixed_with_a_backup(self) -> None:
        """Its last commits are in a log beside its file, and belong to that file alone."""
        self.desk.create("In the backup")
        backup = self.scratch / "backup"
        told = self.run_tool("admin", "backup", backup)
        head = self.desk.create("Only in the log").sequence
        self.core.kill()
        data, elsewhere = self.scratch / "data", self.scratch / "elsewhere"
        file = data / "desk.sqlite3"
        for command in (("check", file), ("restore", file, elsewhere)):
            refused = command_line("admin", *command)
            self.assertEqual(refused.returncode, 1, refused.stdout)
            self.assertIn("desk.sqlite3-wal", refused.stderr)

        away = self.scratch / "away"
        away.mkdir()
        file.rename(away / file.name)
        refused = command_line("admin", "restore", backup, data)
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertIn("desk.sqlite3-wal, desk.sqlite3-shm; restore into another", refused.stderr)
        for rest in data.glob("desk.sqlite3-*"):
            rest.rename(away / rest.name)
        restored = self.run_tool("admin", "restore", backup, data)
        self.assertEqual(restored["head_sequence"], told["sequence"])

        # What was moved is a desk still, and once it is whole its file is as good as a backup.
        self.assertEqual(self.run_tool("admin", "check", away)["head_sequence"], head)
        copy = self.run_tool("admin", "restore", away / file.name, elsewhere)
        self.assertEqual(copy["head_sequence"], head)

    def test_a_bad_backup_makes_no_desk(self) -> None:
        stored_desk.live(self.desk)
        backup = self.scratch / "backup"
        self.run_tool("admin", "backup", backup)
        content = backup.read_bytes()
        for name, bad in {"changed": content.replace(b"I begin.", b"I ended."),
                          "cut": content[:len(content) // 2], "empty": b"",
                          "another file": b"not a backup" * 1000}.items():
            with self.subTest(name):
                backup.write_bytes(bad)
                place = self.scratch / f"from {name}"
                restored = command_line("admin", "restore", backup, place)
                self.assertEqual(restored.returncode, 1, restored.stdout)
                left = {file.name for file in place.iterdir()} if place.exists() else set()
                self.assertLessEqual(left, {"desk.lock"})

    def test_one_at_a_time_and_none_is_left_behind(self) -> None:
        for number in range(300):
            self.desk.create(f"Large {number}", description=f"{number}" + "x" * 30000)
        # More than the buffers of the connection hold, so that it stays under way unread.
        stuck = self.desk.admin.Backup(admin_pb2.BackupRequest())
        next(stuck)
        other = self.client()
        refusal = other.refused(lambda r, **kw: list(other.admin.Backup(r, **kw)),
                                admin_pb2.BackupRequest())
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.RESOURCE_EXHAUSTED, "backup_under_way"))
        created = self.desk.create("Nobody waits for it")
        stuck.cancel()

        def answered() -> bool:
            try:
                return bool(list(other.admin.Backup(admin_pb2.BackupRequest(), timeout=60)))
            except grpc.RpcError as error:
                self.assertEqual(refusal_of(error).reason, "backup_under_way")
                return False
        wait_until(answered, "a backup after the one that was given up")
        self.assertFalse((self.scratch / "data/backup.partial").exists())
        self.assertEqual(self.desk.ticket(created.ticket_id).status, ticket_pb2.JOB_STATUS_QUEUED)

    def test_a_core_that_is_killed_meanwhile(self) -> None:
        for number in range(300):
            self.desk.create(f"Large {number}", description=f"{number}" + "x" * 30000)
        backup = self.desk.admin.Backup(admin_pb2.BackupRequest())
        next(backup)
        self.core.kill()
        self.assertRaises(grpc.RpcError, lambda: list(backup))
        file = self.scratch / "backup"
        failed = command_line("admin", "backup", file, core=self.core.address)
        self.assertEqual(failed.returncode, 1)
        self.assertEqual([name for name in self.scratch.iterdir() if "backup" in name.name], [])
        self.core.start()
        self.desk.wait_connected()
        self.assertFalse((self.scratch / "data/backup.partial").exists())
        oracle.check_log(self.desk.log())
        self.run_tool("admin", "backup", file)
        existing = command_line("admin", "backup", file, core=self.core.address)
        self.assertEqual(existing.returncode, 1)
        self.assertIn("exists", existing.stderr)


if __name__ == "__main__":
    unittest.main()
