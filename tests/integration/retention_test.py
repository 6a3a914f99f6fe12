"""Compaction while watchers lag: a gap that is told, never a hole in silence (P3)."""

import unittest

import grpc
import oracle
from agentdesk_test import DeskTestCase, System, wait_until
from desk_client import DeskClient, Subscriber, event_pb2, refusal_of
from ws_client import FullBrowser


class RetentionTest(DeskTestCase):
    core_flags = ("--retain_events=50",)

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        for number in range(400):
            cls.desk.create(f"Old {number}")

    def test_a_compacted_position_is_refused_in_words(self) -> None:
        desk = self.desk.head()
        self.assertGreater(desk.oldest_sequence, 1)
        self.assertLessEqual(desk.oldest_sequence, desk.head_sequence - 49)
        for after in (0, 1, desk.oldest_sequence - 2):
            with self.subTest(after=after):
                refusal = self.desk.refused(
                    lambda r, **kw: list(self.desk.events.Subscribe(r, **kw)),
                    event_pb2.SubscribeRequest(after_sequence=after, desk_id=desk.desk_id))
                self.assertEqual((refusal.code, refusal.reason),
                                 (grpc.StatusCode.OUT_OF_RANGE, "compacted"))
                self.assertEqual(int(refusal.metadata["available_from"]),
                                 self.desk.head().oldest_sequence)

    def test_what_is_retained_is_served(self) -> None:
        desk = self.desk.head()
        subscriber = Subscriber(self.core.address, desk.desk_id, after=desk.head_sequence - 20)
        subscriber.start()
        created = self.desk.create()
        wait_until(lambda: subscriber.up_to >= created.sequence, "the events")
        subscriber.stop()
        oracle.check_complete(subscriber.seen, desk.head_sequence - 20, created.sequence)

    def test_a_transcript_is_never_shortened(self) -> None:
        oracle.check_log(self.desk.log())
        self.assertGreaterEqual(len(self.desk.log()), 400)

    def test_browsers_are_told_of_the_gap(self) -> None:
        # A gateway serves what it remembers itself; a new one remembers nothing.
        self.gateway.kill()
        self.gateway.start()
        desk = self.desk.head()
        browser = FullBrowser(self.gateway.address, f"after=1&desk={desk.desk_id}")
        self.addCleanup(browser.close)
        gap = browser.wait_type("gap")
        self.assertEqual((gap["reason"], gap["desk"]), ("compacted", desk.desk_id))
        self.assertGreater(gap["available_from"], 300)
        snapshot = browser.wait_type("snapshot", more=False)
        created = self.desk.create()
        browser.wait_sequence(created.sequence)
        oracle.check_complete(browser.seen, snapshot["up_to"], created.sequence)

    def test_a_watcher_that_lags_is_told(self) -> None:
        desk = self.desk.head()
        call = self.desk.events.Subscribe(event_pb2.SubscribeRequest(
            after_sequence=desk.head_sequence, desk_id=desk.desk_id), timeout=120)
        seen = []
        reader = iter(call)
        next(reader)
        # Several times what the buffers of a connection hold, while nobody reads.
        for number in range(1000):
            self.desk.create(f"New {number}", description="x" * 30_000)
        with self.assertRaises(grpc.RpcError) as told:
            for batch in reader:
                seen += [(event.sequence, None) for event in batch.events]
        refusal = refusal_of(told.exception)
        self.assertEqual((refusal.code, refusal.reason), (grpc.StatusCode.OUT_OF_RANGE, "compacted"))
        last = seen[-1][0] if seen else desk.head_sequence
        self.assertLess(last + 1, int(refusal.metadata["available_from"]))
        oracle.check_complete(seen, desk.head_sequence, last)  # what came before has no hole

    def test_a_position_of_another_desk(self) -> None:
        other = System(gateway=False)
        self.addCleanup(other.close)
        stranger = DeskClient(other.core.address)
        self.addCleanup(stranger.close)
        stranger.create()
        refusal = self.desk.refused(
            lambda r, **kw: list(self.desk.events.Subscribe(r, **kw)),
            event_pb2.SubscribeRequest(after_sequence=1, desk_id=stranger.head().desk_id))
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.OUT_OF_RANGE, "other_desk"))


if __name__ == "__main__":
    unittest.main()
