"""`agentdesk watch` as a test sees it."""

import signal
import subprocess
import threading

from agentdesk_test import BIN, PATIENCE, wait_until


class Watch:
    """`agentdesk watch`, with the lines that it has printed so far."""

    def __init__(self, core: str, *flags: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [BIN / "agentdesk", "watch", f"--core={core}", *flags], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said = ""
        self._threads = [threading.Thread(target=read, daemon=True)
                         for read in (self._read_out, self._read_err)]
        for thread in self._threads:
            thread.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line

    def wait_for(self, text: str) -> str:
        return wait_until(lambda: next((line for line in list(self.lines) if text in line), None),
                          f"{text!r} from watch, which said {self.lines[-5:]} {self.said}")

    def end(self) -> int:
        """Ctrl-C; returns the exit code, with all that it printed in `lines`."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return code
