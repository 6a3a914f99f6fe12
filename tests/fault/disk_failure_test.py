"""The disk of a real core fails under it: full, or an fsync that reports an error (row 3, P1).

The N-th failure of every kind is tried on the store by itself; here the whole program meets one of
each: nothing is acknowledged that is not there, and the core ends rather than guess.
"""

import pathlib
import subprocess
import tempfile
import unittest

import grpc
import oracle
from agentdesk_test import Core, wait_until
from desk_client import DeskClient, admin_pb2, refusal_of, ticket_pb2

# What a caller is told: the outcome is unknown, or there is no room.
TOLD = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}


class SmallDisk:
    """A file system of its own size, mounted in a namespace of its own: a user's, which needs no
    privilege; where there are none, as in a chroot, root's."""

    def __init__(self, mount_point: pathlib.Path, size: str) -> None:
        self._mount_point = str(mount_point)
        self.enter: list[str] = []
        mount = [f"mount -t tmpfs -o size={size} tmpfs $0 && echo ready && cat; umount -l $0",
                 self._mount_point]
        for unshare, nsenter in ((["--map-root-user"], ["--user", "--preserve-credentials"]),
                                 (["--propagation", "unchanged"], ["--root"])):
            self._holder = subprocess.Popen(
                ["unshare", *unshare, "--mount", "sh", "-c", *mount],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if self._holder.stdout.readline() == b"ready\n":
                # A command that runs the rest of its line where the file system is seen.
                self.enter = ["nsenter", f"--target={self._holder.pid}", *nsenter, "--mount"]
                return
            self.close()
        raise AssertionError("no file system of a size of its own could be mounted")

    def grow(self, size: str) -> None:
        subprocess.run([*self.enter, "mount", "-o", f"remount,size={size}", self._mount_point],
                       check=True, timeout=60)

    def close(self) -> None:
        self._holder.communicate(timeout=60)


class DiskFailureTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="agentdesk-test-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def core(self, data_dir: pathlib.Path, wrapper: list[str]) -> Core:
        core = Core(data_dir, wrapper=wrapper)
        self.addCleanup(core.kill)
        core.start()
        return core

    def create_until_refused(self, core: Core) -> tuple[list[tuple[int, str]], grpc.StatusCode]:
        """What was acknowledged, and how the first write that was not was answered."""
        desk = DeskClient(core.address)
        self.addCleanup(desk.close)
        acknowledged = []
        for number in range(2000):
            try:
                created = desk.create(f"Ticket {number}", description="x" * 30000)
            except grpc.RpcError as error:
                return acknowledged, refusal_of(error).code
            acknowledged.append((created.sequence, created.ticket_id))
        raise AssertionError("the disk never failed")

    def refuse_backup(self, core: Core) -> None:
        """A copy must not fill the disk that the desk needs."""
        desk = DeskClient(core.address)
        self.addCleanup(desk.close)
        refusal = desk.refused(lambda r, **kw: list(desk.admin.Backup(r, **kw)),
                               admin_pb2.BackupRequest())
        self.assertEqual((refusal.code, refusal.reason),
                         (grpc.StatusCode.RESOURCE_EXHAUSTED, "disk_full"))
        self.assertIn("free some space", refusal.text)

    def check_ended_and_intact(self, core: Core, acknowledged: list[tuple[int, str]],
                               advice: str) -> None:
        self.assertNotEqual(core.wait(), 0, "it ends, and not as if all were well")
        failure = core.logged("the store has failed")
        self.assertTrue(failure, core.tail())
        self.assertIn(advice, failure[0]["error"])
        self.assertIn(str(core.data_dir), failure[0]["error"])
        core.wrapper = self.sound_wrapper
        core.start()
        desk = DeskClient(core.address)
        self.addCleanup(desk.close)
        log = oracle.check_log(desk.log())
        oracle.check_durable(acknowledged, log)
        self.assertLessEqual(len(log) - len(acknowledged), 1, "at most the one not answered")
        for _, ticket_id in acknowledged:
            self.assertEqual(desk.ticket(ticket_id).status, ticket_pb2.JOB_STATUS_QUEUED)
        self.assertEqual(desk.create("It goes on").sequence, len(log) + 1)
        core.end()

    def test_full_disk(self) -> None:
        data_dir = self.scratch / "small"
        data_dir.mkdir()
        disk = SmallDisk(data_dir, "8m")
        self.addCleanup(disk.close)
        core = self.core(data_dir / "desk", disk.enter)
        self.refuse_backup(core)
        acknowledged, code = self.create_until_refused(core)
        self.assertIn(code, TOLD)
        self.assertGreater(len(acknowledged), 20)
        wait_until(lambda: not core.running, "the end of a core whose disk is full")
        disk.grow("64m")
        self.sound_wrapper = disk.enter
        self.check_ended_and_intact(core, acknowledged, "free space on its disk, then start again")
        print(f"{len(acknowledged)} writes acknowledged before the disk was full; then {code.name}")

    def test_fsync_reports_an_error(self) -> None:
        # -D: the core itself is the child that is started and killed.
        core = self.core(self.scratch / "desk", [
            "strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync",
            "-e", "inject=fdatasync,fsync:error=EIO:when=60+"])
        acknowledged, code = self.create_until_refused(core)
        self.assertIn(code, TOLD)
        self.assertGreater(len(acknowledged), 5)
        self.sound_wrapper: list[str] = []
        self.check_ended_and_intact(core, acknowledged, "check the disk")
        print(f"{len(acknowledged)} writes acknowledged before an fsync failed; then {code.name}")


if __name__ == "__main__":
    unittest.main()
