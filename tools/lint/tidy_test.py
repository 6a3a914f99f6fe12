"""The rules of the tree that no compiler checks: who may include whom, names, sizes, words.

Each rule is a function from a file (its path and text) to the complaints about it, and each is tried
on a planted offence, so that a rule that has stopped looking fails here.
"""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

TOP_LEVEL = {
    "CMakeLists.txt", "CMakePresets.json", "proto", "core_service", "ws_gateway", "tests", "tools",
    "docs", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
}

# Which rooms a room may include besides itself; docs/ARCHITECTURE.md draws the same picture.
CORE_ROOMS = {
    "base": set(),
    "grpc_settings": {"base"},
    "client": {"base", "grpc_settings"},
    "domain": {"base"},
    "store": {"base"},
    "offline": {"domain", "store", "base"},
    "events": {"store", "base"},
    "desk": {"domain", "store", "events", "base"},
    "rpc": {"desk", "events", "base", "grpc_settings"},
}
GATEWAY_ROOMS = {
    "frame": set(),
    "transport": {"frame"},
    "json_writer": set(),
    "resource_json": {"json_writer"},
    "event_json": {"frame", "resource_json", "json_writer"},
    "client_protocol": {"event_json", "resource_json", "json_writer", "frame"},
    "request_rules": {"json_writer", "transport"},
    "commands": {"client_protocol", "event_json"},
    "connection": {"client_protocol", "commands", "event_json", "resource_json", "transport",
                   "frame"},
    "hub": {"connection", "commands", "client_protocol", "event_json", "frame"},
    "shard": {"hub", "connection", "commands", "request_rules", "client_protocol", "event_json",
              "transport", "frame"},
    "web_files": set(),
    "http": {"hub", "connection", "commands", "client_protocol", "event_json", "resource_json", "json_writer",
             "request_rules", "transport", "web_files"},
    "upstream": {"shard", "commands", "client_protocol", "event_json", "request_rules", "frame"},
}
# Files of the gateway that are not named after their room.
GATEWAY_FILES = {
    "acceptor": "transport", "address_limit": "transport", "connection_set": "transport",
    "http_message": "transport", "maybe_tls_stream": "transport", "outbox": "transport",
    "outbox_connection": "transport",
    "stream_connection": "transport", "tcp": "transport", "tls_acceptor": "transport",
    "tls_session": "transport",
    "recent_events": "event_json",
    "field_reader": "client_protocol", "server_message": "client_protocol",
    "close_code": "client_protocol",
    "credential": "request_rules", "http_error": "request_rules", "origin": "request_rules",
    "request_handler": "request_rules", "gateway_state": "request_rules",
    "connection_access": "connection", "event_cursor": "connection", "load_limits": "connection",
    "outbox_memory": "hub", "fan_out_pace": "shard",
    "http_exchange": "http", "notion_webhook": "http", "sign_in": "http", "start_page": "http",
    "core_commands": "upstream", "core_link": "upstream",
}
# The JSON of events and of what they are about is the same for browsers, agents and the command line.
SHARED_JSON = {"ws_gateway/event_json", "ws_gateway/resource_json", "ws_gateway/json_writer"}
# These sit on top of their service and see all of it.
TOP_FILES = {"admin_port", "main", "config", "pulse", "server"}

# Headers of libraries that only these rooms may see.
LIBRARIES = {
    r'grpcpp/|grpc/': {"core_service/rpc", "core_service/client", "core_service/grpc_settings",
                       "core_service/top", "ws_gateway/upstream", "ws_gateway/top", "tools",
                       "tools/bench", "tests"},
    r'sqlite3\.h': {"core_service/store", "tools/bench", "tests"},
    r'boost/beast': {"ws_gateway/transport", "tests"},
}

BANNED_NAMES = re.compile(r"(^|[_/.])(manager|helper|helpers|utils?|common|misc|impl)([_/.]|$)")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
SLEEPS = re.compile(r"sleep_(for|until)|usleep\(|\b(time|asyncio)\.sleep|SleepFor")
INCLUDE = re.compile(r'^#include "((?:core_service|ws_gateway)/[^"]+)"', re.M)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u2028\u2029\ufeff]")
MAX_LINES = 600
CODE = {".cc", ".h", ".py", ".sh", ".proto", ".sql", ".ts", ".tsx"}
TEXT = CODE | {".md", ".txt", ".json", ".yaml", ".cmake", ""}


def room_of(path: str) -> str | None:
    """The room that a C++ file belongs to, `SERVICE/top` for what sits on top, None outside."""
    parts = path.split("/")
    if parts[:2] == ["tools", "bench"]:
        return "tools/bench"
    if parts[0] in {"tools", "tests"}:
        return parts[0]
    if parts[0] not in {"core_service", "ws_gateway"}:
        return None
    name = parts[1].split(".")[0]
    if name in TOP_FILES:
        return f"{parts[0]}/top"
    rooms = CORE_ROOMS if parts[0] == "core_service" else GATEWAY_ROOMS
    if parts[0] == "ws_gateway":
        name = GATEWAY_FILES.get(name) or next(
            (room for room in sorted(rooms, key=len, reverse=True)
             if name == room or name.startswith(room + "_")), name)
    return f"{parts[0]}/{name}" if name in rooms else f"{parts[0]}/?"


def may_include(room: str, target: str) -> bool:
    if room == target or room == "tests":
        return True
    if room == "core_service/top":
        return target.startswith("core_service/")
    if room == "tools/bench":
        # A floor puts rows into the very tables that the store makes.
        return target in {"core_service/base", "core_service/store"}
    from_gateway_or_tool = room == "tools" or room.startswith("ws_gateway/")
    if from_gateway_or_tool and target in {"core_service/base", "core_service/client"}:
        return True
    if room == "ws_gateway/top":
        return target.startswith("ws_gateway/")
    if room == "tools":
        return target in SHARED_JSON or target == "core_service/offline"
    service, _, name = room.partition("/")
    target_service, _, target_name = target.partition("/")
    rooms = {"core_service": CORE_ROOMS, "ws_gateway": GATEWAY_ROOMS}.get(service, {})
    return service == target_service and target_name in rooms.get(name, set())


def check_includes(path: str, text: str) -> list[str]:
    if not path.endswith((".cc", ".h")):
        return []
    room = room_of(path)
    if room is None:
        return []
    if room.endswith("/?"):
        return [f"{path}: belongs to no room; docs/ARCHITECTURE.md lists them"]
    found = [f"{path}: {room} may not include {target}" for target in INCLUDE.findall(text)
             if not may_include(room, room_of(target) or "")]
    for pattern, rooms in LIBRARIES.items():
        if room not in rooms and re.search(rf'^#include [<"](?:{pattern})', text, re.M):
            found.append(f"{path}: {room} may not include {pattern}")
    return found


def check_guard(path: str, text: str) -> list[str]:
    if not path.endswith(".h"):
        return []
    guard = "AGENTDESK_" + re.sub(r"[^A-Za-z0-9]", "_", path).upper() + "_"
    right = f"#ifndef {guard}\n#define {guard}\n" in text and text.endswith(f"#endif  // {guard}\n")
    return [] if right else [f"{path}: the include guard must be {guard}"]


def check_name(path: str, _text: str) -> list[str]:
    found = []
    if BANNED_NAMES.search(path.lower()):
        found.append(f"{path}: a name that says nothing")
    if path.split("/")[0] not in TOP_LEVEL and not path.startswith("."):
        found.append(f"{path}: not in the fixed top level")
    return found


def check_text(path: str, text: str) -> list[str]:
    suffix = pathlib.PurePath(path).suffix
    found = []
    if suffix in {".cc", ".h", ".py", ".ts", ".tsx"} and text.count("\n") > MAX_LINES:
        found.append(f"{path}: {text.count(chr(10))} lines; perhaps two subjects")
    if UNFINISHED.search(text):
        found.append(f"{path}: {UNFINISHED.search(text).group()} is an issue, not a comment")
    if CONTROL.search(text):
        found.append(f"{path}: has the control character {CONTROL.search(text).group()!r}")
    if suffix in CODE and text and not text.endswith("\n"):
        found.append(f"{path}: does not end with a line feed")
    if suffix in CODE and re.search(r"[ \t]$", text, re.M):
        found.append(f"{path}: has trailing blanks")
    if path.startswith("tests/") and SLEEPS.search(text):
        found.append(f"{path}: sleeps; wait for the condition instead")
    return found


CHECKS = [check_includes, check_guard, check_name, check_text]


def files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


class TreeTest(unittest.TestCase):
    def test_every_file_keeps_the_rules(self) -> None:
        complaints = []
        checked = 0
        for path in files():
            if pathlib.PurePath(path).suffix not in TEXT:
                continue
            text = (ROOT / path).read_text(encoding="utf-8")
            checked += 1
            for check in CHECKS:
                complaints += check(path, text)
        self.assertGreater(checked, 50, "too few files were found for this to mean anything")
        self.assertEqual(complaints, [], "\n" + "\n".join(complaints))


class RuleTest(unittest.TestCase):
    """Each rule on an offence and on its innocent neighbour."""

    def complaints(self, check, path: str, text: str) -> int:
        return len(check(path, text))

    def test_includes(self) -> None:
        cases = [
            ("core_service/domain/a.cc", '#include "core_service/store/store.h"\n', 1),
            ("core_service/desk/a.cc", '#include "core_service/store/store.h"\n', 0),
            ("core_service/desk/a.cc", '#include "ws_gateway/frame.h"\n', 1),
            ("core_service/main.cc", '#include "core_service/rpc/server.h"\n', 0),
            ("core_service/desk/a.cc", '#include <grpcpp/grpcpp.h>\n', 1),
            ("core_service/rpc/a.cc", '#include <grpcpp/grpcpp.h>\n', 0),
            ("ws_gateway/hub.cc", '#include "core_service/base/log.h"\n', 0),
            ("ws_gateway/hub.cc", '#include "core_service/desk/desk.h"\n', 1),
            ("ws_gateway/frame.cc", '#include "ws_gateway/hub.h"\n', 1),
            ("ws_gateway/hub.cc", '#include "boost/beast/core.hpp"\n', 1),
            ("ws_gateway/nowhere.cc", "", 1),
            ("tools/agentdesk/main.cc", '#include "core_service/store/store.h"\n', 1),
            ("tools/agentdesk/main.cc", '#include "core_service/client/channel.h"\n', 0),
            ("tools/bench/a.cc", '#include "core_service/store/store.h"\n#include <sqlite3.h>\n', 0),
            ("tools/agentdesk-bench/a.cc", '#include <sqlite3.h>\n', 1),
            ("tests/unit/a_test.cc", '#include "core_service/store/store.h"\n', 0),
        ]
        for path, text, expected in cases:
            with self.subTest(path=path, text=text):
                self.assertEqual(self.complaints(check_includes, path, text), expected)

    def test_guards(self) -> None:
        guard = "AGENTDESK_CORE_SERVICE_BASE_A_H_"
        good = f"#ifndef {guard}\n#define {guard}\n\n#endif  // {guard}\n"
        self.assertEqual(self.complaints(check_guard, "core_service/base/a.h", good), 0)
        self.assertEqual(self.complaints(check_guard, "core_service/base/b.h", good), 1)

    def test_names(self) -> None:
        for path, expected in [
            ("core_service/desk/job_manager.cc", 1), ("core_service/utils/a.cc", 1),
            ("core_service/desk/management.cc", 0), ("src/a.cc", 1), (".ci/run", 0),
        ]:
            with self.subTest(path=path):
                self.assertEqual(self.complaints(check_name, path, ""), expected)

    def test_texts(self) -> None:
        for path, text, expected in [
            ("core_service/a.cc", "x\n" * (MAX_LINES + 1), 1), ("core_service/a.cc", "x\n", 0),
            ("core_service/a.cc", "// TO" + "DO: later\n", 1), ("core_service/a.cc", "a\x01\n", 1),
            ("core_service/a.cc", "a", 1), ("core_service/a.cc", "a \n", 1),
            ("tests/unit/a.cc", "std::this_thread::sleep" + "_for(1s);\n", 1),
            ("core_service/a.cc", "std::this_thread::sleep" + "_for(1s);\n", 0),
        ]:
            with self.subTest(path=path, text=text[:40]):
                self.assertEqual(self.complaints(check_text, path, text), expected)


if __name__ == "__main__":
    unittest.main()
