"""The machine's clock jumps an hour ahead and back: nothing fires early, late or twice (row 24)."""

import pathlib
import time
import unittest

import oracle
from agentdesk_test import Core, System, wait_until
from desk_client import DeskClient, agent_pb2, seconds

LEASE_S = 6.0
EXPIRES_IN_S = 8.0
LIBRARY = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


class ClockJumpTest(unittest.TestCase):
    def setUp(self) -> None:
        self.assertIsNotNone(LIBRARY, "tools/install.sh installs faketime")
        system = System(gateway=False)
        self.addCleanup(system.close)
        self.offset = system.scratch / "offset"
        self.jump(0)
        # Wall time is what the file says, read anew each time; the monotonic clock stays true. The
        # libraries of C and C++ allocate here in place of jemalloc, which asks for the time within
        # the first allocation, while faketime is not ready.
        self.core = Core(system.scratch / "desk", "--expiry_hold=0s", env={
            "LD_PRELOAD": f"{LIBRARY}:libc.so.6:libstdc++.so.6",
            "FAKETIME_TIMESTAMP_FILE": str(self.offset),
            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        system.add(self.core).start()
        self.desk = DeskClient(self.core.address)
        self.addCleanup(self.desk.close)

    def jump(self, offset_s: int) -> None:
        """From now on the wall clock of the core is so far from the true one."""
        draft = self.offset.with_suffix(".new")
        draft.write_text(f"{offset_s:+d}\n", encoding="ascii")
        draft.rename(self.offset)

    def kinds(self, lease) -> list[str]:
        return [event.WhichOneof("payload")
                for event in self.desk.log(session_ids=[lease.session_id])]

    def test_leases_and_deadlines_keep_to_the_monotonic_clock(self) -> None:
        kept = self.desk.start("Kept", lease_s=LEASE_S)
        # From before each call until after its end was seen: on a busy machine longer than it took.
        claimed = time.monotonic()
        lost = self.desk.start("Lost", lease_s=LEASE_S)
        asker = self.desk.start("Asks", lease_s=600)
        asked = time.monotonic()
        self.desk.ask(asker, expires_in=seconds(EXPIRES_IN_S))
        before = self.desk.head().time.seconds
        self.jump(+3600)
        wait_until(lambda: self.desk.head().time.seconds > before + 3000, "a clock that jumped")
        lost_at = expired_at = 0.0
        jumps = [(1.5, -3600), (3, 0), (4.5, +3600), (7, -3600)]
        while jumps or not (lost_at and expired_at):
            now = time.monotonic()
            self.assertLess(now - asked, 60, "what is due comes, whatever the clock says")
            while jumps and now - claimed > jumps[0][0]:
                self.jump(jumps.pop(0)[1])
            self.desk.call(self.desk.agents.RenewLease, agent_pb2.RenewLeaseRequest(**kept.args))
            if not lost_at and "job_requeued" in self.kinds(lost):
                lost_at = time.monotonic()
            if not expired_at and "question_expired" in self.kinds(asker):
                expired_at = time.monotonic()
        print(f"a lease of {LEASE_S} s was lost after {lost_at - claimed:.1f} s, "
              f"a question of {EXPIRES_IN_S} s expired after {expired_at - asked:.1f} s")
        self.assertGreaterEqual(lost_at - claimed, LEASE_S)
        self.assertGreaterEqual(expired_at - asked, EXPIRES_IN_S)
        self.jump(0)
        self.core.stop()
        self.core.start()
        self.desk.wait_connected()
        self.assertEqual(self.kinds(lost).count("job_requeued"), 1)
        self.assertEqual(self.kinds(asker).count("question_expired"), 1)
        self.assertNotIn("job_requeued", self.kinds(kept), "a renewed lease is held on")
        oracle.check_log(self.desk.log())  # among others: no event's time goes back


if __name__ == "__main__":
    unittest.main()
