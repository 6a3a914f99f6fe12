"""One question, one winner: whoever asks, by whatever way, however often (P5, P6, P9)."""

import concurrent.futures
import itertools
import random
import threading
import unittest

import http_client
import oracle
from agentdesk_test import SCALE, DeskTestCase, Gateway, System
from desk_client import DeskClient, new_id, session_pb2
from fault_proxy import FaultProxy
from ws_client import Browser

Outcome = session_pb2.ResponseOutcome


def outcome_name(outcome: int) -> str:
    return Outcome.Name(outcome).removeprefix("RESPONSE_OUTCOME_").lower()


class AnswersTest(DeskTestCase):
    def events_of(self, session_id: str, kind: str) -> int:
        return sum(event.WhichOneof("payload") == kind
                   for event in self.desk.log(session_ids=[session_id]))

    def test_64_concurrent_answers_have_one_winner(self) -> None:
        for _ in range(3 * SCALE):
            self.one_race()

    def one_race(self) -> None:
        lease = self.desk.start()
        browsers = [Browser(self.gateway.address) for _ in range(20)]
        question = self.desk.ask(lease)
        for browser in browsers:
            browser.wait_type("agent_question", question_id=question.question_id)
        clients = [DeskClient(self.core.address) for _ in range(4)]
        named = {"question_id": question.question_id}
        as_of = {"as_of_sequence": question.asked_sequence}
        path = f"/sessions/{lease.session_id}/responses"

        # Each returns the outcome, and the response that stands with who gave it.
        def by_grpc(client: DeskClient, how: dict, response: str) -> tuple[str, str, str]:
            result = client.answer(lease.session_id, response, **how)
            return outcome_name(result.outcome), result.response, result.answered_by.id

        def by_http(how: dict, response: str) -> tuple[str, str, str]:
            answer = http_client.call(self.gateway.address, "POST", path,
                                      {"response": response, **how})
            self.assertEqual(answer.status, 200, answer.text)
            return (answer.json["status"], answer.json.get("response", ""),
                    answer.json.get("answered_by", ""))

        def by_socket(browser: Browser, how: dict, response: str) -> tuple[str, str, str]:
            ack = browser.ask({"type": "user_response", "session_id": lease.session_id,
                               "response": response, **how})
            return ack["status"], ack.get("response", ""), ack.get("answered_by", "")

        calls = [lambda r, c=client, h=how: by_grpc(c, h, r)
                 for client, how, _ in itertools.product(clients, (named, as_of), range(3))]
        calls += [lambda r, h=how: by_http(h, r) for how in (named, as_of) for _ in range(10)]
        calls += [lambda r, b=browser, h=how: by_socket(b, h, r)
                  for browser, how in zip(browsers, itertools.cycle((named, {})))]
        self.assertEqual(len(calls), 64)
        random.shuffle(calls)
        barrier = threading.Barrier(64)

        def answer(index: int) -> tuple[str, str, str, str]:
            barrier.wait(60)
            response = f"answer {index}"
            outcome, stands, by = calls[index](response)
            return outcome, response, stands, by

        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            outcomes = list(pool.map(answer, range(64)))
        winner = oracle.check_one_winner([outcome[:3] for outcome in outcomes])
        stored = self.desk.call(self.desk.sessions.GetQuestion, session_pb2.GetQuestionRequest(
            question_id=question.question_id)).question
        self.assertEqual(stored.response, winner)
        self.assertTrue(stored.answered_by.id)
        told = {by for outcome, _, _, by in outcomes if outcome != "received"}
        self.assertEqual(told, {stored.answered_by.id}, "each of the 63 is told who won")
        self.assertEqual(self.events_of(lease.session_id, "question_answered"), 1)
        self.assertEqual(self.events_of(lease.session_id, "user_message"), 0)
        for browser in browsers:
            browser.close()
        for client in clients:
            client.close()

    def test_a_repeat_gets_the_first_result_on_every_way(self) -> None:
        lease = self.desk.start()
        question = self.desk.ask(lease)
        body = {"response": "blue", "question_id": question.question_id, "request_id": new_id()}

        def on_all_ways() -> list[str]:
            grpc_result = self.desk.answer(lease.session_id, **body)
            http = http_client.call(self.gateway.address, "POST",
                                    f"/sessions/{lease.session_id}/responses", body)
            browser = Browser(self.gateway.address)
            ack = browser.ask({"type": "user_response", "session_id": lease.session_id, **body})
            browser.close()
            return [outcome_name(grpc_result.outcome), http.json["status"], ack["status"]]

        self.assertEqual(on_all_ways(), ["received"] * 3)
        other = self.desk.answer(lease.session_id, "red", question_id=question.question_id)
        self.assertEqual(other.outcome, Outcome.RESPONSE_OUTCOME_ALREADY_ANSWERED)
        self.core.kill()
        self.start_core()
        self.assertEqual(on_all_ways(), ["received"] * 3, "also after a restart")
        self.assertEqual(self.events_of(lease.session_id, "question_answered"), 1)

    def test_unnamed_answers_never_slide_on(self) -> None:
        system = System(gateway=False)
        self.addCleanup(system.close)
        proxy = FaultProxy(system.core.address)
        self.addCleanup(proxy.close)
        gateway = Gateway(proxy.address)
        system.add(gateway).start()
        desk = DeskClient(system.core.address)
        self.addCleanup(desk.close)
        browser = Browser(gateway.address)
        self.addCleanup(browser.close)
        chance = random.Random(7)
        lease = desk.start()
        current = desk.ask(lease, "Question 0.")
        outcomes: dict[str, int] = {}
        for number in range(1, 1000 * SCALE + 1):
            browser.wait_type("agent_question", max(0, len(browser.texts) - 8),
                              question_id=current.question_id)
            # From here on no event reaches the gateway: all that the browser sends was sent before
            # the next question was written to it.
            proxy.hold_answers()
            following = self.race(desk, lease, browser, current, number, chance, proxy)
            ack = browser.wait_type("ack", self.mark)
            outcomes[ack["status"]] = outcomes.get(ack["status"], 0) + 1
            self.assertIn(ack["status"], ("received", "already_answered"))
            current = following
        stored = desk.call(desk.sessions.ListQuestions, session_pb2.ListQuestionsRequest(
            session_id=lease.session_id, page_size=1000)).questions
        for question in stored:
            if question.state == session_pb2.QUESTION_STATE_ANSWERED:
                self.assertEqual(question.response.rpartition(" ")[2],
                                 question.content.rpartition(" ")[2])
        print(f"outcomes of unnamed answers: {outcomes}")
        self.assertEqual(set(outcomes), {"received", "already_answered"}, "both orders happened")

    def race(self, desk, lease, browser, current, number, chance, proxy):
        """Somebody answers the current question and the agent asks the next, while the browser
        answers without a name. Returns the next question."""
        self.mark = len(browser.texts)
        asked = []
        answer = f"browser {number - 1}."  # the full stop: none is the beginning of another

        def the_others() -> None:
            desk.answer(lease.session_id, f"somebody {number - 1}.",
                        question_id=current.question_id)
            asked.append(desk.ask(lease, f"Question {number}."))

        def the_browser() -> None:
            browser.send({"type": "user_response", "session_id": lease.session_id,
                          "response": answer})

        first = chance.random()
        if first < 0.3:
            the_others()
            the_browser()
        elif first < 0.6:
            the_browser()
            proxy.wait_told(answer)
            the_others()
        else:
            steps = [threading.Thread(target=step) for step in (the_others, the_browser)]
            if chance.random() < 0.5:
                steps.reverse()
            for step in steps:
                step.start()
            for step in steps:
                step.join()
        # The gateway has judged as of what it had written once it has passed the answer on.
        proxy.wait_told(answer)
        proxy.flow()
        return asked[0]


if __name__ == "__main__":
    unittest.main()
