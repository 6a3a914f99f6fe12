"""kill -9 of the core at random moments under concurrent writes (P1, P2, P3, P9; rows 1 and 4)."""

import json
import random
import threading
import time
import unittest

import grpc
import oracle
from agentdesk_test import SCALE, DeskTestCase, wait_until
from desk_client import DeskClient, Subscriber, new_id, ticket_pb2
from ws_client import Browser

ROUNDS = 20 * SCALE
# Usually well under 2 s; a machine that does other things besides takes longer to start a process.
MAX_RECOVERY_S = 20
RETRY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED}


class Producer(threading.Thread):
    """Creates tickets; repeats each under its request id until it is acknowledged."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[tuple[int, str]] = []
        self.names: list[str] = []
        self.repeats = 0
        self.problem = ""
        self._address = address
        self._stopping = threading.Event()

    def run(self) -> None:
        client = DeskClient(self._address)
        while not self._stopping.is_set() and not self.problem:
            self._create(client)
        client.close()

    def _create(self, client: DeskClient) -> None:
        name = new_id()
        request = ticket_pb2.CreateTicketRequest(ticket_name=name, request_id=name)
        self.names.append(name)
        while True:
            try:
                created = client.tickets.CreateTicket(request, timeout=10, wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() not in RETRY:
                    self.problem = f"{error.code()} {error.details()}"
                    return
                self.repeats += 1
                continue
            self.acknowledged.append((created.sequence, created.ticket_id))
            return

    def stop(self) -> None:
        self._stopping.set()
        self.join(60)


class Caller(threading.Thread):
    """Creates a ticket under each id, as 15 others do at the same time."""

    def __init__(self, address: str, ids: list[str]) -> None:
        super().__init__(daemon=True)
        self.answers: list[ticket_pb2.CreateTicketResponse] = []
        self.repeats = 0
        self.problem = ""
        self._client = DeskClient(address)
        self._ids = ids

    def run(self) -> None:
        for request_id in self._ids:
            request = ticket_pb2.CreateTicketRequest(ticket_name=request_id, request_id=request_id)
            while (answer := self._try(request)) is None:
                if self.problem:
                    return
                self.repeats += 1
            self.answers.append(answer)
        self._client.close()

    def _try(self, request: ticket_pb2.CreateTicketRequest) -> ticket_pb2.CreateTicketResponse | None:
        try:
            return self._client.tickets.CreateTicket(request, timeout=10, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() not in RETRY:
                self.problem = f"{error.code()} {error.details()}"
            return None


class CoreKillTest(DeskTestCase):
    def test_acknowledged_is_durable_and_nothing_is_skipped_or_doubled(self) -> None:
        seed = random.randrange(2**32)
        print(f"seed {seed}, {ROUNDS} rounds of kill -9")
        chance = random.Random(seed)
        desk_id = self.desk.head().desk_id
        producers = [Producer(self.core.address) for _ in range(4)]
        followers = [Subscriber(self.core.address, desk_id) for _ in range(3)]
        browsers = [Browser(self.gateway.address) for _ in range(3)]
        for browser in browsers:
            browser.ask({"type": "ping"})
        for thread in (*producers, *followers):
            thread.start()
        recoveries = []
        for _ in range(ROUNDS):
            self.wait_for_acks(producers, chance.randrange(5, 60))
            self.core.kill()
            killed = time.monotonic()
            self.core.start()
            self.wait_for_acks(producers, 1)
            recoveries.append(time.monotonic() - killed)
        for producer in producers:
            producer.stop()
            self.assertEqual(producer.problem, "")
        self.check(producers, followers, browsers)
        recoveries.sort()
        print(f"{sum(len(p.acknowledged) for p in producers)} writes acknowledged, "
              f"{sum(p.repeats for p in producers)} repeated; first acknowledgement after a kill: "
              f"median {recoveries[len(recoveries) // 2]:.2f} s, worst {recoveries[-1]:.2f} s")
        self.assertLess(recoveries[-1], MAX_RECOVERY_S)

    def wait_for_acks(self, producers: list[Producer], more: int) -> None:
        target = sum(len(p.acknowledged) for p in producers) + more

        def enough() -> bool:
            for producer in producers:
                self.assertEqual(producer.problem, "")
            return sum(len(p.acknowledged) for p in producers) >= target
        wait_until(enough, f"{more} more acknowledged writes")

    def check(self, producers, followers, browsers) -> None:
        log = oracle.check_log(self.desk.log())
        acknowledged = [ack for producer in producers for ack in producer.acknowledged]
        oracle.check_durable(acknowledged, log)
        self.assertEqual(len(acknowledged), len({ticket for _, ticket in acknowledged}))
        names = [event.ticket_created.ticket.ticket_name for event in log.values()]
        self.assertEqual(len(names), len(set(names)), "a repeat had no second effect")
        self.assertLessEqual(set(names), {name for p in producers for name in p.names})
        head = len(log)
        truth = {n: event.SerializeToString(deterministic=True) for n, event in log.items()}
        for follower in followers:
            wait_until(lambda f=follower: f.up_to >= head, "the whole log")
            follower.stop()
            self.assertEqual(follower.refusals, [])
            oracle.check_complete(follower.seen, 0, head)
            oracle.check_same(follower.seen, truth)
        # The gateway kept its browsers and sent exactly what they missed.
        position = {name: sequence for sequence, name in enumerate(names, start=1)}
        for browser in browsers:
            browser.wait_for(lambda texts: names[-1] in texts[-1], "the last broadcast")
            seen = [(position[json.loads(text)["ticket_name"]], None) for text in browser.texts[1:]]
            oracle.check_complete(seen, 0, head)
            browser.close()


class DuplicatesTest(DeskTestCase):
    with_gateway = False

    def test_16_callers_under_each_id_make_one_ticket_while_the_core_is_killed(self) -> None:
        ids = [new_id() for _ in range(60 * SCALE)]
        callers = [Caller(self.core.address, ids) for _ in range(16)]

        def answers() -> int:
            return sum(len(caller.answers) for caller in callers)

        for caller in callers:
            caller.start()
        kills = 6 * SCALE
        for number in range(1, kills + 1):
            enough = number * len(ids) * len(callers) // (kills + 1)
            wait_until(lambda n=enough: answers() >= n or any(c.problem for c in callers), "answers")
            self.core.kill()
            self.core.start()
        for caller in callers:
            caller.join(120)
            self.assertEqual(caller.problem, "")
            self.assertEqual(len(caller.answers), len(ids))
        log = oracle.check_log(self.desk.log())
        made = [event.ticket_created.ticket.ticket_name for event in log.values()]
        self.assertEqual(sorted(made), sorted(ids), "one ticket for each id")
        for index, request_id in enumerate(ids):
            answers_to_it = [caller.answers[index] for caller in callers]
            self.assertEqual(len({answer.ticket_id for answer in answers_to_it}), 1, request_id)
            self.assertEqual(len({answer.sequence for answer in answers_to_it}), 1)
            self.assertEqual(log[answers_to_it[0].sequence].ticket_id, answers_to_it[0].ticket_id)
            # None where the first answer was lost with the core that gave it.
            self.assertLessEqual(sum(not answer.replayed for answer in answers_to_it), 1)
        print(f"{len(ids)} ids by {len(callers)} callers over {kills} kills, "
              f"{sum(caller.repeats for caller in callers)} calls repeated")


if __name__ == "__main__":
    unittest.main()
