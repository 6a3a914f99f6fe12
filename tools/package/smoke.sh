#!/usr/bin/env bash
# Installs the Debian package in a clean Debian 12 (debootstrap, needs root) and tries it there: both
# services, the tools, backup and restore, manual pages, completion, removal.
#
#   tools/package/smoke.sh [PACKAGE.deb]
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'smoke: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

[[ $EUID -eq 0 ]] || fail "needs root, for a chroot"
deb=${1:-}
if [[ -z $deb ]]; then
  cmake --preset release >/dev/null
  cmake --build --preset release --target package_programs
  (cd build/release && rm -f agentdesk_*.deb && cpack >/dev/null)
  deb=$(ls build/release/agentdesk_*.deb)
fi
for unit in tools/package/*.service; do
  systemd-analyze security --offline=true --threshold=20 "$unit" >/dev/null ||
    fail "$unit is exposed more than 2.0"
done

root=$(mktemp -d)
chmod 755 "$root"  # its services are not root
pids=()
cleanup() {
  local pid
  for pid in ${pids[@]+"${pids[@]}"}; do kill "$pid" 2>/dev/null || true; done
  wait || true
  umount "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$root"
}
trap cleanup EXIT

mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' \
  /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -n 1 || true)
say "a clean Debian 12 from ${mirror:-the default mirror}"
debootstrap --variant=minbase bookworm "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 ||
  { tail -n 5 "$root.log" >&2; fail "debootstrap failed"; }
rm -f "$root.log"
mount -t proc proc "$root/proc"
inside() { chroot "$root" "$@"; }

say "installing $deb"
cp "$deb" "$root/tmp/agentdesk.deb"
inside env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  /tmp/agentdesk.deb >/dev/null

for file in /usr/share/man/man1/agentdesk.1 /usr/share/man/man8/agentdesk-core.8 \
  /usr/share/bash-completion/completions/agentdesk /usr/share/agentdesk/agentdesk.binpb \
  /lib/systemd/system/agentdesk-core.service /etc/agentdesk/core.flags \
  /usr/share/doc/agentdesk/docs/OPERATIONS.md; do
  [[ -s $root$file || -s $root$file.gz || -s $root/usr$file ]] || fail "$file is missing"
done
# shellcheck disable=SC2016
inside bash -c 'set -u; . /usr/share/bash-completion/completions/agentdesk
  COMP_WORDS=(agentdesk admin ""); COMP_CWORD=2; COMPREPLY=(); _agentdesk 2>/dev/null
  [[ " ${COMPREPLY[*]} " == *" backup "* ]]' || fail "the completion does not complete"

# serve NAME FLAGS...: starts a service as its unit does, but on a free port; says where in $address.
serve() {
  local name=$1 log="$root/tmp/$1.log" i
  shift
  # It becomes the service, so that its process is the one that is ended later.
  chroot "$root" setpriv --reuid=agentdesk --regid=agentdesk --clear-groups "/usr/bin/$name" "$@" \
    --listen=127.0.0.1:0 2>"$log" &
  pids+=($!)
  for ((i = 0; i < 300; i++)); do
    address=$(sed -n 's/.*"listening".*"address":"\([^"]*\)".*/\1/p' "$log")
    [[ -z $address ]] || return 0
    sleep 0.1
  done
  cat "$log" >&2
  fail "$name does not listen"
}

# await_200 ADDRESS PATH: waits until that answers 200.
await_200() {
  local answer='' i
  for ((i = 0; i < 300; i++)); do
    answer=$(exec 3<>"/dev/tcp/${1%:*}/${1##*:}" &&
      printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$2" "$1" >&3 &&
      head -n 1 <&3) || true
    [[ $answer != *" 200 "* ]] || return 0
    sleep 0.1
  done
  fail "http://$1$2 does not answer 200: $answer"
}

inside install -d -o agentdesk -g agentdesk -m 0700 /var/lib/agentdesk
serve agentdesk-core --flagfile=/etc/agentdesk/core.flags --admin_listen=127.0.0.1:0
core=$address
admin=$(sed -n 's/.*"listening".*"admin":"\([^"]*\)".*/\1/p' "$root/tmp/agentdesk-core.log")
serve agentdesk-gateway --flagfile=/etc/agentdesk/gateway.flags --core="$core"
gateway=$address
inside agentdesk ticket create "From a package" --core="$core" >/dev/null
inside agentdesk ticket list --core="$core" | grep -q "From a package" || fail "no ticket"
await_200 "$gateway" /readyz
await_200 "$gateway" /metrics
for path in /livez /readyz /metrics; do await_200 "$admin" "$path"; done
inside agentdesk admin backup /tmp/backup --core="$core" >/dev/null
inside agentdesk admin restore /tmp/backup /tmp/restored >/dev/null
inside agentdesk admin check /tmp/restored >/dev/null
for pid in "${pids[@]}"; do kill -TERM "$pid"; done
for pid in "${pids[@]}"; do wait "$pid" || fail "a service did not end well"; done
pids=()
inside agentdesk admin check /var/lib/agentdesk >/dev/null

inside dpkg --purge agentdesk >/dev/null 2>&1
[[ ! -e $root/usr/bin/agentdesk-core && -e $root/var/lib/agentdesk/desk.sqlite3 ]] ||
  fail "removing left a program, or took the desk"
say "ok"
