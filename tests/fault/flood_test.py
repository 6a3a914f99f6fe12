"""Somebody floods the gateway, in each of several manners: the well-behaved beside them are served without an error.

What is measured is agentdesk-bench's; it ends with an error when a browser loses its connection or an event, a
call over HTTP is refused, somebody new is not let in, or the gateway's memory grows past a bound. Here that is all
that counts: how much slower the others are is printed, and not judged.
"""

import json
import subprocess
import tempfile
import unittest

from agentdesk_test import BIN, SCALE

# Half-open handshakes (5,000), a byte a second, as fast as they can, 64 KiB each, 1,000 connects a second.
MANNERS = 5


class FloodTest(unittest.TestCase):
    def test_nobody_else_feels_a_flood(self) -> None:
        # Not in /tmp, which may be in memory: the bench refuses to measure that.
        with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
            done = subprocess.run(
                [str(BIN / "agentdesk-bench"), "--json", f"--dir={directory}", f"--repeats={SCALE}",
                 "--seconds=2", "--clients=200", "--many_clients=1", "--storm_clients=1", "--rate=100",
                 "abuse"],
                capture_output=True, text=True, timeout=200 * SCALE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        path = json.loads(done.stdout)["paths"][0]
        for note in path["notes"]:
            print(note)
        for bar in path["bars"]:
            print(f"{bar['name']}: {bar['median']:.2f}")
        self.assertEqual(len(path["bars"]), 2 * MANNERS)
        self.assertEqual(len(path["notes"]), 1 + MANNERS)


if __name__ == "__main__":
    unittest.main()
