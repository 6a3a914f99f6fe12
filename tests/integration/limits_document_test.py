"""docs/SECURITY.md: the limits that it tells are those that the programs have, and none is left out."""

import re
import subprocess
import unittest

from agentdesk_test import BIN, ROOT

PROGRAMS = {"Limits of the gateway": "agentdesk-gateway", "Limits of the core": "agentdesk-core"}
UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
DURATION = re.compile(r"(\d+) (ms|s|m|h)")


def defaults(program: str) -> dict[str, str]:
    """What the program takes where nothing is said, by flag."""
    done = subprocess.run([BIN / program, "--check_config"], capture_output=True, text=True,
                          timeout=60, check=True, env={"PATH": "/usr/bin:/bin"})
    return dict(re.fullmatch(r"--(\w+)=(.*)", line).groups() for line in done.stdout.splitlines())


def rows(heading: str) -> dict[str, str]:
    """The default of each flag in the table under a heading, as it is written there."""
    text = (ROOT / "docs/SECURITY.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in section.splitlines() if line.startswith("|")]
    columns = table[0]
    found = {}
    for row in table[2:]:
        assert len(row) == len(columns), row
        flag = row[columns.index("flag")]
        if flag != "fixed":
            name = re.fullmatch(r"`--(\w+)`", flag)
            assert name is not None, f"neither a flag nor `fixed`: {row}"
            assert name[1] not in found, row
            found[name[1]] = row[columns.index("default")]
    return found


def as_flag(written: str) -> str:
    """A default as the document has it, as the program prints it."""
    if written.startswith("any number"):
        return "0"
    if (duration := DURATION.fullmatch(written)) is not None:
        return duration[1] + duration[2]
    number = re.fullmatch(r"([\d,]+) ?(KiB|MiB|GiB|)", written)
    assert number is not None, f"no number, size or time: {written!r}"
    return str(int(number[1].replace(",", "")) * UNITS[number[2]])


class LimitsDocumentTest(unittest.TestCase):
    def test_what_is_written_is_what_the_programs_have(self) -> None:
        for heading, program in PROGRAMS.items():
            has = defaults(program)
            for flag, written in rows(heading).items():
                with self.subTest(program, flag=flag):
                    self.assertEqual(as_flag(written), has[flag])

    def test_every_limit_that_can_be_set_is_written(self) -> None:
        for heading, program in PROGRAMS.items():
            with self.subTest(program):
                limits = {flag for flag in defaults(program)
                          if flag.startswith("max_") or flag.endswith("_timeout")}
                # How long browsers and calls have to leave when the program ends.
                self.assertEqual(set(rows(heading)), limits - {"drain_timeout"})

    def test_the_reader_of_numbers_is_not_fooled(self) -> None:
        for written, flag in (("2,000", "2000"), ("1 MiB", "1048576"), ("8 MiB", "8388608"),
                              ("10 s", "10s"), ("any number, since", "0")):
            self.assertEqual(as_flag(written), flag)
        for odd in ("", "some", "1 MB", "1 MiB, 10 s"):
            self.assertRaises(AssertionError, as_flag, odd)


if __name__ == "__main__":
    unittest.main()
