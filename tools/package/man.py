"""Writes the manual page of a program from what its --help says.

    python3 tools/package/man.py PROGRAM SECTION 'WHAT IT IS' > NAME.SECTION
"""

import pathlib
import re
import subprocess
import sys

FLAG = re.compile(r"^ {4}--(\w+) \((.*)\);(?: default: (.*);)?$")


def escape(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def help_of(program: str, *words: str) -> str:
    run = subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=False)
    return run.stdout


def joined(lines: list[str]) -> list[str]:
    """One line for each flag: abseil folds them at 80 columns."""
    whole: list[str] = []
    for line in lines:
        if line.startswith("      ") and whole and whole[-1].startswith("    --"):
            whole[-1] += " " + line.strip()
        else:
            whole.append(line)
    return whole


def page(name: str, section: str, summary: str, text: str) -> list[str]:
    return [f'.TH {name.upper()} {section} "" AgentDesk', ".SH NAME", f"{escape(name)} \\- {escape(summary)}",
            *text.splitlines()]


def of_abseil(name: str, text: str) -> str:
    lines = joined(text.splitlines())
    about = [line for line in lines if line.strip() and not line.startswith(("  Flags", "    --", "Try "))]
    about = [line for line in about if "--helpfull" not in line and "path." != line.strip()
             and "flags which include" not in line]
    out = [".SH SYNOPSIS", f".B {escape(name)}", "[\\fIFLAGS\\fR]", ".SH DESCRIPTION", ".nf"]
    out += [escape(line.removeprefix(f"{name}: ")) for line in about]
    out += [".fi", ".SH OPTIONS"]
    for line in lines:
        match = FLAG.match(line)
        if not match:
            continue
        flag, what, default = match.groups()
        out += [".TP", f"\\fB\\-\\-{escape(flag)}\\fR", escape(what)]
        if default:
            out += [f"Default: {escape(default)}."]
    out += [".PP", "Every flag can also come from the environment, as AGENTDESK_NAME, and from a file",
            "that \\-\\-flagfile names."]
    return "\n".join(out)


def of_command_line(program: str, text: str) -> str:
    out = [".SH SYNOPSIS", ".B agentdesk", "COMMAND [\\fIFLAGS\\fR]", ".SH DESCRIPTION", ".nf"]
    out += [escape(line) for line in text.splitlines()]
    out += [".fi", ".SH COMMANDS"]
    listed = text.partition("Commands:\n")[2].partition("\n\n")[0]
    for line in listed.splitlines():
        words = re.match(r"  ([a-z]+(?: [a-z]+)?)", line)
        if words:
            out += [f".SS {escape(words.group(1))}", ".nf"]
            own = help_of(program, *words.group(1).split()).partition("\nFlags of every command:")[0]
            out += [escape(one) for one in own.rstrip().splitlines()] + [".fi"]
    return "\n".join(out)


def main(program: str, section: str, summary: str) -> None:
    name = pathlib.Path(program).name
    text = help_of(program)
    if not text:
        sys.exit(f"{program} --help says nothing")
    body = of_command_line(program, text) if name == "agentdesk" else of_abseil(name, text)
    print("\n".join(page(name, section, summary, body)))


if __name__ == "__main__":
    main(*sys.argv[1:])
