"""GET /events: the messages of agentdesk.v1 as Server-Sent Events (contract 3)."""

import json
import random
import shutil
import socket
import subprocess
import threading
import unittest

import http_client
import oracle
from agentdesk_test import SCALE, DeskTestCase, wait_until
from desk_client import DeskClient, new_id
from event_stream import EventStream, Follower, StreamRefused
from ws_client import FullBrowser

ROUNDS = 6 * SCALE


class EventStreamTest(DeskTestCase):
    def stream(self, query: str = "", last_event_id: str = "", **headers: str) -> EventStream:
        stream = EventStream(self.gateway.address, query, last_event_id, **headers).follow()
        self.addCleanup(stream.close)
        return stream

    def head(self) -> int:
        return self.desk.head().head_sequence

    def desk_id(self) -> str:
        return self.desk.head().desk_id

    def test_live_by_default_with_ids_to_resume_after(self) -> None:
        self.desk.create()
        stream = self.stream()
        self.assertIn("Content-Type: text/event-stream", stream.head)
        self.assertIn("Cache-Control: no-store", stream.head)
        self.assertEqual(stream.wait_type("hello")["desk"], self.desk_id())
        begin = stream.wait_type("subscribed")["up_to"]
        created = self.desk.create()
        stream.wait_sequence(created.sequence)
        oracle.check_complete(stream.seen, begin, created.sequence)
        self.assertEqual(stream.last_event_id, f"{self.desk_id()}:{created.sequence}")
        self.assertTrue(1000 <= stream.retry_ms < 3000, stream.retry_ms)

    def test_events_read_the_same_as_on_a_socket(self) -> None:
        lease = self.desk.start("The same")
        self.desk.ask(lease, 'Line\nfeeds, "quotes", \u2028 and \U0001f600?', details_json='{\n"a":\r\n1}')
        self.desk.complete(lease, result={"n": 1})
        browser = FullBrowser(self.gateway.address, query=f"after=0&desk={self.desk_id()}")
        self.addCleanup(browser.close)
        stream = self.stream("after=0")
        head = self.head()
        browser.wait_sequence(head)
        stream.wait_sequence(head)
        oracle.check_complete(stream.seen, 0, head)
        on_socket = [(sequence, json.loads(text)) for sequence, text in browser.seen]
        self.assertEqual([(n, json.loads(text)) for n, text in stream.seen], on_socket)

    def test_resume_meets_live_without_a_seam(self) -> None:
        for _ in range(3):
            self.desk.create()
        for after in range(self.head() - 3, self.head() + 1):
            for by_header in (False, True):
                with self.subTest(after=after, by_header=by_header):
                    position = f"{self.desk_id()}:{after}"
                    # The header is what the browser has seen since it began where the URL says.
                    stream = (self.stream("after=0", position) if by_header
                              else self.stream(f"after={position}"))
                    created = self.desk.create()
                    stream.wait_sequence(created.sequence)
                    oracle.check_complete(stream.seen, after, created.sequence)
                    stream.close()

    def test_snapshot_then_live(self) -> None:
        lease = self.desk.start("Runs")
        stream = self.stream("snapshot=1")
        whole = stream.wait_for(lambda m: m.get("more") is False, "whole snapshot")
        self.assertEqual(stream.last_event_id, f"{self.desk_id()}:{whole['up_to']}")
        tickets = [t["ticket_id"] for m in stream.messages if m["type"] == "snapshot"
                   for t in m["tickets"]]
        self.assertIn(lease.ticket_id, tickets)
        created = self.desk.create()
        stream.wait_sequence(created.sequence)
        oracle.check_complete(stream.seen, whole["up_to"], created.sequence)

    def test_positions_that_cannot_be_served(self) -> None:
        cases = [(f"{new_id()}:1", "other_desk"), (f"{self.desk_id()}:{self.head() + 1000}", "ahead")]
        for position, reason in cases:
            with self.subTest(position=position):
                stream = self.stream(last_event_id=position)
                gap = stream.wait_type("gap")
                self.assertEqual((gap["reason"], gap["desk"]), (reason, self.desk_id()))
                whole = stream.wait_for(lambda m: m.get("more") is False, "whole snapshot")
                self.assertEqual(stream.last_event_id, f"{self.desk_id()}:{whole['up_to']}")

    def test_what_cannot_be_read_names_the_field(self) -> None:
        for query, last_event_id, field in [
            ("after=5", "", "after"), ("after=x:1", "", "after"), ("", "x", "Last-Event-ID"),
            ("", f"{self.desk_id()}:-1", "Last-Event-ID"), ("types=x", "", "types"),
            ("ticket_ids=x", "", "ticket_ids"),
        ]:
            with self.subTest(query=query, last_event_id=last_event_id):
                with self.assertRaises(StreamRefused) as refused:
                    EventStream(self.gateway.address, query, last_event_id)
                self.assertEqual(refused.exception.status, 422)
                self.assertEqual(json.loads(refused.exception.body)["error"]["field"], field)

    def test_filter(self) -> None:
        one, other = self.desk.start(), self.desk.start()
        stream = self.stream(f"after=0&session_ids={one.session_id}&types=agent_message,agent_complete")
        self.desk.say(one, "a")
        self.desk.say(other, "b")
        self.desk.complete(one)
        stream.wait_type("agent_complete")
        self.assertEqual([m["type"] for m in stream.messages if "timestamp" in m],
                         ["agent_message", "agent_complete"])

    def test_head_methods_and_origins(self) -> None:
        head = http_client.call(self.gateway.address, "HEAD", "/events")
        self.assertEqual((head.status, head.headers["content-type"], head.text),
                         (200, "text/event-stream", ""))
        self.assertEqual(http_client.call(self.gateway.address, "POST", "/events", {}).status, 405)
        page = self.stream(Origin="http://localhost:5173")
        self.assertIn("Access-Control-Allow-Origin: http://localhost:5173", page.head)
        foreign = self.stream(Origin="http://evil.example")
        self.assertNotIn("Access-Control-Allow-Origin", foreign.head)

    def test_curl(self) -> None:
        curl = subprocess.Popen([shutil.which("curl"), "-sN",
                                 f"http://{self.gateway.address}/events"], stdout=subprocess.PIPE)
        self.addCleanup(curl.stdout.close)
        self.addCleanup(curl.wait)
        self.addCleanup(curl.kill)
        while b'"subscribed"' not in curl.stdout.readline():
            self.assertIsNone(curl.poll())
        created = self.desk.create()
        mark = f"id: {self.desk_id()}:{created.sequence}\n".encode()
        while (line := curl.stdout.readline()) != mark:
            self.assertTrue(line, "curl ended")

    def test_kills_of_gateway_and_core_leave_no_gap_and_nothing_double(self) -> None:
        seed = random.randrange(2**32)
        print(f"seed {seed}, {ROUNDS} kills")
        chance = random.Random(seed)
        begin = self.head()
        # One that begins anywhere in the log, and one that is live from its first connection on.
        followers = [Follower(self.gateway.address, f"after={self.desk_id()}:{begin}"),
                     Follower(self.gateway.address)]
        for follower in followers:
            follower.start()
        first = self.desk.create()
        wait_until(lambda: followers[0].last_sequence >= first.sequence, "the first event")
        writer = Writer(self.core.address)
        writer.start()
        for round_number in range(ROUNDS):
            wait_until(lambda target=writer.written + chance.randrange(5, 60):
                       writer.written >= target or writer.problem, "more events")
            self.assertEqual(writer.problem, "")
            if round_number % 2:
                self.core.kill()
                self.start_core()
            else:
                self.gateway.kill()
                self.gateway.start()
        writer.stop()
        head = self.head()
        for follower in followers:
            wait_until(lambda f=follower: f.last_sequence >= head, "the whole log")
            follower.stop()
            self.assertNotIn("gap", follower.kinds)
            self.assertGreaterEqual(follower.breaks, ROUNDS // 2)
        oracle.check_complete(followers[0].seen, begin, head)
        live = followers[1].seen
        oracle.check_complete(live, live[0][0] - 1, head)

    def test_sigterm_ends_it_at_a_position(self) -> None:
        stream = self.stream()
        stream.wait_type("subscribed")
        created = self.desk.create()
        stream.wait_sequence(created.sequence)
        self.assertEqual(self.gateway.stop(), 0)
        stream.wait_ended()
        self.assertEqual(stream.messages[-1]["type"], "position")
        self.assertEqual(stream.last_event_id, f"{self.desk_id()}:{created.sequence}")
        self.gateway.start()

    def test_a_reader_that_stops_is_cut_and_resumes(self) -> None:
        begin = self.head()
        slow = EventStream(self.gateway.address, f"after={self.desk_id()}:{begin}",
                           receive_buffer=4096)
        self.addCleanup(slow.close)
        reader = self.stream(f"after={self.desk_id()}:{begin}")
        lease = self.desk.start(lease_s=600)
        largest = 0
        # Far more than the queue and the kernel take.
        for number in range(600):
            said = self.desk.say(lease, f"{number} " + "x" * 30_000)
            largest = max(largest, self.gateway.resident_bytes())
        reader.wait_sequence(said.sequence)
        # It does not read on after the end either: the connection is reset.
        wait_until(lambda: slow.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0,
                   "a reset of the slow reader")
        self.assertLess(largest, 256 * 1024 * 1024)
        slow.read()
        position = slow.last_event_id
        self.assertLess(int(position.split(":")[1]), said.sequence, "it was not slow")
        back = self.stream(last_event_id=position)
        back.wait_sequence(said.sequence)
        oracle.check_complete(slow.seen + back.seen, begin, said.sequence)


class Writer(threading.Thread):
    """Creates tickets until it is stopped, also while the core is away."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.written = 0
        self.problem = ""
        self._address = address
        self._stopping = threading.Event()

    def run(self) -> None:
        client = DeskClient(self._address)
        while not self._stopping.is_set():
            try:
                client.create("streamed", request_id=new_id())
                self.written += 1
            except Exception as error:  # of the call that a kill has met; what was written is in the log
                if "UNAVAILABLE" not in str(error) and "CANCELLED" not in str(error):
                    self.problem = str(error)
                    break
        client.close()

    def stop(self) -> None:
        self._stopping.set()
        self.join(60)


if __name__ == "__main__":
    unittest.main()
