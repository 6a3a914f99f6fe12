"""The web part from nothing, where the Node on PATH is as old as Debian's.

In a copy of the sources, so that nothing that is built already takes part. What comes from npm is
in its cache since tools/install.sh, and only what is not is fetched.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Says that it is old. Whatever else is asked of it is done, as npm's first step needs that.
OLD_NODE = """#!/bin/sh
[ "$1" = --version ] && {{ echo v18.20.4; exit 0; }}
exec {node} "$@"
"""


class OldNodeTest(unittest.TestCase):
    def setUp(self) -> None:
        self.tree = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        listed = subprocess.run(["git", "ls-files", "-z", "ws_gateway/web", "tools/web.sh", "tools/node"],
                                cwd=ROOT, check=True, capture_output=True).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.tree / name)
        old = self.tree / "old"
        old.mkdir()
        (old / "node").write_text(OLD_NODE.format(node=shutil.which("node")))
        (old / "node").chmod(0o755)
        self.environment = dict(os.environ, PATH=f"{old}:{os.environ['PATH']}",
                                npm_config_prefer_offline="true")

    def web(self, *arguments: str) -> str:
        done = subprocess.run(["tools/web.sh", *arguments], cwd=self.tree, env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_a_newer_one_is_fetched_and_builds_and_tests(self) -> None:
        self.assertIn("installing the parts of node", self.web("build"))
        self.assertTrue((self.tree / "build/web/console/index.html").is_file())
        folder = self.web("node").strip()
        self.assertTrue(folder.startswith(str(self.tree)), folder)
        version = subprocess.run([f"{folder}/node", "--version"], check=True, capture_output=True)
        self.assertRegex(version.stdout.decode(), r"^v2[2-9]\.")
        self.assertIn("passed", self.web("test", "client/test/client.test.ts"))
        self.assertEqual(self.web("build"), "", "what is up to date is left alone")


if __name__ == "__main__":
    unittest.main()
