"""`agentdesk admin check` finds what was changed behind the desk's back, and says where."""

import json
import pathlib
import shutil
import sqlite3
import tempfile
import unittest

import stored_desk
from agentdesk_test import System, command_line
from desk_client import DeskClient, admin_pb2

Change = tuple[str, str]

# What is planted, and what the check must say. Each is one change of an otherwise sound desk.
BY_SQL: dict[str, Change] = {
    "an event is gone": ("DELETE FROM events WHERE sequence = 5", "event 5 is missing"),
    "the first event is gone": ("DELETE FROM events WHERE sequence = 1", "event 1 is missing"),
    "the end of the log is cut off": (
        "DELETE FROM events WHERE sequence = (SELECT max(sequence) FROM events)", "its events do not tell"),
    "what an agent said is changed": (
        "UPDATE events SET event = CAST(replace(event, 'I begin.', 'I ended.') AS BLOB)",
        "does not have the content"),
    "who did it is changed": (
        "UPDATE events SET event = CAST(replace(event, 'anonymous', 'anonymoux') AS BLOB),"
        " actor = 'anonymoux' WHERE sequence = 4", "event 4 does not follow"),
    "an event's type is changed": ("UPDATE events SET type = 7 WHERE type = 5", "has another type"),
    "a chain value is changed": (
        "UPDATE events SET chain = zeroblob(32) WHERE sequence = 9", "event 9 does not follow"),
    "an event belongs to another ticket": (
        "UPDATE events SET ticket_key = 1 + ticket_key % 2 WHERE sequence = 3", "event 3 has a row"),
    "an event's time is changed": (
        "UPDATE events SET time_us = time_us + 1 WHERE sequence = 6", "event 6 has another time"),
    "a ticket's name is changed": (
        "UPDATE tickets SET record = CAST(replace(record, 'Stays queued', 'Stays quiet.') AS BLOB)",
        "ticket.ticket_name"),
    "a ticket's status is changed": (
        "UPDATE tickets SET status = 5 WHERE status = 1", "another record than its row"),
    "a ticket that has ended is gone": ("DELETE FROM tickets WHERE status = 5", "or to none"),
    "a ticket that has not ended is gone": ("DELETE FROM tickets WHERE ticket_key = 2", "checkpoint"),
    "a job is gone": ("DELETE FROM jobs WHERE job_key = 2", "is missing"),
    "a job is given to another worker": (
        "UPDATE jobs SET record = CAST(replace(record, 'test-worker', 'best-worker') AS BLOB)",
        "job.worker"),
    "a job can be claimed twice": (
        "UPDATE jobs SET claimable = 1, status = 1 WHERE lease_token > 0", "another record than its row"),
    "an answer is changed": (
        "UPDATE questions SET record = CAST(replace(record, 'blue', 'pink') AS BLOB)",
        "question.response"),
    "a question is gone": ("DELETE FROM questions WHERE asker_key = 'password'", "is missing"),
    "a question has another key": (
        "UPDATE questions SET asker_key = 'passw0rd' WHERE asker_key = 'password'",
        "another record than its row"),
    "a key of an activity is forgotten": (
        "DELETE FROM activity_keys WHERE agent_key = 'hello'", "has a key that is not remembered"),
    "a key of an activity is invented": (
        "INSERT INTO activity_keys (ticket_key, agent_key) VALUES (1, 'invented')",
        "keys of activities"),
    "a remembered request has another id": (
        "UPDATE requests SET request_id = 'another'", "cannot be found by its id"),
    "an index is dropped": ("DROP INDEX questions_by_deadline", "questions_by_deadline"),
    "more is served than there is": ("UPDATE meta SET oldest = 1000000", "oldest position"),
    "the desk has lost its id": ("DELETE FROM meta", "restore a backup"),
    "the checkpoint is changed": (
        "UPDATE checkpoint_tickets SET state = CAST(replace(state, 'Stays', 'Stood') AS BLOB)",
        "the checkpoint does not have the states"),
    "the checkpoint has another chain value": (
        "UPDATE checkpoint SET chain = zeroblob(32)", "checkpoint"),
}


class CheckTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-test-")
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = pathlib.Path(scratch.name)
        system = System(core_flags=["--expiry_hold=0s"], gateway=False)
        desk = DeskClient(system.core.address)
        stored_desk.live(desk)
        desk.call(desk.admin.Compact, admin_pb2.CompactRequest(keep_events=5))
        lease = desk.start("After the checkpoint")
        question = desk.ask(lease, "Which colour?", key="after")
        desk.answer(lease.session_id, "blue", question_id=question.question_id)
        desk.complete(lease)
        cls.head = desk.head().head_sequence
        desk.close()
        system.core.stop()
        cls.sound = cls.scratch / "sound"
        shutil.copytree(system.core.data_dir, cls.sound)
        system.close()

    def copy(self, name: str) -> pathlib.Path:
        place = self.scratch / name.replace(" ", "-")
        shutil.copytree(self.sound, place)
        self.addCleanup(shutil.rmtree, place)
        return place

    def assert_found(self, place: pathlib.Path, words: str) -> None:
        checked = command_line("admin", "check", place)
        self.assertEqual(checked.returncode, 1, checked.stdout)
        self.assertIn(words, checked.stderr)
        for content in ("hunter2", "I begin.", "9007199254740993"):
            self.assertNotIn(content, checked.stderr)

    def test_a_sound_desk(self) -> None:
        checked = command_line("admin", "check", self.sound, "--json")
        self.assertEqual(checked.returncode, 0, checked.stderr)
        report = json.loads(checked.stdout)
        self.assertEqual((report["checked_from"], report["head_sequence"]), (1, self.head))
        self.assertEqual(report["tickets"], 8)
        again = command_line("admin", "check", self.sound, "--since_checkpoint", "--json")
        self.assertEqual(again.returncode, 0, again.stderr)
        later = json.loads(again.stdout)
        self.assertEqual(later["checked_from"], report["checkpoint_sequence"] + 1)
        # Those that had not ended, and the new one.
        self.assertLess(later["tickets"], report["tickets"])
        self.assertGreater(later["tickets"], 1)

    def test_each_change_is_found(self) -> None:
        self.assertGreaterEqual(len(BY_SQL), 10)
        for name, (change, words) in BY_SQL.items():
            with self.subTest(name):
                place = self.copy(name)
                file = sqlite3.connect(place / "desk.sqlite3")
                changed = file.execute(change).rowcount
                file.commit()
                file.close()
                self.assertNotEqual(changed, 0, "the change must change something")
                self.assert_found(place, words)

    def test_what_came_after_the_checkpoint_is_found_from_there(self) -> None:
        for name in ("an answer is changed", "the end of the log is cut off", "the checkpoint is changed"):
            with self.subTest(name):
                place = self.copy("since " + name)
                file = sqlite3.connect(place / "desk.sqlite3")
                file.execute(BY_SQL[name][0])
                file.commit()
                file.close()
                checked = command_line("admin", "check", place, "--since_checkpoint")
                self.assertEqual(checked.returncode, 1, checked.stdout)
                self.assertIn(BY_SQL[name][1], checked.stderr)

    def test_a_damaged_file_is_found(self) -> None:
        place = self.copy("cut")
        file = place / "desk.sqlite3"
        file.write_bytes(file.read_bytes()[:-4096])
        self.assert_found(place, "damaged")

        place = self.copy("overwritten")
        file = place / "desk.sqlite3"
        content = file.read_bytes()
        at = content.index(b"I begin.")
        page = at // 4096 * 4096
        file.write_bytes(content[:page] + bytes(64) + content[page + 64:])
        self.assert_found(place, "damaged")

        place = self.copy("one bit")
        file = place / "desk.sqlite3"
        bit = bytearray(content)
        bit[at] ^= 1
        file.write_bytes(bit)
        self.assert_found(place, "does not have the content")

    def test_what_is_no_desk(self) -> None:
        empty = self.scratch / "empty"
        empty.mkdir()
        checked = command_line("admin", "check", empty)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("there is no desk", checked.stderr)
        note = self.scratch / "note"
        note.write_text("not a desk" * 1000, encoding="utf-8")
        self.assertEqual(command_line("admin", "check", note).returncode, 1)

    def test_a_desk_in_use_is_left_alone(self) -> None:
        system = System(gateway=False)
        self.addCleanup(system.close)
        checked = command_line("admin", "check", system.core.data_dir)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("another process holds", checked.stderr)


if __name__ == "__main__":
    unittest.main()
