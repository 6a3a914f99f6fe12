#!/usr/bin/env bash
# Measures everything on this machine and writes docs/PERFORMANCE.md with its plots from that one run;
# about 20 minutes, in which nothing else should run here. Arguments go to agentdesk-bench.
#
#   tools/perf-report.sh                 measure, write
#   tools/perf-report.sh --repeats=9     the same, with more repeats
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  --help) sed -n '2,/^set/s/^# \{0,1\}//p' tools/perf-report.sh; exit 0 ;;
esac

result=build/release/performance.json
cmake --preset release >/dev/null
cmake --build --preset release --target agentdesk-bench
# In a file first: a run that fails leaves the document as it was.
build/release/bin/agentdesk-bench --json "$@" all >"$result.part"
mv "$result.part" "$result"
/usr/bin/python3 -B tools/bench/perf_report.py docs/PERFORMANCE.md <"$result"
printf 'docs/PERFORMANCE.md and docs/performance/ are written; the figures are also in %s\n' "$result"
