"""The flags of the three servers: from the line, the environment and a file; checked, explained."""

import os
import pathlib
import re
import socket
import subprocess
import tempfile
import unittest

from agentdesk_test import BIN

# A right value for each flag that --check_config must accept, and wrong ones with what is said.
PROGRAMS = {
    "agentdesk-core": (
        ["--listen=127.0.0.1:0", "--drain_timeout=5s", "--retain_events=1000",
         "--max_open_questions_per_session=100"],
        [("--listen=nowhere", "listen"), ("--listen=0.0.0.0:50051", "listen"),
         ("--data_dir=", "data_dir"), ("--max_connections=0", "max_connections"),
         ("--drain_timeout=-1s", "drain_timeout"), ("--expiry_hold=2h", "expiry_hold"),
         ("--retain_events=-1", "retain_events"), ("--log_level=loud", "log_level"),
         ("--max_connections=many", "--max_connections=many: must be a whole number"),
         ("--drain_timeout=10", "--drain_timeout=10: must be a time with its unit, such as 10s"),
         ("--max_open_questions_per_session=0", "max_open_questions_per_session"),
         ("--max_open_questions_per_session=101", "max_open_questions_per_session"),
         ("--admin_listen=0.0.0.0:50052", "admin_listen"), ("--admin_listen=1", "admin_listen"),
         ("--otlp_endpoint=https://c:4318/v1/traces", "otlp_endpoint")]),
    "agentdesk-gateway": (
        ["--listen=127.0.0.1:0", "--threads=2", "--allowed_origins=https://desk.example"],
        [("--listen=0.0.0.0:8000", "listen"), ("--core=nowhere", "core"),
         ("--threads=65", "threads"), ("--allowed_origins=desk.example", "allowed_origins"),
         ("--web_root=/no/such/folder", "web_root"), ("--max_connections=0", "max_connections"),
         ("--drain_timeout=-1s", "drain_timeout"), ("--log_level=loud", "log_level"),
         ("--threads=many", "threads"), ("--http_request_timeout=999ms", "http_request_timeout"),
         ("--http_request_timeout=11m", "http_request_timeout"),
         ("--max_http_header_bytes=4095", "max_http_header_bytes"),
         ("--max_http_header_bytes=65537", "max_http_header_bytes"),
         ("--max_http_body_bytes=1023", "max_http_body_bytes"),
         ("--max_http_body_bytes=1048577", "max_http_body_bytes"),
         *((f"--{limit}=-1", limit) for limit in (
             "max_connections_per_user", "max_connections_per_address", "max_handshakes_per_second",
             "max_messages_per_second", "max_message_bytes_per_second",
             "max_messages_per_second_per_user", "max_message_bytes_per_second_per_user",
             "max_outbox_bytes")),
         ("--otlp_endpoint=https://c:4318/v1/traces", "otlp_endpoint")]),
    "agentdesk-worker": (
        ["--agent=true", "--queue=a,b", "--concurrency=3", "--lease=10s"],
        [("--agent=", "agent"), ("--core=nowhere", "core"), ("--queue=Ä", "queue"),
         ("--concurrency=0", "concurrency"), ("--cancel_grace=-1s", "cancel_grace"),
         ("--core_loss_grace=-1s", "core_loss_grace"), ("--lease=0s", "lease"),
         ("--transcript_dir=/no/such/folder", "transcript_dir"), ("--log_level=loud", "log_level"),
         ("--concurrency=many", "concurrency")]),
}

# What people and scripts rely on without a flag.
DEFAULTS = {
    "agentdesk-core": {"listen": "127.0.0.1:50051", "admin_listen": "127.0.0.1:50052",
                       "expiry_hold": "30s", "retain_events": "0"},
    "agentdesk-gateway": {"listen": "127.0.0.1:8000", "core": "127.0.0.1:50051"},
    "agentdesk-worker": {"core": "127.0.0.1:50051", "cancel_grace": "10s", "core_loss_grace": "15m",
                         "lease": "30s", "concurrency": "1"},
}


def run(program: str, *flags: str, **env: str) -> subprocess.CompletedProcess:
    plain = {name: value for name, value in os.environ.items()
             if not name.startswith("AGENTDESK_")}
    return subprocess.run([BIN / program, *flags], capture_output=True, text=True, timeout=60,
                          check=False, env={**plain, **env})


class FlagsTest(unittest.TestCase):
    def printed(self, program: str, *flags: str, **env: str) -> dict[str, str]:
        done = run(program, "--check_config", *flags, **env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return dict(re.fullmatch(r"--(\w+)=(.*)", line).groups()
                    for line in done.stdout.splitlines())

    def test_check_config_prints_every_value_in_effect(self) -> None:
        for program, (right, _) in PROGRAMS.items():
            with self.subTest(program):
                printed = self.printed(program, *right)
                for flag in right:
                    name, value = flag.removeprefix("--").split("=", 1)
                    self.assertEqual(printed[name], value)

    def test_what_nothing_is_said_of(self) -> None:
        for program, defaults in DEFAULTS.items():
            with self.subTest(program):
                printed = self.printed(program, *(["--agent=true"] if "worker" in program else []))
                self.assertEqual({name: printed[name] for name in defaults}, defaults)

    def test_check_config_refuses_what_is_wrong_and_names_the_flag(self) -> None:
        for program, (right, wrong) in PROGRAMS.items():
            with self.subTest(program):
                for flag, name in wrong:
                    with self.subTest(flag):
                        done = run(program, *right, "--check_config", flag)
                        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                        self.assertIn(name, done.stderr)
                        self.assertEqual(done.stdout, "")

    def test_line_over_environment_over_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "flags")
            for program, (right, _) in PROGRAMS.items():
                with self.subTest(program):
                    file.write_text("\n".join([*right, "--log_level=error"]) + "\n", encoding="utf-8")
                    given = f"--flagfile={file}"
                    self.assertEqual(self.printed(program, given)["log_level"], "error")
                    self.assertEqual(self.printed(program, AGENTDESK_FLAGFILE=str(file)),
                                     self.printed(program, given))
                    self.assertEqual(self.printed(
                        program, given, AGENTDESK_LOG_LEVEL="debug")["log_level"], "debug")
                    self.assertEqual(self.printed(
                        program, "--flagfile", str(file), AGENTDESK_LOG_LEVEL="debug")["log_level"], "debug")
                    self.assertEqual(self.printed(program, given, "--log_level=warning",
                                                  AGENTDESK_LOG_LEVEL="debug")["log_level"], "warning")
                    done = run(program, "--check_config", *right, AGENTDESK_LOG_LEVEL="loud")
                    self.assertEqual(done.returncode, 1)
                    self.assertIn("log_level", done.stderr)

    def test_a_value_that_cannot_be_read_is_refused_with_where_it_stands(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "flags")
            file.write_text("# comment\n--drain_timeout=10\n", encoding="utf-8")
            for program in ("agentdesk-core", "agentdesk-gateway"):
                for flags, env, said in (
                        ([], {"AGENTDESK_DRAIN_TIMEOUT": "10"}, "AGENTDESK_DRAIN_TIMEOUT=10"),
                        ([f"--flagfile={file}"], {}, f"{file}: --drain_timeout=10"),
                        ([], {"AGENTDESK_FLAGFILE": str(file)}, f"{file}: --drain_timeout=10")):
                    done = run(program, "--check_config", *flags, **env)
                    self.assertEqual(done.returncode, 1)
                    self.assertIn(f"{program}: {said}: must be a time with its unit", done.stderr)

    def test_what_is_wrong_is_said_with_its_value(self) -> None:
        for program, flag in (("agentdesk-gateway", "--listen=foo:1"),
                              ("agentdesk-gateway", "--threads=65"),
                              ("agentdesk-worker", "--lease=1h")):
            done = run(program, "--agent=true" if "worker" in program else "--check_config", flag)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"{program}: {flag}: must be", done.stderr)

    def test_a_file_that_is_missing_is_named_once(self) -> None:
        for program in ("agentdesk-core", "agentdesk-gateway"):
            done = run(program, "--check_config", "--auth_config=/no/such/file")
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr.count("/no/such/file"), 1, done.stderr)

    def test_a_port_that_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            for program in ("agentdesk-core", "agentdesk-gateway"):
                with tempfile.TemporaryDirectory() as folder:
                    done = run(program, f"--listen=127.0.0.1:{taken.getsockname()[1]}",
                               *(["--admin_listen=", f"--data_dir={folder}"] if "core" in program else []))
                self.assertEqual(done.returncode, 1)
                self.assertIn("--listen cannot be served", done.stderr)
                self.assertIn("another program uses this port", done.stderr)

    def test_what_is_no_flag_is_refused(self) -> None:
        for program, (right, _) in PROGRAMS.items():
            with self.subTest(program):
                for odd in ("--nonsense=1", "nonsense"):
                    done = run(program, "--check_config", *right, odd)
                    self.assertEqual(done.returncode, 1)
                    self.assertIn("nonsense", done.stderr)
                done = run(program, "--check_config", *right, "--flagfile=/no/such/file")
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("/no/such/file", done.stderr)

    def test_what_is_no_flag_in_a_file_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "flags")
            file.write_text("--nonsense=1\n", encoding="utf-8")
            for program in PROGRAMS:
                done = run(program, "--check_config", f"--flagfile={file}")
                self.assertEqual(done.returncode, 1)
                self.assertIn("nonsense", done.stderr)

    def test_limits_are_checked_together(self) -> None:
        done = subprocess.run(["prlimit", "--nofile=40:40", BIN / "agentdesk-core", "--check_config"],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("ulimit -n", done.stderr)

    def test_connections_that_the_limit_of_open_files_does_not_allow(self) -> None:
        done = subprocess.run(["prlimit", "--nofile=256:256", BIN / "agentdesk-core", "--check_config"],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("--max_connections=201\n", done.stdout)
        self.assertIn("ulimit -n", done.stderr)

    def test_help_explains_every_flag_of_ours_and_no_other(self) -> None:
        for program, (right, _) in PROGRAMS.items():
            with self.subTest(program):
                done = run(program, "--help")
                self.assertEqual(done.returncode, 0, done.stderr)
                text = " ".join(done.stdout.split())
                explained = dict(re.findall(r" --(\w+) \((.*?)\); default: ", text))
                self.assertEqual(set(explained), set(self.printed(program, *right)))
                for name, words in explained.items():
                    self.assertGreater(len(words), 10, name)
                self.assertRegex(run(program, "--version").stdout, r"\d+\.\d+\.\d+")


if __name__ == "__main__":
    unittest.main()
