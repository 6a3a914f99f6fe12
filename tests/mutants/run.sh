#!/usr/bin/env bash
# Shows that the tests catch what they must: each patch here plants a fault of the kind that loses or
# doubles something, in a copy of the tree, and the test that it names must then fail.
#
#   tests/mutants/run.sh            build each mutant and run its test
#   tests/mutants/run.sh --applies  only check that every patch still applies
set -euo pipefail
cd "$(dirname "$0")/../.."

field() { sed -n "s/^$2: //p" "$1"; }

patches=(tests/mutants/*.patch)
if [[ ${1:-} = --applies ]]; then
  for patch in "${patches[@]}"; do git apply --check "$patch"; done
  exit 0
fi

copy=build/mutants/tree
build=$copy/build/release
rm -rf "$copy"
mkdir -p "$copy"
git ls-files -z | xargs -0 cp --parents -t "$copy"

run_test() {
  timeout 300 "$build/bin/$1" --gtest_brief=1 --gtest_filter="$2" >"$copy/../test.log" 2>&1
}

# Everything is built once, from the tree as it is, and each named test must pass there: a test that
# fails anyway catches nothing.
# The preset is that of the release, and at the same place in the tree: what the mutants leave as it is
# comes from the compiler's cache.
(cd "$copy" && cmake --preset release -DAGENTDESK_GRPC=OFF >/dev/null)
missed=0
for patch in "${patches[@]}"; do
  target=$(field "$patch" Target)
  filter=$(field "$patch" 'Caught by')
  cmake --build "$build" --target "$target" >/dev/null
  run_test "$target" "$filter" || { printf '%s: %s fails without it\n' "$patch" "$filter"; exit 1; }
  patch -d "$copy" -p1 -s <"$patch"
  cmake --build "$build" --target "$target" >/dev/null
  if run_test "$target" "$filter"; then
    printf 'MISSED  %s\n' "$(basename "$patch" .patch)"
    missed=1
  else
    printf 'caught  %s, by %s\n' "$(basename "$patch" .patch)" "$filter"
  fi
  patch -d "$copy" -p1 -s -R <"$patch"
done
exit "$missed"
