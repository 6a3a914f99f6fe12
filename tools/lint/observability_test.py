"""The dashboard and the alerts speak of metrics that there are, and of nothing else.

Every metric stands in docs/OPERATIONS.md, and tests/integration/metrics_test.py shows that each of
those exists; so what is written there is what a query may use.
"""

import json
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OBSERVABILITY = ROOT / "tools/observability"
PROMTOOL = ROOT / "build/tools/promtool"
METRIC = re.compile(r"\b((?:agentdesk|grpc_server|process)_[a-z_]+)\b(?!\s*=)")
ROW = re.compile(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \|", re.M)


def documented() -> set[str]:
    text = (ROOT / "docs/OPERATIONS.md").read_text(encoding="utf-8")
    names = set()
    for name, kind in ROW.findall(text):
        names |= {name} if kind != "histogram" else {f"{name}_{part}"
                                                     for part in ("bucket", "count", "sum")}
    return names


def promtool(*arguments: str) -> str:
    """What it complains of; empty when all is well."""
    done = subprocess.run([str(PROMTOOL), *arguments], cwd=OBSERVABILITY, capture_output=True,
                          text=True, timeout=120)
    return "" if done.returncode == 0 else done.stdout + done.stderr


class AlertsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.rules = (OBSERVABILITY / "alerts.yaml").read_text(encoding="utf-8")
        self.alerts = set(re.findall(r"^ +- alert: (\w+)$", self.rules, re.M))

    def test_they_are_valid_and_fire_when_they_should(self) -> None:
        self.assertEqual(promtool("check", "config", "prometheus.yaml"), "")
        self.assertEqual(promtool("test", "rules", "alerts_test.yaml"), "")

    def test_each_is_shown_to_fire_and_not_to_fire(self) -> None:
        tests = (OBSERVABILITY / "alerts_test.yaml").read_text(encoding="utf-8")
        fires = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", tests))
        stays = set(re.findall(r"alertname: (\w+)\n +exp_alerts: \[\]\n", tests))
        self.assertGreater(len(self.alerts), 10)
        self.assertEqual(fires, self.alerts)
        self.assertEqual(stays, self.alerts)

    def test_each_has_its_answer_in_the_documents(self) -> None:
        text = (ROOT / "docs/OPERATIONS.md").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"^\| `(AgentDesk\w+)` \|", text, re.M)), self.alerts)

    def test_they_use_metrics_that_there_are(self) -> None:
        used = set()
        for expression in re.findall(r"expr: (.*(?:\n {12}.*)*|\|(?:\n {10,}.*)+)", self.rules):
            used |= set(METRIC.findall(expression))
        self.assertGreater(len(used), 10)
        self.assertLessEqual(used, documented())


class DashboardTest(unittest.TestCase):
    def setUp(self) -> None:
        self.dashboard = json.loads((OBSERVABILITY / "dashboard.json").read_text(encoding="utf-8"))
        self.panels = self.dashboard["panels"]

    def test_its_panels_do_not_overlap(self) -> None:
        self.assertEqual(len({panel["id"] for panel in self.panels}), len(self.panels))
        taken: set[tuple[int, int]] = set()
        for panel in self.panels:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells

    def test_it_shows_metrics_that_there_are_and_all_of_ours(self) -> None:
        queries = "\n".join(target["expr"] for panel in self.panels
                            for target in panel.get("targets", []))
        used = set(METRIC.findall(queries))
        self.assertLessEqual(used, documented())
        shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in used}
        ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in documented()
                if not name.startswith("process_")}
        self.assertEqual(ours - shown, set())


if __name__ == "__main__":
    unittest.main()
