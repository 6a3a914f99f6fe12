"""tools/run.sh as a newcomer meets it: builds, runs everything, starts again what was killed, drains."""

import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import http_client
from agentdesk_test import PATIENCE, ROOT, http_status, wait_until

# "Within seconds", of a machine that builds and tests other things besides.
MAX_START_S = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Script:
    """tools/run.sh with ports and a data directory of a test's own."""

    def __init__(self, folder: str, *arguments: str, gateway_port: int | None = None,
                 through_a_pipe: bool = False) -> None:
        self.core_port = free_port()
        self.gateway_port = gateway_port or free_port()
        self.gateway = f"127.0.0.1:{self.gateway_port}"
        self.text = ""
        # As behind `| tee log`: what reads the script's output, and may end before it.
        self.pipe = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) \
            if through_a_pipe else None
        plain = {name: value for name, value in os.environ.items()
                 if not name.startswith("AGENTDESK_")}
        checkout = pathlib.Path(folder, "it's here")
        if not checkout.exists():
            checkout.symlink_to(ROOT)
        self.process = subprocess.Popen(
            [checkout / "tools/run.sh", *arguments], stdin=subprocess.DEVNULL,
            stdout=self.pipe.stdin if self.pipe else subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env={
                **plain, "XDG_STATE_HOME": folder, "AGENTDESK_DATA_DIR": f"{folder}/data",
                "AGENTDESK_CORE_PORT": str(self.core_port),
                "AGENTDESK_ADMIN_PORT": str(free_port()),
                "AGENTDESK_GATEWAY_PORT": str(self.gateway_port),
                "AGENTDESK_LEASE": "2s",
                "http_proxy": "http://127.0.0.1:9"})  # nobody there: it is not for loopback
        if self.pipe:
            self.pipe.stdin.close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        output = self.pipe.stdout if self.pipe else self.process.stdout
        assert output is not None
        with output as lines:
            for line in lines:
                self.text += line

    def wait_for(self, text: str) -> None:
        def look() -> bool:
            if text in self.text:
                return True
            if self.process.poll() is not None:
                self._reader.join(PATIENCE)
                raise AssertionError(f"run.sh ended without {text!r}:\n{self.text}")
            return False
        wait_until(look, f"{text!r} from run.sh, which said:\n{self.text}", 120)

    def wait(self) -> int:
        code = self.process.wait(120)
        self._reader.join(PATIENCE)
        return code

    def pid_of(self, program: str) -> int | None:
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in children.read_text(encoding="utf-8").split():
            try:
                name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
            except OSError:
                continue
            if name == program:
                return int(pid)
        return None

    def end(self) -> None:
        """For the end of a failed test."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.wait()
        if self.pipe:
            self.pipe.kill()
            self.pipe.wait(PATIENCE)


class RunScriptTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        # The first run may have much to build; what is promised is that the next starts soon.
        subprocess.run([ROOT / "tools/run.sh", "--build-only"], stdout=subprocess.DEVNULL, timeout=500,
                       check=True)

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-test-")
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name

    def script(self, *arguments: str, **kwargs) -> Script:
        script = Script(self.folder, *arguments, **kwargs)
        self.addCleanup(script.end)
        return script

    def call(self, script: Script, method: str, path: str, body=None):
        answer = http_client.call(script.gateway, method, path, body)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json

    def asked(self, script: Script, ticket_id: str) -> dict:
        """The question that the demonstration agent has about the ticket."""
        def find():
            questions = self.call(script, "GET", "/questions?state=open")["questions"]
            return next((one for one in questions if one["ticket_id"] == ticket_id), None)
        return wait_until(find, "a question")

    def test_what_it_does_not_know_starts_nothing(self) -> None:
        for script in sorted((ROOT / "tools").glob("*.sh")):
            for argument, code, said in (("--help", 0, f"tools/{script.name} "),
                                         ("--bild", 2, "unknown: --bild")):
                if script.name == "perf-report.sh" and code != 0:
                    continue  # the bench reads its arguments
                with self.subTest(script=script.name, argument=argument):
                    ended = subprocess.run([script, argument], capture_output=True, text=True,
                                           check=False, timeout=PATIENCE)
                    self.assertEqual(ended.returncode, code)
                    self.assertIn(said, ended.stdout + ended.stderr)

    def test_build_only_when_all_is_built(self) -> None:
        began = time.monotonic()
        script = self.script("--build-only")
        self.assertEqual(script.wait(), 0, script.text)
        print(f"--build-only with everything built took {time.monotonic() - began:.1f} s")
        self.assertLess(time.monotonic() - began, MAX_START_S)
        self.assertNotIn("AgentDesk is running", script.text)
        self.assertFalse(os.path.exists(f"{self.folder}/data"))

    def test_whatever_is_killed_comes_back_and_ctrl_c_drains(self) -> None:
        began = time.monotonic()
        script = self.script()
        script.wait_for("AgentDesk is running.")
        print(f"everything ran after {time.monotonic() - began:.1f} s")
        self.assertLess(time.monotonic() - began, MAX_START_S)
        created = self.call(script, "POST", "/tickets/create", {"ticket_name": "Count the files"})
        question = self.asked(script, created["ticket_id"])
        for name in ("core", "gateway", "worker"):
            pid = script.pid_of(f"agentdesk-{name}")
            os.kill(pid, signal.SIGKILL)
            script.wait_for(f"The {name} has ended, and is started again.")
            wait_until(lambda n=name, p=pid: script.pid_of(f"agentdesk-{n}") not in (None, p),
                       f"another {name}")
            wait_until(lambda: http_status(script.gateway, "/readyz") == 200, "a gateway")
        self.assertEqual(self.asked(script, created["ticket_id"])["question_id"],
                         question["question_id"], "the question is still there")
        answered = self.call(script, "POST", f"/sessions/{question['session_id']}/responses", {
            "response": "docs", "question_id": question["question_id"]})
        self.assertEqual(answered["status"], "received")
        job = wait_until(
            lambda: (job := self.call(script, "GET", f"/jobs/{created['job_id']}"))["status"]
            == "completed" and job, "the end of the work")
        self.assertEqual(job["result"]["files"], sum(
            len(names) for _, _, names in os.walk(ROOT / "docs")))

        pids = [script.pid_of(f"agentdesk-{name}") for name in ("core", "gateway", "worker")]
        script.process.send_signal(signal.SIGINT)
        self.assertEqual(script.wait(), 130, script.text)
        self.assertIn("Ending: the worker, the gateway, the core.", script.text)
        self.assertNotIn("is killed", script.text)
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}"), "nothing is left running")

    def test_it_drains_when_its_output_has_gone(self) -> None:
        """Ctrl-C ends what the output is piped into, too; a closed terminal takes it along."""
        for number, code in ((signal.SIGINT, 130), (signal.SIGHUP, 129)):
            with self.subTest(number.name):
                script = self.script(through_a_pipe=True)
                script.wait_for("Ctrl-C ends it all.")
                pids = [script.pid_of(f"agentdesk-{name}") for name in ("core", "gateway", "worker")]
                self.assertNotIn(None, pids)
                script.pipe.kill()
                script.pipe.wait(PATIENCE)
                script.process.send_signal(number)
                ended = script.wait()
                left = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                self.assertEqual((ended, left), (code, []), "nothing is left running")

    def test_a_port_that_is_taken_is_told(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            script = self.script(gateway_port=taken.getsockname()[1])
            self.assertEqual(script.wait(), 1)
            self.assertIn(f"Port {script.gateway_port}, which the gateway needs, is taken",
                          script.text)


if __name__ == "__main__":
    unittest.main()
