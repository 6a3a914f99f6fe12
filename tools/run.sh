#!/usr/bin/env bash
# Builds AgentDesk and runs all of it on this machine: the core, the gateway, and a worker with the
# demonstration agent. Ctrl-C ends it in order.
#
#   tools/run.sh               install what is missing, build, run
#   tools/run.sh --build-only  install and build, and stop
#
# The data is kept in $AGENTDESK_DATA_DIR (default ~/.local/state/agentdesk/data), the logs in
# ~/.local/state/agentdesk/log; $XDG_STATE_HOME stands for ~/.local/state where it is set. The ports are
# 50051, 50052 and 8000, or $AGENTDESK_CORE_PORT, $AGENTDESK_ADMIN_PORT and $AGENTDESK_GATEWAY_PORT.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  '' | --build-only) ;;
  --help) sed -n '2,/^set/s/^# \{0,1\}//p' tools/run.sh; exit 0 ;;
  *) printf 'unknown: %s; see tools/run.sh --help\n' "$1" >&2; exit 2 ;;
esac

core_port=${AGENTDESK_CORE_PORT:-50051}
admin_port=${AGENTDESK_ADMIN_PORT:-50052}
gateway_port=${AGENTDESK_GATEWAY_PORT:-8000}
state=${XDG_STATE_HOME:-$HOME/.local/state}/agentdesk
data=${AGENTDESK_DATA_DIR:-$state/data}
logs=$state/log
bin=$PWD/build/release/bin
# The flags below are meant; what is in the environment would reach all three programs alike.
unset AGENTDESK_LISTEN AGENTDESK_ADMIN_LISTEN AGENTDESK_CORE AGENTDESK_DATA_DIR

say() { printf '%s\n' "$*"; }

build() {
  tools/install.sh --build
  [[ -e build/release/build.ninja ]] || cmake --preset release >/dev/null
  cmake --build build/release --target agentdesk-core agentdesk-gateway agentdesk agentdesk-worker
  tools/web.sh build || say "The web page could not be built; the gateway shows its plain page instead."
}

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

require_free() {
  if is_taken "$1"; then
    say "Port $1, which the $2 needs, is taken: is AgentDesk already running? Find out: ss -ltnp 'sport = :$1'" >&2
    exit 1
  fi
}

declare -A pid_of=()

# start NAME COMMAND...: runs it in a process group of its own, so that Ctrl-C does not reach it
# before we end it in its turn.
start() {
  local name=$1
  shift
  set -m
  "$@" </dev/null >>"$logs/$name.log" 2>&1 &
  pid_of[$name]=$!
  set +m
}

is_alive() { kill -0 "${pid_of[$1]}" 2>/dev/null; }

# Waits up to 20 s for a condition, as long as the named program lives.
await() {
  local name=$1
  shift
  for _ in {1..200}; do
    "$@" && return 0
    is_alive "$name" || break
    sleep 0.1
  done
  say "The $name did not get ready; the end of $logs/$name.log:" >&2
  tail -n 5 "$logs/$name.log" >&2
  return 1
}

stop() {
  local name=$1 pid=${pid_of[$1]:-}
  [[ -n $pid ]] || return 0
  kill -TERM "$pid" 2>/dev/null || return 0
  for _ in {1..200}; do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  say "The $name did not end within 20 s and is killed."
  kill -KILL -- "-$pid" 2>/dev/null || true
}

# Work first, then the way in, then the truth: nobody loses what they still need to finish. That the
# output has gone, as it does when the terminal closes or Ctrl-C ends a `tee` behind it, stops nothing.
drain() {
  trap '' INT TERM HUP PIPE
  set +e
  say "Ending: the worker, the gateway, the core."
  for name in worker gateway core; do stop "$name"; done
}

gateway_is_ready() { curl --noproxy '*' -fs -o /dev/null --max-time 2 "http://127.0.0.1:$gateway_port/readyz"; }

build
[[ ${1:-} != --build-only ]] || exit 0

require_free "$core_port" core
require_free "$admin_port" core
require_free "$gateway_port" gateway
mkdir -p "$data" "$logs"
trap drain EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# launch NAME: starts it, and waits until it can be used.
launch() {
  case $1 in
    core)
      start core "$bin/agentdesk-core" "--listen=127.0.0.1:$core_port" \
        "--admin_listen=127.0.0.1:$admin_port" "--data_dir=$data"
      await core is_taken "$core_port"
      ;;
    gateway)
      start gateway "$bin/agentdesk-gateway" "--listen=127.0.0.1:$gateway_port" \
        "--core=127.0.0.1:$core_port"
      await gateway gateway_is_ready
      ;;
    worker)
      start worker "$bin/agentdesk-worker" "--core=127.0.0.1:$core_port" "--name=demo" \
        "--agent=exec /usr/bin/python3 tools/demo_agent.py"
      ;;
  esac
}

for name in core gateway worker; do launch "$name"; done

# What is printed can be pasted, whatever the checkout is called.
cli=$(printf '%q' "$bin/agentdesk")
[[ $core_port = 50051 ]] || cli+=" --core=127.0.0.1:$core_port"
grpcurl=$(printf '%q' "$PWD/build/tools/grpcurl")
[[ -x build/tools/grpcurl ]] || grpcurl="$(printf '%q' "$PWD/tools/install.sh") --grpcurl && $grpcurl"
cat <<EOF

AgentDesk is running. Its data is in $data, its logs in $logs.

  browser    http://localhost:$gateway_port/ shows tickets and questions as they are, and lets you answer
  watch      $cli watch
  curl       curl -X POST localhost:$gateway_port/tickets/create -H 'Content-Type: application/json' \\
               -d '{"ticket_name":"Count the files","description":"Which folder?"}'
  grpcurl    $grpcurl -plaintext -d '{"ticket_name":"Count the files"}' \\
               localhost:$core_port agentdesk.v1.TicketService/CreateTicket

  metrics    http://localhost:$admin_port/metrics (core), http://localhost:$gateway_port/metrics (gateway)

The demonstration agent will ask you something: $cli questions
Ctrl-C ends it all.
EOF

# None ends by itself. One that was killed is started again and goes on where it was; one that will not
# stay up has something to say.
declare -A ended_at=()
while true; do
  wait -n 2>/dev/null || true
  for name in core gateway worker; do
    is_alive "$name" && continue
    if ((SECONDS - ${ended_at[$name]:--60} < 5)); then
      say "The $name does not stay up; the end of $logs/$name.log:" >&2
      tail -n 5 "$logs/$name.log" >&2
      exit 1
    fi
    ended_at[$name]=$SECONDS
    say "The $name has ended, and is started again."
    launch "$name"
  done
done
