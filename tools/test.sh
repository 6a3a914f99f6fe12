#!/usr/bin/env bash
# Everything that must hold before a change lands.
#
#   tools/test.sh         lint; all tests in release, those that are not too slow for it with the address
#                         sanitizer, and with the thread sanitizer those of all that is free of gRPC
#   tools/test.sh --all   also more rounds of each fault, clang-tidy of the whole tree, the mutants, and
#                         the package in a clean Debian
set -euo pipefail
cd "$(dirname "$0")/.."

all=0
case ${1:-} in
  '') ;;
  --all) all=1 ;;
  --help) sed -n '2,/^set/s/^# \{0,1\}//p' tools/test.sh; exit 0 ;;
  *) printf 'unknown: %s; see tools/test.sh --help\n' "$1" >&2; exit 2 ;;
esac
[[ $all = 0 ]] || export AGENTDESK_TEST_SCALE=10 AGENTDESK_TEST_SEEDS=500 AGENTDESK_FUZZ_SECONDS=60 \
  AGENTDESK_FUZZ_SEED=0

passed=0
failed=0
failures=()
said=$(mktemp)
trap 'rm -f "$said"' EXIT
jobs=$(nproc)

# step NAME COMMAND...: runs it, says how long it took, counts it.
step() {
  local name=$1 begin=$SECONDS status=0
  shift
  printf '\n=== %s\n+ %s\n' "$name" "$*"
  "$@" || status=$?
  printf '=== %s: %s after %d s\n' "$name" "$([[ $status = 0 ]] && echo ok || echo FAILED)" \
    $((SECONDS - begin))
  if [[ $status = 0 ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    failures+=("$name")
  fi
  return 0
}

# build PRESET: everything of it. A failure here is told once, and its tests are not run.
build() {
  cmake --preset "$1" >/dev/null && cmake --build --preset "$1" -j "$jobs"
}

# tests PRESET NAME [ctest arguments]: counts each test, not the run, and keeps what the failed ones said
# for the end, where it is looked for.
tests() {
  local preset=$1 name=$2 log status=0 total bad
  shift 2
  log=$(mktemp)
  printf '\n=== %s\n+ ctest --preset %s %s\n' "$name" "$preset" "$*"
  ctest --preset "$preset" "$@" 2>&1 | tee "$log" || status=$?
  total=$(sed -nE 's/.* tests failed out of ([0-9]+)$/\1/p' "$log")
  bad=$(sed -nE 's/.*, ([0-9]+) tests failed out of .*/\1/p' "$log")
  if [[ -z $total ]]; then
    failed=$((failed + 1))
    failures+=("$name: no test ran")
  else
    passed=$((passed + total - bad))
    failed=$((failed + bad))
  fi
  # What ctest says of a failed test: its line with the stars, and what the test printed, up to the next one's.
  awk '/^ *[0-9]+\/[0-9]+ Test +#/ { failed = /\*\*\*/ } /^ +Start +[0-9]+: / { failed = 0 } failed' \
    "$log" >>"$said"
  while read -r test; do failures+=("$name: $test"); done < <(
    sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: (.*[^ .]) *\.*\*\*\*.*/\1/p' "$log")
  rm -f "$log"
}

# preset NAME [ctest arguments]: builds it and runs its tests, more at a time than there are processors,
# since most wait for processes or times; tests that measure or count descriptors run alone, which their
# own RUN_SERIAL sees to.
preset() {
  local name=$1 before=$failed
  shift
  step "build $name" build "$name"
  [[ $failed = "$before" ]] || return 0
  tests "$name" "tests $name" -j $((jobs * 2)) "$@"
}

step 'install' tools/install.sh
step 'lint' tools/lint.sh
step 'web page' tools/web.sh build
preset release
step 'web' tools/web.sh test
preset tsan
preset asan -LE release_only
if [[ $all = 1 ]]; then
  step 'clang-tidy' tools/lint.sh clang-tidy
  step 'mutants' tests/mutants/run.sh
  step 'package' tools/package/smoke.sh
fi

printf '\n'
cat "$said"
for failure in ${failures[@]+"${failures[@]}"}; do printf 'FAILED: %s\n' "$failure"; done
printf 'took %d min\n' $((SECONDS / 60))
printf '%d passed, %d failed\n' "$passed" "$failed"
[[ $failed = 0 ]]
