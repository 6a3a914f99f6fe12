#!/usr/bin/env bash
# Installs what AgentDesk needs from Debian's packages, and only what is missing.
#
#   tools/install.sh             what building and running needs, and what the tests need
#   tools/install.sh --build     only what building and running needs
#   tools/install.sh --grpcurl   only grpcurl, which Debian does not have: it is built, as build/tools/grpcurl
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  '' | --build | --grpcurl) ;;
  --help) sed -n '2,/^set/s/^# \{0,1\}//p' tools/install.sh; exit 0 ;;
  *) printf 'unknown: %s; see tools/install.sh --help\n' "$1" >&2; exit 2 ;;
esac

build_packages=(
  cmake ninja-build ccache g++ pkg-config
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev grpc-proto
  libabsl-dev libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev
  libsqlite3-dev libjemalloc-dev libssl-dev libcurl4-openssl-dev libspdlog-dev prometheus-cpp-dev
  libgtest-dev libgmock-dev libbenchmark-dev libnghttp2-dev
  python3 curl ca-certificates
)
test_packages=(
  clang-14 clang-tidy-14 clang-format-14 libclang-rt-14-dev
  python3-websockets python3-grpcio python3-protobuf python3-yaml
  git openssl strace sqlite3 shellcheck util-linux gnuplot-nox debootstrap dpkg-dev systemd faketime
  chromium fonts-dejavu-core fonts-noto-color-emoji
)

say() { printf 'install: %s\n' "$*"; }

apt() {
  if [[ $EUID -eq 0 ]]; then
    DEBIAN_FRONTEND=noninteractive apt-get "$@"
  elif command -v sudo >/dev/null; then
    sudo DEBIAN_FRONTEND=noninteractive apt-get "$@"
  else
    say "this needs root or sudo: apt-get $*" >&2
    exit 1
  fi
}

# Prints those of the named packages that are not installed.
missing_of() {
  local installed
  # dpkg-query fails when it does not know one of the names; what it prints is right all the same.
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
    sed -n 's/^installed //p' || true)
  comm -23 <(printf '%s\n' "$@" | sort) <(sort <<<"$installed")
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_of "$@")
  [[ ${#missing[@]} -gt 0 ]] || return 0
  say "installing ${missing[*]}"
  apt update -qq
  apt install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

require_npm() { command -v npm >/dev/null || install_packages nodejs npm; }

# What the web page is built from. Where that cannot be had, the gateway shows a plain page.
install_web() {
  require_npm
  tools/web.sh install
}

# The Node that the web part fetches where the one on PATH is too old. The test of that finds it in
# npm's cache, and what the page is built from as well.
install_node() {
  local stamp=build/tools/node-in-cache.lock
  cmp -s tools/node/package-lock.json "$stamp" && return 0
  require_npm
  say "fetching the Node that a test takes"
  local scratch
  scratch=$(mktemp -d)
  cp tools/node/package.json tools/node/package-lock.json "$scratch/"
  npm ci --prefix "$scratch" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
  rm -rf "$scratch"
  mkdir -p build/tools
  cp tools/node/package-lock.json "$stamp"
}

# The linter and breaking-change check of the protos. Its package brings a ready program; node only
# fetches it.
install_buf() {
  local stamp=build/tools/buf/.stamp
  cmp -s tools/buf/package-lock.json "$stamp" && return 0
  require_npm
  say "installing buf"
  mkdir -p build/tools/buf
  cp tools/buf/package.json tools/buf/package-lock.json build/tools/buf/
  npm ci --prefix build/tools/buf --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
  # npm passes over an optional package that it cannot fetch, and says nothing.
  local program
  program=$(find "$PWD/build/tools/buf/node_modules" -path '*/bin/buf' -type f | head -n 1)
  [[ -n $program ]] || {
    say "npm brought no buf for this machine: is the npm registry reachable? npm ping" >&2
    exit 1
  }
  ln -sf "$program" build/tools/buf/buf
  build/tools/buf/buf --version >/dev/null
  cp tools/buf/package-lock.json "$stamp"
}

# What reads docs/asyncapi.yaml and docs/openapi.yaml and judges the gateway by them.
install_api_checker() {
  local stamp=build/tools/api/.stamp
  cmp -s tools/api/package-lock.json "$stamp" && return 0
  require_npm
  say "installing the checker of the API's documents"
  mkdir -p build/tools/api
  cp tools/api/package.json tools/api/package-lock.json build/tools/api/
  npm ci --prefix build/tools/api --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
  cp tools/api/package-lock.json "$stamp"
}

# What checks metrics, alerts and their tests. Taken out of its package, which would install and
# start a server as well.
install_promtool() {
  [[ -x build/tools/promtool ]] && return 0
  local scratch
  scratch=$(mktemp -d)
  say "unpacking promtool"
  mkdir -p build/tools
  (
    cd "$scratch"
    apt-get download -qq prometheus 2>/dev/null || {
      apt update -qq
      apt-get download -qq prometheus
    }
    dpkg-deb -x prometheus_*.deb .
  )
  cp "$scratch/usr/bin/promtool" build/tools/promtool
  rm -rf "$scratch"
}

# A gRPC client that shares no code with us. Pinned to the last version that Debian's Go builds.
install_grpcurl() {
  local version=v1.9.1
  local stamp=build/tools/grpcurl.$version
  [[ -e $stamp ]] && return 0
  command -v go >/dev/null || install_packages golang-go
  say "installing grpcurl $version"
  mkdir -p build/tools
  if GOTOOLCHAIN=local GOBIN="$PWD/build/tools" timeout 300 \
    go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$version" 2>build/tools/grpcurl.log; then
    touch "$stamp"
  else
    say "grpcurl could not be built ($(tail -n 1 build/tools/grpcurl.log))"
    return 1
  fi
}

[[ -r /etc/debian_version ]] || {
  say "this is not Debian; install by hand what the lists in $0 name" >&2
  exit 1
}
if [[ ${1:-} = --grpcurl ]]; then
  install_grpcurl
  exit
fi
install_packages "${build_packages[@]}"
if [[ ${1:-} = --build ]]; then
  (install_web) || say "the web page cannot be built: its parts could not be installed"
else
  install_packages "${test_packages[@]}"
  install_web
  install_node
  install_buf
  install_api_checker
  install_grpcurl || say "buf curl takes its place"
  install_promtool
fi
