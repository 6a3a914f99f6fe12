"""The real programs, run for a test: started on free ports, watched through their logs, killed.

Everything here waits for a condition with a deadline and fails in words; nothing sleeps for a fixed
time. The programs come from $AGENTDESK_BIN, the generated Python stubs from $AGENTDESK_PYTHON.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections.abc import Callable, Iterable
from typing import Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("AGENTDESK_BIN", ROOT / "build/release/bin"))
PYTHON_STUBS = pathlib.Path(os.environ.get("AGENTDESK_PYTHON", BIN.parent / "python"))
sys.path.insert(0, str(PYTHON_STUBS))

# How many times the usual rounds a test makes; more than 1 in long runs.
SCALE = int(os.environ.get("AGENTDESK_TEST_SCALE", "1"))
# How long a test waits for what must happen soon. Long, since a busy machine is no failure.
PATIENCE = 60.0


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Returns the condition's first true value; fails when there is none in time."""
    deadline = time.monotonic() + patience
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"in {patience:.0f} s there was no: {what}")
        pause.wait(0.005)


def address_of(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


class Program:
    """One real process. Started again after a kill it listens where it listened before."""

    def __init__(self, name: str, *flags: str, env: dict[str, str] | None = None,
                 descriptors: int | None = None, wrapper: Iterable[str] = ()) -> None:
        self.name = name
        self.flags = list(flags)
        self.env = env or {}
        self.descriptors = descriptors
        self.wrapper = list(wrapper)  # a command that becomes the program, such as nsenter
        self.address = ""
        self.log: collections.deque[str] = collections.deque(maxlen=2000)
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._lines = threading.Lock()

    def start(self, wait: bool = True) -> "Program":
        assert self._process is None or self._process.poll() is not None, f"{self.name} is running"
        flags = [f"--listen={self.address}" if self.address and flag.startswith("--listen=") else flag
                 for flag in self.flags]
        with self._lines:
            self.log.clear()
        self._process = subprocess.Popen(
            [*self.wrapper, str(BIN / self.name), *flags], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, env={**os.environ, **self.env}, preexec_fn=self._limits())
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if wait and any(flag.startswith("--listen=") for flag in self.flags):
            self.address = self.wait_for_log("listening")["address"]
        return self

    def _limits(self) -> Callable[[], None] | None:
        if self.descriptors is None:
            return None
        both = (self.descriptors, self.descriptors)
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, both)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                with self._lines:
                    self.log.append(line.decode(errors="replace").rstrip("\n"))

    def logged(self, message: str) -> list[dict[str, Any]]:
        """The log's objects with this message, oldest first."""
        with self._lines:
            lines = list(self.log)
        found = []
        for line in lines:
            if message not in line or not line.startswith("{"):
                continue
            record = json.loads(line)
            if record.get("message") == message:
                found.append(record)
        return found

    def wait_for_log(self, message: str) -> dict[str, Any]:
        def look() -> Any:
            found = self.logged(message)
            if not found and not self.running:
                raise AssertionError(f"{self.name} ended without logging {message!r}:\n{self.tail()}")
            return found
        return wait_until(look, f"log line {message!r} of {self.name}")[0]

    def tail(self, lines: int = 20) -> str:
        with self._lines:
            return "\n".join(list(self.log)[-lines:])

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, patience: float = PATIENCE) -> int:
        """Waits for the process to end; returns its exit code."""
        assert self._process is not None and self._reader is not None
        try:
            code = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end:\n{self.tail()}") from None
        self._reader.join(patience)
        return code

    def kill(self) -> None:
        """kill -9, and gone when this returns."""
        if self.running:
            self.signal(signal.SIGKILL)
        if self._process is not None:
            self.wait()

    def stop(self, patience: float = PATIENCE) -> int:
        if self.running:
            self.signal(signal.SIGTERM)
        return self.wait(patience)

    def end(self) -> None:
        """For the end of a test: what still runs must end cleanly when it is asked to."""
        if not self.running:
            return
        self.signal(signal.SIGCONT)
        try:
            code = self.stop()
        except AssertionError:
            self.kill()
            raise
        if code != 0:
            raise AssertionError(f"{self.name} ended with {code}:\n{self.tail(60)}")

    def resident_bytes(self) -> int:
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        match = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert match is not None
        return int(match.group(1)) * 1024

    def descriptors_in_use(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Core(Program):
    def __init__(self, data_dir: pathlib.Path, *flags: str, **kwargs: Any) -> None:
        super().__init__("agentdesk-core", "--listen=127.0.0.1:0", "--admin_listen=127.0.0.1:0",
                         f"--data_dir={data_dir}", *flags, **kwargs)
        self.data_dir = data_dir

    @property
    def admin(self) -> str:
        """The address of the admin port."""
        return self.wait_for_log("listening")["admin"]


class Gateway(Program):
    """`tls`: how a client speaks TLS with it, where it does."""

    def __init__(self, core: str, *flags: str, tls: ssl.SSLContext | None = None,
                 **kwargs: Any) -> None:
        super().__init__("agentdesk-gateway", "--listen=127.0.0.1:0", f"--core={core}", *flags,
                         **kwargs)
        self.tls = tls

    def start(self, wait: bool = True) -> "Gateway":
        super().start(wait)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        wait_until(lambda: http_status(self.address, "/readyz", self.tls) == 200,
                   "a gateway that is ready")


def command_line(*arguments: object, core: str = "") -> subprocess.CompletedProcess[str]:
    """Runs `agentdesk` to its end."""
    program = [str(BIN / "agentdesk"), *map(str, arguments)]
    if core:
        program.append(f"--core={core}")
    return subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=PATIENCE)


def http_status(address: str, path: str, tls: ssl.SSLContext | None = None) -> int:
    """The status of one GET, 0 when there was no answer."""
    host, port = address_of(address)
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((host, port), 5))
            if tls is not None:
                connection = stack.enter_context(tls.wrap_socket(connection, server_hostname=host))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
                               .encode())
            answer = connection.recv(64)
    except OSError:
        return 0
    match = re.match(rb"HTTP/1.1 (\d{3})", answer)
    return int(match.group(1)) if match else 0


class System:
    """A core and a gateway of a test's own, with an empty data directory."""

    def __init__(self, core_flags: Iterable[str] = (), gateway_flags: Iterable[str] = (),
                 gateway: bool = True) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="agentdesk-test-")
        self.scratch = pathlib.Path(self._scratch.name)
        self.programs: list[Program] = []
        self.core = Core(self.scratch / "data", *core_flags)
        self.add(self.core).start()
        self.gateway: Gateway | None = None
        if gateway:
            self.gateway = Gateway(self.core.address, *gateway_flags)
            self.add(self.gateway).start()

    def add(self, program: Program) -> Program:
        self.programs.append(program)
        return program

    def close(self) -> None:
        problems = []
        for program in reversed(self.programs):
            try:
                program.end()
            except AssertionError as problem:
                problems.append(str(problem))
        self._scratch.cleanup()
        if problems:
            raise AssertionError("\n".join(problems))


class DeskTestCase(unittest.TestCase):
    """A test with a desk of its own class: `core` and `gateway` run from its first to its last test."""

    core_flags: tuple[str, ...] = ()
    gateway_flags: tuple[str, ...] = ()
    with_gateway = True
    maxDiff = 4000

    @classmethod
    def setUpClass(cls) -> None:
        from desk_client import DeskClient  # needs the generated stubs
        cls.system = System(cls.core_flags, cls.gateway_flags, cls.with_gateway)
        cls.addClassCleanup(cls.system.close)
        cls.core = cls.system.core
        cls.gateway = cls.system.gateway
        cls.desk = DeskClient(cls.core.address)
        cls.addClassCleanup(cls.desk.close)

    @classmethod
    def start_core(cls) -> None:
        """Starts the killed core; `desk` and the gateway are connected again when this returns."""
        cls.core.start()
        cls.desk.wait_connected()
        if cls.gateway is not None:
            cls.gateway.wait_ready()

    def run(self, result: Any = None) -> Any:
        """As usual, and when the test fails, with the ends of the programs' logs."""
        before = len(result.failures) + len(result.errors) if result else 0
        outcome = super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            for program in self.system.programs:
                print(f"--- the end of the log of {program.name}\n{program.tail()}", file=sys.stderr)
        return outcome
