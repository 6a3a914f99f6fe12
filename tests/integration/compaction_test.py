"""`agentdesk admin compact` and `admin export`: what is served of the log, and all that is kept."""

import json
import unittest

import grpc
import oracle
from agentdesk_test import DeskTestCase, command_line, wait_until
from desk_client import Subscriber, admin_pb2, event_pb2, seconds
from ws_client import FullBrowser


class CompactionTest(DeskTestCase):
    def setUp(self) -> None:
        for number in range(100):
            self.desk.create(f"Old {number}")

    def compact(self, **keep) -> admin_pb2.CompactResponse:
        return self.desk.call(self.desk.admin.Compact, admin_pb2.CompactRequest(**keep))

    def assert_served_from(self, oldest: int) -> None:
        desk = self.desk.head()
        self.assertEqual(desk.oldest_sequence, oldest)
        if oldest > 1:
            refusal = self.desk.refused(
                lambda r, **kw: list(self.desk.events.Subscribe(r, **kw)),
                event_pb2.SubscribeRequest(after_sequence=oldest - 2, desk_id=desk.desk_id))
            self.assertEqual((refusal.code, refusal.reason),
                             (grpc.StatusCode.OUT_OF_RANGE, "compacted"))
            self.assertEqual(int(refusal.metadata["available_from"]), oldest)
        follower = Subscriber(self.core.address, desk.desk_id, after=oldest - 1)
        follower.start()
        wait_until(lambda: follower.up_to >= desk.head_sequence, "all that is served")
        follower.stop()
        oracle.check_complete(follower.seen, oldest - 1, desk.head_sequence)

    def test_by_count(self) -> None:
        head = self.desk.head().head_sequence
        done = self.compact(keep_events=30)
        self.assertEqual((done.head_sequence, done.oldest_sequence), (head, head - 29))
        self.assert_served_from(head - 29)
        # Never back, and keeping more than there is moves nothing.
        self.assertEqual(self.compact(keep_events=10**15).oldest_sequence, head - 29)
        self.assertEqual(self.compact(keep_events=40).compacted, 0)
        # It lasts.
        self.core.stop()
        self.start_core()
        self.assert_served_from(head - 29)
        everything = self.compact(keep_events=0)
        self.assertEqual(everything.oldest_sequence, everything.head_sequence + 1)
        created = self.desk.create("The first that is served")
        self.assert_served_from(created.sequence)

    def test_by_age(self) -> None:
        oldest = self.desk.head().oldest_sequence
        self.assertEqual(self.compact(keep_age=seconds(3600)).oldest_sequence, oldest)
        last_old = self.desk.head().head_sequence
        done = self.compact(keep_age=seconds(0))
        self.assertEqual(done.oldest_sequence, last_old + 1)

    def test_a_transcript_is_never_shortened(self) -> None:
        before = self.desk.log()
        self.compact(keep_events=1)
        self.assertEqual(self.desk.log(), before)

    def test_browsers_that_were_far_behind_are_told(self) -> None:
        self.compact(keep_events=5)
        self.gateway.kill()  # it would serve what it remembers
        self.gateway.start()
        desk = self.desk.head()
        browser = FullBrowser(self.gateway.address, f"after=1&desk={desk.desk_id}")
        self.addCleanup(browser.close)
        gap = browser.wait_type("gap")
        self.assertEqual((gap["reason"], gap["available_from"]), ("compacted", desk.oldest_sequence))
        browser.wait_type("snapshot", more=False)

    def test_wrong_use(self) -> None:
        for request, field in ((admin_pb2.CompactRequest(), "keep_events"),
                               (admin_pb2.CompactRequest(keep_events=-1), "keep_events"),
                               (admin_pb2.CompactRequest(keep_age=seconds(-1)), "keep_age")):
            refusal = self.desk.refused(self.desk.admin.Compact, request)
            self.assertEqual((refusal.code, refusal.fields),
                             (grpc.StatusCode.INVALID_ARGUMENT, [field]))
        for flags in ((), ("--keep_events=1", "--keep_age=1h"), ("--keep_age=-1h",),
                      ("--keep_age=soon",), ("--keep_events=-1",)):
            with self.subTest(flags=flags):
                tried = command_line("admin", "compact", *flags, core=self.core.address)
                self.assertEqual(tried.returncode, 2, tried.stderr)

    def test_the_command_line(self) -> None:
        done = command_line("admin", "compact", "--keep_events=7", "--json", core=self.core.address)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        desk = command_line("desk", "--json", core=self.core.address)
        self.assertEqual(json.loads(desk.stdout)["oldest_sequence"], told["oldest_sequence"])
        self.assertEqual(told["head_sequence"] - told["oldest_sequence"], 6)

    def test_export(self) -> None:
        self.compact(keep_events=1)
        browser = FullBrowser(self.gateway.address, "live=1")
        self.addCleanup(browser.close)
        browser.wait_type("subscribed")
        created = self.desk.create("Gr\u00fc\u00dfe\nan alle")
        browser.wait_sequence(created.sequence)
        exported = command_line("admin", "export", core=self.core.address)
        self.assertEqual(exported.returncode, 0, exported.stderr)
        lines = exported.stdout.split("\n")[:-1]
        self.assertEqual([json.loads(line)["sequence"] for line in lines],
                         list(range(1, created.sequence + 1)))
        self.assertEqual(lines[-1], browser.seen[-1][1], "in the JSON that browsers get")
        desk_id = self.desk.head().desk_id
        rest = command_line("admin", "export", f"--after={created.sequence - 1}",
                            f"--desk={desk_id}", core=self.core.address)
        self.assertEqual(rest.stdout, lines[-1] + "\n")


if __name__ == "__main__":
    unittest.main()
