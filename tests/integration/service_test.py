"""What systemd is told (sd_notify): ready, stopping, and alive as long as the process is."""

import pathlib
import signal
import socket
import tempfile
import unittest

from agentdesk_test import Core, Gateway, Program

# Short, so that the watchdog is soon heard; systemd's own would be half a minute.
WATCHDOG_USEC = "400000"


class ServiceManager:
    """The socket that systemd would listen on."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + path[1:] if path.startswith("@") else path)
        self._socket.settimeout(60)

    def hear(self) -> str:
        return self._socket.recv(4096).decode()

    def close(self) -> None:
        self._socket.close()


class ServiceTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-test-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def watched(self, program: Program, path: str) -> ServiceManager:
        manager = ServiceManager(path)
        self.addCleanup(manager.close)
        program.env = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": WATCHDOG_USEC}
        self.addCleanup(program.kill)
        program.start(wait=False)
        return manager

    def check_life(self, program: Program, manager: ServiceManager) -> None:
        self.assertEqual(manager.hear(), "READY=1")
        for _ in range(4):
            self.assertEqual(manager.hear(), "WATCHDOG=1")
        program.signal(signal.SIGTERM)
        told = manager.hear()
        while told == "WATCHDOG=1":
            told = manager.hear()
        self.assertEqual(told, "STOPPING=1")
        self.assertEqual(program.wait(), 0, program.tail())
        self.assertEqual([line["signal"] for line in program.logged("draining")], ["Terminated"])
        self.assertEqual([line["exit_code"] for line in program.logged("stopped")], [0])

    def test_core(self) -> None:
        core = Core(self.scratch / "data")
        self.check_life(core, self.watched(core, str(self.scratch / "notify")))

    def test_gateway_and_an_abstract_socket(self) -> None:
        core = Core(self.scratch / "data")
        self.addCleanup(core.kill)
        core.start()
        gateway = Gateway(core.address)
        name = f"@agentdesk-test-{core.pid}"
        self.check_life(gateway, self.watched(gateway, name))

    def test_nobody_asked(self) -> None:
        core = Core(self.scratch / "data", env={"NOTIFY_SOCKET": str(self.scratch / "nothing-there")})
        self.addCleanup(core.kill)
        core.start()
        self.assertEqual(core.stop(), 0)


if __name__ == "__main__":
    unittest.main()
