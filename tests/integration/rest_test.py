"""A desk at rest answers at once: a thread of each process always waits for what comes next.

gRPC's threads for callbacks would all sleep for 100 ms after each second in which nothing came. The
core keeps them from it, and the gateway waits with a thread of its own and has none of them.
"""

import pathlib
import time
import unittest

from agentdesk_test import PATIENCE, DeskTestCase, wait_until

REST_SECONDS = 4


def waiting_in(pid: int) -> list[str]:
    """In which function of the kernel each of gRPC's threads for callbacks is; empty: it runs."""
    waits = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            if (task / "comm").read_text(encoding="utf-8").strip() == "nexting_thread":
                waits.append((task / "wchan").read_text(encoding="utf-8").strip("0"))
        except OSError:
            continue  # gRPC's other threads come and go
    return waits


class RestTest(DeskTestCase):
    def test_somebody_waits_for_calls(self) -> None:
        self.desk.create("Before the rest")
        seen: set[str] = set()
        asleep = [False]  # whether all of them sleep, look by look
        end = time.monotonic() + REST_SECONDS

        def has_rested() -> bool:
            waits = waiting_in(self.core.pid)
            seen.update(waits)
            asleep.append(bool(waits) and all("nanosleep" in wait for wait in waits))
            self.assertEqual(waiting_in(self.gateway.pid), [])
            return time.monotonic() >= end
        wait_until(has_rested, "the end of the rest", REST_SECONDS + PATIENCE)
        self.assertTrue(any("poll" in wait for wait in seen), f"nobody polls, or it is not told: {seen}")
        # They would sleep after each second. What keeps them from it may be late once on a busy machine.
        fell_asleep = sum(now and not before for before, now in zip(asleep, asleep[1:]))
        self.assertLessEqual(fell_asleep, 1)


if __name__ == "__main__":
    unittest.main()
