#!/usr/bin/env bash
# The web page and the browser library in ws_gateway/web: their parts, their build, their tests.
#
#   tools/web.sh install       what they are built from, into ws_gateway/web/node_modules
#   tools/web.sh build         the page that the gateway serves, into build/web/console
#   tools/web.sh check         their format and types
#   tools/web.sh test [FILE…]  their tests against build/release/bin, in Debian's Chromium
#   tools/web.sh node          prints the folder of a Node that is new enough
#
# Each does first what it needs, and nothing that is up to date. Where the Node on PATH is too old
# (Debian 12 has 18) a newer one comes from npm.
set -euo pipefail
cd "$(dirname "$0")/.."

web=$PWD/ws_gateway/web
page=build/web/console
stamps=build/web/stamp

say() { printf 'web: %s\n' "$*" >&2; }

# What Vite runs on: 20.19, 22.12 and what came after 22.
is_new_enough() {
  local major minor
  IFS=. read -r major minor _ < <("$1" --version 2>/dev/null | tr -d v) || return 1
  ((major > 22 || (major == 22 && minor >= 12) || (major == 20 && minor >= 19)))
}

# parts FOLDER NAME: `npm ci` there, unless it is as its lock file says.
parts() {
  local folder=$1 stamp=$stamps/$2.lock
  [[ -d $folder/node_modules ]] && cmp -s "$folder/package-lock.json" "$stamp" && return 0
  command -v npm >/dev/null || {
    say "npm is missing; tools/install.sh brings it"
    return 1
  }
  say "installing the parts of $2"
  mkdir -p "$stamps"
  # Said here, since nothing ends by itself within the condition of an if.
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null) || return 1
  cp "$folder/package-lock.json" "$stamp"
}

node_folder() {
  local fetched=$PWD/build/tools/node
  if is_new_enough node; then
    dirname "$(command -v node)"
    return 0
  fi
  if ! cmp -s tools/node/package-lock.json "$fetched/package-lock.json"; then
    mkdir -p "$fetched"
    cp tools/node/package.json tools/node/package-lock.json "$fetched/"
  fi
  parts "$fetched" node || return 1
  # The npm of Debian 12 makes no link to the program of an optional package.
  local program
  for program in "$fetched"/node_modules/node-linux-*/bin/node; do
    ln -sf "$program" "$fetched/node_modules/.bin/node"
  done
  is_new_enough "$fetched/node_modules/.bin/node" || {
    say "the Node from npm does not run on this machine ($(uname -m))"
    return 1
  }
  printf '%s\n' "$fetched/node_modules/.bin"
}

use_node() {
  local folder
  folder=$(node_folder)
  PATH=$folder:$PATH
}

install() {
  use_node
  parts "$web" web
}

build() {
  local newer
  if [[ -e $page/index.html ]]; then
    newer=$(find ws_gateway/web -name node_modules -prune -o -name dist -prune -o -name test -prune -o \
      -type f -not -name '*.tsbuildinfo' -newer $page/index.html -print -quit)
    [[ -n $newer ]] || return 0
  fi
  install
  say "building the page"
  (cd "$web" && npm run --silent build -- --logLevel=warn)
}

case ${1:-} in
  install) install ;;
  build) build ;;
  check)
    install
    (cd "$web" && npm run --silent check)
    ;;
  test)
    shift
    build
    install
    (cd "$web" && npm run --silent test -- "$@")
    ;;
  node) node_folder ;;
  --help) sed -n '2,/^set/s/^# \{0,1\}//p' tools/web.sh; exit 0 ;;
  *)
    printf 'unknown: %s; see tools/web.sh --help\n' "${1:-}" >&2
    exit 2
    ;;
esac
