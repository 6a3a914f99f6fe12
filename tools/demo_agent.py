#!/usr/bin/env python3
"""A demonstration agent: asks which folder, counts the files in it by type and size, and reports.

It needs no paid service and shows what an agent program can rely on. Everything it says carries a
key, and its state is a checkpoint after each step, so that it may be killed at any moment: the next
attempt asks nothing twice, says nothing twice and goes on where this one was.

Run it under a worker:
    agentdesk-worker --agent='tools/demo_agent.py --root=/some/folder'
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import queue
import sys
import threading
from typing import Any

MAX_CHOICES = 20
MAX_TYPES = 200  # so that a checkpoint stays small


class Ended(Exception):
    """The conversation is over: cancelled, or the worker is gone."""


class Withdrawn(Exception):
    """The question is over without an answer."""


class Conversation:
    """JSON lines to the worker and from it. Lines are read on a thread, so that a cancel is seen
    while the agent works."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.start = json.loads(sys.stdin.readline())
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for text in sys.stdin:
            line = json.loads(text)
            if line["type"] == "cancel":
                self.cancelled.set()
            self._lines.put(line)
        self.cancelled.set()  # without a worker nobody wants the work
        self._lines.put(None)

    def send(self, **line: Any) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    def receive(self, timeout: float | None) -> dict[str, Any] | None:
        """The next line; None when there was none in time."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            return None
        if line is None or line["type"] == "cancel":
            raise Ended
        if line["type"] == "error":
            print(f"refused: {line['message']}", file=sys.stderr)
        return line


class FolderCount:
    """How many files of which type there are, and how large they are."""

    def __init__(self, state: dict[str, Any] | None) -> None:
        self.by_type: dict[str, list[int]] = dict((state or {}).get("by_type", {}))
        self.done: str = (state or {}).get("done", "")  # entries up to this name are counted

    def add(self, path: str) -> tuple[int, int]:
        """Counts a file, or a folder with all in it."""
        files = size = 0
        if os.path.islink(path):
            return 0, 0
        if os.path.isfile(path):
            return self._add_file(path)
        for folder, _, names in os.walk(path):
            for name in names:
                one, its_size = self._add_file(os.path.join(folder, name))
                files, size = files + one, size + its_size
        return files, size

    def _add_file(self, path: str) -> tuple[int, int]:
        try:
            if os.path.islink(path) or not os.path.isfile(path):
                return 0, 0
            size = os.path.getsize(path)
        except OSError:
            return 0, 0  # gone meanwhile, or not for us
        kind = os.path.splitext(path)[1].lower() or "(none)"
        kind = kind.encode("utf-8", "replace").decode("utf-8")[:40]
        if kind not in self.by_type and len(self.by_type) >= MAX_TYPES:
            kind = "(other)"
        entry = self.by_type.setdefault(kind, [0, 0])
        entry[0] += 1
        entry[1] += size
        return 1, size

    def totals(self) -> tuple[int, int]:
        return (sum(count for count, _ in self.by_type.values()),
                sum(size for _, size in self.by_type.values()))

    def table(self) -> str:
        largest = sorted(self.by_type.items(), key=lambda item: (-item[1][1], item[0]))
        rows = [f"{kind:<12} {count:>8} {readable(size):>10}" for kind, (count, size) in largest[:15]]
        if len(largest) > 15:
            rows.append(f"and {len(largest) - 15} more types")
        return "\n".join(rows)


def readable(size: int) -> str:
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def entries(folder: pathlib.Path) -> list[str]:
    """The names in a folder that can be shown, in order, without hidden ones."""
    names = []
    for name in os.listdir(folder):
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            continue
        if not name.startswith("."):
            names.append(name)
    return sorted(names)


def inside(root: pathlib.Path, name: str) -> pathlib.Path | None:
    """The folder of that name under `root`; None where there is none: nobody is led out of it."""
    folder = (root / name).resolve()
    return folder if folder.is_dir() and folder.is_relative_to(root) else None


class Agent:
    def __init__(self, conversation: Conversation, flags: argparse.Namespace) -> None:
        self.conversation = conversation
        self.flags = flags
        self.state: dict[str, Any] = conversation.start["state"] or {}
        self.replies = 0

    def root(self) -> pathlib.Path:
        """The folder of the flag, or what the ticket's label `root` names in it."""
        root = pathlib.Path(self.flags.root).resolve()
        label = self.conversation.start["ticket"]["labels"].get("root", ".")
        return inside(root, label) or root

    def ask_folder(self, root: pathlib.Path) -> pathlib.Path | None:
        """Asks until the answer is a folder. None: parked."""
        while True:
            # What is asked must not change from one attempt to the next under the same key.
            asked = self.state.setdefault("asked", {"times": 1, "question": self.question(root)})
            key = f"folder:{asked['times']}"
            self.checkpoint()
            self.conversation.send(type="question", key=key, **asked["question"])
            try:
                answer = self.wait_for(key)
                if answer is None:
                    return None
                folder = inside(root, answer)
                if folder is not None:
                    return folder
                self.conversation.send(type="message", key=f"no-{key}",
                                       content=f"There is no folder `{answer}`.")
            except Withdrawn:
                pass  # with the job before this one: a retry asks anew
            self.state["asked"] = {"times": asked["times"] + 1, "question": self.question(root)}

    def question(self, root: pathlib.Path) -> dict[str, Any]:
        folders = [name for name in entries(root) if (root / name).is_dir() and len(name) <= 200]
        return {"content": f"Which folder under {root.name or '/'} shall I count?",
                "choices": [{"value": ".", "label": "everything"}]
                + [{"value": name} for name in folders[:MAX_CHOICES - 1]],
                "free_text": len(folders) >= MAX_CHOICES}

    def wait_for(self, key: str) -> str | None:
        """The answer to a question; None: not yet, and the agent parks."""
        while True:
            line = self.conversation.receive(self.flags.park_after if self.flags.park else None)
            if line is None:
                self.conversation.send(type="park")
                return None
            if line["type"] == "message":
                self.reply("I am waiting for an answer to my question.")
            elif line.get("key") != key:
                continue
            elif line["type"] == "answer":
                return line["response"]
            elif line["type"] == "withdrawn":
                raise Withdrawn
            elif line["type"] == "error":
                self.conversation.send(type="fail", error=line["message"], retryable=False)
                raise Ended

    def count(self, folder: pathlib.Path) -> None:
        count = FolderCount(self.state.get("count"))
        names = entries(folder)
        for number, name in enumerate(names, 1):
            if name <= count.done:
                continue  # the attempt before got so far
            self.answer_messages(count)
            files, size = count.add(str(folder / name))
            if (folder / name).is_dir():
                self.conversation.send(
                    type="tool_call", key=f"count:{number}", tool_name="count_files",
                    title=f"{name}: {files} files", output_type="text",
                    content=f"{files} files, {readable(size)} in {name}")
            count.done = name
            self.state["count"] = {"by_type": count.by_type, "done": count.done}
            self.checkpoint()
            self.conversation.cancelled.wait(self.flags.pace)
        self.report(folder, count)

    def report(self, folder: pathlib.Path, count: FolderCount) -> None:
        files, size = count.totals()
        summary = f"{files} files, {readable(size)} in {folder.name or '/'}"
        self.conversation.send(type="message", key="report",
                               content=f"{summary}\n\n{count.table()}")
        self.conversation.send(type="complete", summary=summary, result={
            "folder": str(folder), "files": files, "bytes": size,
            "by_type": {kind: {"files": n, "bytes": b} for kind, (n, b) in count.by_type.items()}})

    def answer_messages(self, count: FolderCount) -> None:
        """Tells whoever wrote meanwhile how far it is."""
        while (line := self.conversation.receive(0)) is not None:
            if line["type"] == "message":
                self.reply("I have counted {} files so far, {}.".format(
                    count.totals()[0], readable(count.totals()[1])))

    def reply(self, text: str) -> None:
        self.replies += 1
        attempt = self.conversation.start["attempt"]
        self.conversation.send(type="message", key=f"reply:{attempt}:{self.replies}", content=text)

    def checkpoint(self) -> None:
        self.conversation.send(type="checkpoint", state=self.state)

    def reply_to_missed(self) -> None:
        """Answers a human whose message woke this attempt, or reached the last one too late."""
        missed = False
        for event in self.conversation.start["transcript"]:
            if event["type"] in ("user_message", "agent_message"):
                missed = event["type"] == "user_message"
        if missed:
            self.reply("I am counting." if "folder" in self.state
                       else "I am waiting for an answer to my question.")

    def run(self) -> None:
        self.reply_to_missed()
        root = self.root()
        if "folder" not in self.state:
            folder = self.ask_folder(root)
            if folder is None:
                return
            self.state["folder"] = str(folder)
            self.checkpoint()
        folder = pathlib.Path(self.state["folder"])
        self.conversation.send(type="message", key="begin", content=f"Counting {folder.name or '/'}.")
        self.count(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=".", help="where the folders are; default: here. A "
                        "ticket's label `root` names a folder in it")
    parser.add_argument("--park", action="store_true",
                        help="do not wait for the answer as a process: park")
    parser.add_argument("--park_after", type=float, default=2.0, metavar="SECONDS",
                        help="how long to wait before parking; default 2")
    parser.add_argument("--pace", type=float, default=0.0, metavar="SECONDS",
                        help="a pause after each entry, to be watched")
    flags = parser.parse_args()
    try:
        Agent(Conversation(), flags).run()
    except (Ended, BrokenPipeError):
        pass
    return 0


if __name__ == "__main__":
    code = main()
    # The reading thread may still be in a read, which the interpreter would wait for.
    sys.stdout.flush()
    os._exit(code)
