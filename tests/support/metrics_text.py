"""What a process tells about itself on /metrics, read as Prometheus would."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from typing import Any

import http_client
from agentdesk_test import ROOT, wait_until

SAMPLE = re.compile(r"^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-z_]+)="([^"]*)"')
TYPE = re.compile(r"^# TYPE (\S+) (\S+)$", re.M)
# A row of a table in docs/OPERATIONS.md: | `name` | type | labels | meaning |
ROW = re.compile(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \| (.*?) \|", re.M)


class MetricsPage:
    """The page of one process, read anew for each question."""

    def __init__(self, address: Callable[[], str], **headers: str) -> None:
        self._address = address  # asked each time: a process that was restarted may have another
        self._headers = headers

    def text(self) -> str:
        answer = http_client.call(self._address(), "GET", "/metrics", **self._headers)
        assert answer.status == 200, answer.text
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return answer.text

    def types(self) -> dict[str, str]:
        """The families there are, with their types."""
        return dict(TYPE.findall(self.text()))

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples with this name and these labels; 0 where there are none."""
        total = 0.0
        for line in self.text().splitlines():
            sample = SAMPLE.match(line)
            if sample is None or sample[1] != name:
                continue
            found = dict(LABEL.findall(sample[2] or ""))
            if all(found.get(label) == value for label, value in labels.items()):
                total += float(sample[3])
        return total

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """The values of one metric by those of its label."""
        samples = [sample for line in self.text().splitlines()
                   if (sample := SAMPLE.match(line)) is not None and sample[1] == name]
        return {dict(LABEL.findall(sample[2]))[label]: float(sample[3]) for sample in samples}

    def wait(self, test: Callable[[float], bool], name: str, **labels: str) -> float:
        """Waits until the value passes the test; returns it."""
        last: list[Any] = [None]

        def passes() -> bool:
            last[0] = self.value(name, **labels)
            return test(last[0])
        try:
            wait_until(passes, f"{name}{labels} that passes")
        except AssertionError as problem:
            raise AssertionError(f"{problem}; it is {last[0]}") from None
        return last[0]


def documented_labels(name: str) -> set[str]:
    """The values of its label that docs/OPERATIONS.md lists in the row of a metric."""
    text = pathlib.Path(ROOT / "docs/OPERATIONS.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{name}` \| \w+ \| `\w+` \| (.*) \|$", text, re.M)
    assert row is not None, name
    return set(re.findall(r"`(\w+)`", row[1]))


def documented(heading: str) -> dict[str, str]:
    """The metrics that docs/OPERATIONS.md lists under a heading, with their types."""
    text = pathlib.Path(ROOT / "docs/OPERATIONS.md").read_text(encoding="utf-8")
    section = text.split(f"\n### {heading}\n", 1)[1].split("\n##", 1)[0]
    return {name: kind for name, kind, _ in ROW.findall(section)}
