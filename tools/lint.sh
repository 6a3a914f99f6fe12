#!/usr/bin/env bash
# What can be said about the source without running it.
#
#   tools/lint.sh                 format, protos, scripts, units, mutants that apply, types of the web part, alerts,
#                                 the rules of tools/lint/tidy_test.py
#   tools/lint.sh clang-tidy      clang-tidy over the whole tree (long)
set -euo pipefail
cd "$(dirname "$0")/.."

buf=$PWD/build/tools/buf/buf

check_format() {
  git ls-files -z -- '*.cc' '*.h' | xargs -0 -r -n 20 -P 2 clang-format-14 --dry-run -Werror
}

check_protos() {
  (cd proto && "$buf" lint && "$buf" breaking --against released.binpb)
}

# SC2317: it takes functions that are called through a variable or a trap for unreachable.
check_scripts() {
  git ls-files -z -- '*.sh' .ci/run tools/package/postinst tools/package/prerm tools/package/postrm | xargs -0 -r shellcheck --exclude=SC2317
}

# A mutant that no longer applies is one that nobody shows to be caught.
check_mutants() { tests/mutants/run.sh --applies; }

# How much of the system each service can reach, 0 to 10.
check_units() {
  local unit
  for unit in tools/package/*.service; do
    systemd-analyze security --offline=true --threshold=20 "$unit" >/dev/null ||
      { systemd-analyze security --offline=true "$unit" | tail -n 2; return 1; }
  done
}

check_web() { tools/web.sh check; }

# Alert rules with their tests, the dashboard, and the metrics that they name.
check_observability() { /usr/bin/python3 -B tools/lint/observability_test.py; }

check_tidy() { /usr/bin/python3 -B tools/lint/tidy_test.py; }

clang_tidy() {
  local files
  cmake --preset tidy >/dev/null || return
  # The generated headers must exist before anything that includes them is read.
  cmake --build build/tidy --target agentdesk_proto agentdesk_proto_grpc \
    agentdesk_proto_served agentdesk_store || return
  mapfile -t files < <(git ls-files -- 'core_service/*.cc' 'ws_gateway/*.cc' 'tools/*.cc')
  run-clang-tidy-14 -quiet -p build/tidy "${files[@]/#/^$PWD/}" 2>/dev/null
}

failed=0
run() {
  printf 'lint: %s\n' "$1"
  "$1" || { printf 'lint: %s FAILED\n' "$1" >&2; failed=1; }
}
case ${1:-} in
  clang-tidy) run clang_tidy ;;
  '')
    for check in check_format check_protos check_scripts check_units check_mutants check_web \
      check_observability check_tidy; do
      run "$check"
    done ;;
  --help) sed -n '2,/^set/s/^# \{0,1\}//p' tools/lint.sh; exit 0 ;;
  *) printf 'unknown: %s; see tools/lint.sh --help\n' "$1" >&2; exit 2 ;;
esac
exit "$failed"
