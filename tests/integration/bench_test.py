"""agentdesk-bench on a small scale: it measures every path and finds nothing lost. No time is asserted."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import unittest

from agentdesk_test import BIN, ROOT, Program, address_of, wait_until
from desk_client import DeskClient

sys.path.insert(0, str(ROOT / "tools" / "bench"))
import perf_report  # noqa: E402

SMALL = ["--repeats=1", "--seconds=0.2", "--clients=40", "--many_clients=100", "--in_flight=8",
         "--rate=50", "--events=1000", "--log_events=10000", "--storm_clients=80",
         "--missed_events=100", "--soak_seconds=1"]
SUPPORT = ROOT / "tests" / "support"


class BenchTest(unittest.TestCase):
    def setUp(self) -> None:
        # Not in /tmp, which may be in memory: the bench refuses to measure that.
        self.directory = tempfile.TemporaryDirectory(dir="/var/tmp")
        self.addCleanup(self.directory.cleanup)

    def bench(self, *arguments: str, programs: pathlib.Path = BIN,
              **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(programs / "agentdesk-bench"), f"--dir={self.directory.name}", *SMALL, *arguments],
            env={**os.environ, **environment}, capture_output=True, text=True, timeout=240, check=False)

    def test_help_names_the_flags(self) -> None:
        done = self.bench("--help")
        self.assertEqual(done.returncode, 0, done.stderr)
        for flag in SMALL:
            self.assertIn(f" {flag.split('=')[0]} (", done.stdout)

    def test_every_path_is_measured_and_nothing_is_lost(self) -> None:
        done = self.bench("--json", "all")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual([path["path"] for path in result["paths"]],
                         ["create", "fanout", "latency", "stream", "idle", "reconnect", "growth"])
        for path in result["paths"]:
            with self.subTest(path=path["path"]):
                self.assertTrue(path["bars"])
        out = pathlib.Path(self.directory.name) / "PERFORMANCE.md"
        analysis = out.parent / "performance" / "analysis.md"
        analysis.parent.mkdir()
        analysis.write_text("## Where the time goes\n")
        perf_report.write(result, out)
        text = out.read_text(encoding="utf-8")
        for path in result["paths"]:
            for bar in path["bars"]:
                self.assertIn(bar["name"], text)
        self.assertTrue(text.endswith(analysis.read_text(encoding="utf-8")))
        self.assertGreaterEqual(len(list(out.parent.glob("performance/*.svg"))), 4)

    def test_two_thousand_browsers_get_a_burst_complete_and_in_order(self) -> None:
        done = self.bench("--json", "fanout", "--clients=2000", "--many_clients=2000")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_run_that_goes_wrong_gives_no_figures(self) -> None:
        # The bench starts the programs beside it.
        programs = pathlib.Path(self.directory.name) / "bin"
        programs.mkdir()
        shutil.copy(BIN / "agentdesk-bench", programs)
        for name, program in {"agentdesk-core": BIN / "agentdesk-core",
                              "agentdesk-gateway": BIN / "agentdesk-gateway",
                              "agentdesk-frame-floor": SUPPORT / "wrong_frame_floor.py",
                              "agentdesk-rpc-floor": SUPPORT / "wrong_rpc_floor.py"}.items():
            (programs / name).symlink_to(program)
        for path, wrong, said in (("fanout", "loses", "where another one got"),
                                  ("fanout", "doubles", "where another one got|came twice"),
                                  ("fanout", "repeats", "came twice"),
                                  ("fanout", "changes", "where another one got"),
                                  ("fanout", "disconnects", "was disconnected"),
                                  ("fanout", "refuses", "was not created"),
                                  ("create", "refuses a call", "ended with status 14"),
                                  ("create", "acknowledges another call", "ended with status 0"),
                                  ("stream", "skips an event", "came after event"),
                                  ("stream", "ends a stream early", "ended with status 0")):
            with self.subTest(wrong):
                done = self.bench("--json", path, programs=programs, WRONG=wrong)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertRegex(done.stderr, said)
        for path in ("fanout", "create", "stream"):
            done = self.bench("--json", path, programs=programs, WRONG="")
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_abuser_that_dies_gives_no_figures(self) -> None:
        with subprocess.Popen(
                [str(BIN / "agentdesk-bench"), "--json", f"--dir={self.directory.name}", *SMALL,
                 "--seconds=10", "--half_open=50", "abuse"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as bench:
            self.addCleanup(bench.kill)
            children = pathlib.Path(f"/proc/{bench.pid}/task/{bench.pid}/children")

            def abuser() -> int | None:
                pids = {}
                for pid in children.read_text(encoding="utf-8").split():
                    with contextlib.suppress(OSError):
                        pids[os.path.basename(os.readlink(f"/proc/{pid}/exe"))] = int(pid)
                # Before it is their program, a child of the bench is its copy, too.
                started = {"agentdesk-core", "agentdesk-gateway"} <= pids.keys()
                return pids.get("agentdesk-bench") if started else None
            os.kill(wait_until(abuser, "an abuser"), signal.SIGKILL)
            out, error = bench.communicate(timeout=120)
        self.assertEqual((bench.returncode, out), (1, ""))
        self.assertIn("the process that does it has ended", error)

    def rows(self) -> dict[str, list[str]]:
        """Of the floor's tables: the texts of each."""
        with contextlib.closing(sqlite3.connect(f"{self.directory.name}/tables/desk.sqlite3")) as tables:
            return {table: [row[0].decode(errors="replace") for row in
                            tables.execute(f"SELECT {column} FROM {table}")]
                    for table, column in (("tickets", "record"), ("jobs", "record"), ("events", "event"))}

    def test_floors_keep_what_they_acknowledge(self) -> None:
        names = [f"ticket {number}" for number in range(3)]

        def by_rpc(address: str) -> None:
            with contextlib.closing(DeskClient(address)) as client:
                for name in names:
                    self.assertEqual(client.create(name).ticket.ticket_name, name)

        def by_http(address: str) -> None:
            with socket.create_connection(address_of(address), 10) as connection:
                for name in names:
                    # In one piece, as the floor wants it.
                    connection.sendall(f'POST /tickets/create HTTP/1.1\r\n\r\n{{"ticket_name":"{name}"}}'.encode())
                    self.assertIn(f'"ticket_name":"{name}"'.encode(), connection.recv(4096))

        for storage, with_frames in (("file", False), ("tables", False), ("tables", True)):
            with self.subTest(storage=storage, with_frames=with_frames), contextlib.ExitStack() as programs:
                shutil.rmtree(f"{self.directory.name}/tables", ignore_errors=True)
                program = Program("agentdesk-rpc-floor", "--listen=127.0.0.1:0", f"--storage={storage}",
                                  f"--data_dir={self.directory.name}").start()
                programs.callback(program.kill)
                if with_frames:
                    frames = Program("agentdesk-frame-floor", "--listen=127.0.0.1:0",
                                     f"--core={program.address}").start()
                    programs.callback(frames.kill)
                    by_http(frames.address)
                else:
                    by_rpc(program.address)
                program.kill()
                if storage == "file":
                    kept = pathlib.Path(f"{self.directory.name}/tickets").read_text(encoding="utf-8",
                                                                                    errors="replace")
                    self.assertEqual(re.findall("ticket [0-9]", kept), names)
                    continue
                rows = self.rows()
                self.assertEqual({table: len(texts) for table, texts in rows.items()},
                                 {"tickets": 3, "jobs": 3, "events": 3})
                for table in ("tickets", "events"):
                    for name, text in zip(names, rows[table]):
                        self.assertIn(name, text)

    def test_a_storage_that_does_not_exist_is_refused(self) -> None:
        # It would measure a floor that keeps nothing.
        done = subprocess.run([str(BIN / "agentdesk-rpc-floor"), "--storage=table"],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--storage=table is neither", done.stderr)

    def test_soak(self) -> None:
        done = self.bench("--json", "soak")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["paths"][0]["path"], "soak")

    def test_a_directory_in_memory_is_refused(self) -> None:
        done = subprocess.run([str(BIN / "agentdesk-bench"), "--dir=/dev/shm", *SMALL, "create"],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("in memory", done.stderr)

    def test_what_is_not_a_measurement_is_refused(self) -> None:
        self.assertEqual(self.bench("everything").returncode, 1)
        self.assertEqual(self.bench("--repeats=0", "create").returncode, 1)


if __name__ == "__main__":
    unittest.main()
