"""Prints what a CreateTicket costs the core in instructions, by room, beside what it costs the gRPC floor.

  cmake --preset release -B build/shared -DAGENTDESK_ARCHIVES=OFF
  cmake --build build/shared --target agentdesk-core agentdesk-rpc-floor agentdesk_python_stubs
  /usr/bin/python3 tools/bench/create_profile.py [CREATES]

Of programs that share their libraries, since callgrind tells by the file which library a function is of.
Both run under valgrind's callgrind with 64 calls in flight, once for 64 calls and once for CREATES more; the
difference leaves out the start. Unlike times, the result hardly depends on what else the machine does. It
counts no work of the kernel. Valgrind has no instructions for SHA-256, so libcrypto, whose true cost is
small, is left out.
"""

import collections
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/shared"
sys.path.insert(0, str(BUILD / "python"))
import grpc  # noqa: E402
from agentdesk.v1 import ticket_pb2, ticket_pb2_grpc  # noqa: E402

IN_FLIGHT = 64
LIBRARIES = {
    "SQLite": ("libsqlite3",),
    "gRPC": ("libgrpc", "libgpr", "libupb", "libaddress_sorting"),
    "protobuf": ("libprotobuf",),
    "allocator": ("libjemalloc",),
    "C and C++ libraries": ("libc.", "libstdc++", "libm.", "libgcc", "ld-linux"),
    "abseil": ("libabsl",),
}
ROOMS = re.compile(r"agentdesk::(store|desk|domain|events|rpc)::")
ALLOCATOR = re.compile(r"(malloc|calloc|realloc|free|cfree|_int_\w+|operator (new|delete).*|\w*malloc_\w+)(@@.*|'2)?$")
GENERATED = re.compile(r"agentdesk::(record::)?v1::|google::protobuf::")


def room_of(library: str, function: str) -> str:
    if "libcrypto" in library:
        return ""
    if ALLOCATOR.match(function):
        return "allocator"
    for room, names in LIBRARIES.items():
        if library.startswith(names):
            return room
    if library.startswith("agentdesk-"):
        if GENERATED.match(function):
            return "protobuf"
        found = ROOMS.search(function)
        return f"our room {found[1]}" if found else "ours: the rest"
    return "the rest"


def costs(path: pathlib.Path) -> collections.Counter[str]:
    """Instructions by room, from callgrind's file: only what a function spends itself."""
    names: dict[str, dict[str, str]] = {"ob": {}, "fn": {}}
    at = {"ob": "", "fn": ""}
    found: collections.Counter[str] = collections.Counter()
    of_callee = False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if named := re.match(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?$", line):
            called, kind, number, name = named.groups()
            if name is not None:
                names[kind][number] = name
            if not called:
                at[kind] = number
        elif line.startswith("calls="):
            of_callee = True
        elif re.match(r"[\d+*-]", line):
            if not of_callee:
                library = pathlib.Path(names["ob"].get(at["ob"], "")).name
                found[room_of(library, names["fn"].get(at["fn"], ""))] += int(line.split()[-1])
            of_callee = False
    found.pop("", None)
    return found


def run(program: str, directory: pathlib.Path, creates: int) -> collections.Counter[str]:
    out = directory / f"{program}.{creates}"
    log = directory / f"{program}.{creates}.log"
    with log.open("w") as errors:
        server = subprocess.Popen(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", str(BUILD / "bin" / program),
             "--listen=127.0.0.1:0", "--admin_listen=", f"--data_dir={directory}/data.{creates}"], stderr=errors)
    try:
        while not (listening := re.search(r'"listening".*?127\.0\.0\.1:(\d+)', log.read_text())):
            if server.poll() is not None:
                raise SystemExit(f"{program} did not start:\n{log.read_text()}")
            time.sleep(0.1)
        with grpc.insecure_channel(f"127.0.0.1:{listening[1]}") as channel:
            create = ticket_pb2_grpc.TicketServiceStub(channel).CreateTicket
            under_way: collections.deque[grpc.Future] = collections.deque()
            for number in range(creates):
                if len(under_way) == IN_FLIGHT:
                    under_way.popleft().result()
                under_way.append(create.future(ticket_pb2.CreateTicketRequest(
                    ticket_name=f"bench-{number:010} a name that fills the message", description="x" * 100)))
            for call in under_way:
                call.result()
    finally:
        server.terminate()
        server.wait()
    return costs(out)


def of_one_create(program: str, directory: pathlib.Path, creates: int) -> dict[str, float]:
    start = run(program, directory, IN_FLIGHT)
    whole = run(program, directory, IN_FLIGHT + creates)
    return {room: (whole[room] - start[room]) / creates for room in whole}


def main() -> None:
    creates = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        directory = pathlib.Path(name)
        core = of_one_create("agentdesk-core", directory, creates)
        floor = of_one_create("agentdesk-rpc-floor", directory, creates)
    unit = sum(floor.values())
    print("| of a create | of the floor's whole call | share |\n|---|---|---|")
    for room, cost in sorted(core.items(), key=lambda item: -item[1]):
        print(f"| {room} | {cost / unit:.2f} | {100 * cost / sum(core.values()):.0f} % |")
    print(f"| all | {sum(core.values()) / unit:.2f} | {sum(core.values()):,.0f} instructions |")


if __name__ == "__main__":
    main()
