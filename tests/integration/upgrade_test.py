"""A desk that an earlier version left on disk is opened, shows what it showed, and works on (row 26)."""

import pathlib
import tempfile
import unittest

import stored_desk
from agentdesk_test import Core, command_line
from desk_client import DeskClient, session_pb2, ticket_pb2


class UpgradeTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-test-")
        self.addCleanup(scratch.cleanup)
        self.data_dir = pathlib.Path(scratch.name) / "data"

    def start(self) -> DeskClient:
        core = Core(self.data_dir)
        self.addCleanup(core.end)
        core.start()
        self.core = core
        desk = DeskClient(core.address)
        self.addCleanup(desk.close)
        return desk

    def test_each_stored_desk(self) -> None:
        names = sorted(file.stem for file in stored_desk.FIXTURES.glob("*.json"))
        self.assertIn("schema-1", names)
        for name in names:
            with self.subTest(name):
                self.data_dir = self.data_dir.with_name(name)
                self.check(name)

    def check(self, name: str) -> None:
        expected = stored_desk.unpack(name, self.data_dir)
        desk = self.start()
        found = stored_desk.state_of(desk)
        for part, shown in expected.items():
            self.assertEqual(found[part], shown, part)
        self.work_on(desk)
        self.core.end()
        checked = command_line("admin", "check", self.data_dir)
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def work_on(self, desk: DeskClient) -> None:
        # A remembered request stays remembered; a parked job wakes; a key stays taken.
        again = desk.create("Stays queued", queue="nobody", request_id="remembered", priority=9)
        self.assertTrue(again.replayed)
        asked = desk.call(desk.sessions.ListQuestions, session_pb2.ListQuestionsRequest(
            state=session_pb2.QUESTION_STATE_OPEN)).questions
        go_on = next(question for question in asked if question.key == "go")
        answer = desk.answer(go_on.session_id, "yes", question_id=go_on.question_id)
        self.assertEqual(answer.outcome, session_pb2.RESPONSE_OUTCOME_RECEIVED)
        lease = desk.claim("parked")
        self.assertEqual(lease.session_id, go_on.session_id)
        desk.complete(lease)
        self.assertEqual(desk.ticket(lease.ticket_id).status, ticket_pb2.JOB_STATUS_COMPLETED)

    def test_an_older_desk_is_not_checked_before_it_is_brought_forward(self) -> None:
        stored_desk.unpack("schema-1", self.data_dir)
        before = (self.data_dir / "desk.sqlite3").read_bytes()
        checked = command_line("admin", "check", self.data_dir)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("older version", checked.stderr)
        self.assertEqual((self.data_dir / "desk.sqlite3").read_bytes(), before)

    def test_an_older_backup_is_restored(self) -> None:
        old = self.data_dir.with_name("old")
        expected = stored_desk.unpack("schema-1", old)
        restored = command_line("admin", "restore", old / "desk.sqlite3", self.data_dir)
        self.assertEqual(restored.returncode, 0, restored.stderr)
        desk = self.start()
        self.assertEqual(stored_desk.state_of(desk)["log"], expected["log"])


if __name__ == "__main__":
    unittest.main()
