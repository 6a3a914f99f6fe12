"""Writes docs/PERFORMANCE.md and its plots from the JSON of one run of agentdesk-bench.

Its last part is docs/performance/analysis.md, which is written by hand.
"""

import json
import pathlib
import subprocess
import sys
from typing import Any

INTRODUCTION = """# Performance

Written by `tools/perf-report.sh` from one run of `agentdesk-bench all`; only its last part, "Where the time
goes", is written by hand (`docs/performance/analysis.md`). Each figure of the first table is a ratio
against a floor that was measured beside it, in turn, on the same machine and with the same load; the
floors are in `tools/bench`:

- the **frame floor**: one thread with epoll that takes the same `POST`, keeps nothing, and writes one
  prepared frame to each socket with one `send`;
- the **gRPC floor**: a callback service that answers at once, and a stream of one typed event a message.

The gRPC floor can keep its tickets, too, and do nothing else: **with the core's tables** it answers when the rows that
the core stores for a ticket are in the same tables and on the disk, **with a file** when its answer is at the end of
one. And **both floors** are the frame floor that calls the one with the core's tables, and waits, before it writes.
These set no bar; they tell what a bar leaves to two processes that lose nothing.

The load (`tools/agentdesk-bench`) is one thread and shares no code with the product. It checks every
byte that every browser gets against what the others got, and every call for its acknowledgement: a run
that loses anything gives no figures. Clients come from 127.0.0.2 to 127.0.0.64; the core, the gateway,
the load and the floor share the machine. A figure is the median of its repeats, with the lowest and
the highest.
"""
# Which series go into one plot: (file, title, y axis, names that begin so, logarithmic axes).
PLOTS = [
    ("fanout", "fanout-deliveries", "Deliveries a second", "deliveries a second", "xy"),
    ("fanout", "fanout-cpu", "Server CPU a delivery (µs)", "server CPU a delivery", "xy"),
    ("latency", "latency", "Delay from the create call to the browser (ms)", "", "y"),
    ("growth", "growth", "CPU a call, of that on an empty log", "", "x"),
    ("soak", "soak", "Memory (MiB)", "", ""),
]


def number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def spread(figure: dict[str, Any]) -> str:
    if len(figure["samples"]) == 1:
        return number(figure["median"])
    return f"{number(figure['median'])} ({number(figure['low'])} to {number(figure['high'])})"


def quoted(text: str) -> str:
    """As gnuplot takes it."""
    return "'" + text.replace("'", "''") + "'"


def bars_table(result: dict[str, Any]) -> list[str]:
    lines = ["| path | figure | measured | bar | |", "|---|---|---|---|---|"]
    for path in result["paths"]:
        for bar in path["bars"]:
            met = "met" if bar["met"] else "**missed**"
            lines.append(f"| {path['path']} | {bar['name']} | {spread(bar)} | {bar['rule']} {number(bar['bar'])} | {met} |")
    return lines


def path_section(path: dict[str, Any]) -> list[str]:
    lines = [f"### {path['path']}: {path['title']}", ""]
    lines += [f"{note}.\n" for note in path["notes"]]
    if path["measures"]:
        lines += ["| what | measured | |", "|---|---|---|"]
        lines += [f"| {measure['name']} | {spread(measure)} | {measure['unit']} |" for measure in path["measures"]]
        lines.append("")
    return lines


def plot(path: dict[str, Any], title: str, begins: str, log_axes: str, out: pathlib.Path) -> bool:
    """Draws what the path has for this plot; False when it has nothing."""
    series = [line for line in path["series"] if line["name"].startswith(begins)]
    if not series:
        return False
    script = [
        "set terminal svg size 720,400 font 'sans-serif,13' background '#ffffff'",
        f"set output {quoted(str(out))}", f"set title {quoted(title)}", f"set xlabel {quoted(series[0]['x'])}",
        "set grid", "set key below"]
    script += [f"set logscale {axis}" for axis in log_axes]
    if "y" not in log_axes:
        script.append("set yrange [0:*]")
    for index, line in enumerate(series):
        script.append(f"$data{index} << END")
        script += [f"{x} {y}" for x, y in line["points"]]
        script.append("END")
    drawn = [f"$data{index} title {quoted(line['name'])} with linespoints linewidth 2 pointtype 7 pointsize 0.5"
             for index, line in enumerate(series)]
    script.append("plot " + ", ".join(drawn))
    subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=True)
    return True


def write(result: dict[str, Any], document: pathlib.Path) -> None:
    pictures = document.parent / "performance"
    pictures.mkdir(exist_ok=True)
    about = result["about"]
    settings = ", ".join(f"{name} {number(value)}" for name, value in about["settings"].items())
    lines = [INTRODUCTION, f"This run: AgentDesk {about['version']} on {about['processors']} processors ({about['processor']}), "
             f"Linux {about['kernel']}; load average before it {about['load_before']}. Settings: {settings}.", ""]
    lines += bars_table(result)
    lines += ["", "## Plots", ""]
    for name, file, title, begins, log_axes in PLOTS:
        for path in result["paths"]:
            if path["path"] == name and plot(path, title, begins, log_axes, pictures / f"{file}.svg"):
                lines += [f"![{title}](performance/{file}.svg)", ""]
    lines += ["## All that was measured", "",
              "Absolute figures hold for the machine of this run alone.", ""]
    for path in result["paths"]:
        lines += path_section(path)
    analysis = pictures / "analysis.md"
    if analysis.exists():
        lines.append(analysis.read_text(encoding="utf-8").rstrip("\n"))
    document.write_text("\n".join(lines).rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(json.load(sys.stdin), pathlib.Path(sys.argv[1]))
