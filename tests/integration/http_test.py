"""HTTP on the gateway, as curl sees it (contract 3)."""

import json
import signal
import unittest

import http_client
from agentdesk_test import DeskTestCase, wait_until
from desk_client import agent_pb2, new_id, session_pb2


class HttpTest(DeskTestCase):
    def call(self, method: str, path: str, body=None, **headers) -> http_client.Answer:
        return http_client.call(self.gateway.address, method, path, body, **headers)

    def create(self, name: str = "By HTTP", **fields) -> dict:
        answer = self.call("POST", "/tickets/create", {"ticket_name": name, **fields})
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json

    def assert_error(self, answer: http_client.Answer, status: int, field: str | None = None,
                     code: str | None = None) -> None:
        self.assertEqual(answer.status, status, answer.text)
        self.assertTrue(answer.error["code"])
        self.assertTrue(answer.error["message"])
        if field is not None:
            self.assertEqual(answer.error["field"], field)
        if code is not None:
            self.assertEqual(answer.error["code"], code)

    def test_create_and_show(self) -> None:
        answer = self.call("POST", "/tickets/create",
                           {"ticket_name": "Grüße", "description": "d", "labels": {"a": "b"},
                            "queue": "http", "priority": 9, "max_attempts": 2})
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["content-type"].startswith("application/json"))
        created = answer.json
        self.assertEqual(list(created), ["ticket_id", "ticket_name", "job_id", "status"])
        self.assertEqual((created["ticket_name"], created["status"]), ("Grüße", "queued"))
        ticket = self.call("GET", f"/tickets/{created['ticket_id']}").json
        self.assertEqual((ticket["queue"], ticket["priority"], ticket["labels"]),
                         ("http", 9, {"a": "b"}))
        job = self.call("GET", f"/jobs/{created['job_id']}").json
        self.assertEqual((job["job_id"], job["ticket_id"], job["status"]),
                         (created["job_id"], created["ticket_id"], "queued"))
        session = self.call("GET", f"/sessions/{job['session_id']}").json
        self.assertIn("ticket_created", json.dumps(session))

    def test_create_is_idempotent(self) -> None:
        body = {"ticket_name": "Once", "request_id": new_id()}
        first = self.call("POST", "/tickets/create", body).json
        self.assertEqual(self.call("POST", "/tickets/create", body).json, first)
        self.assert_error(self.call("POST", "/tickets/create", {**body, "ticket_name": "Twice"}),
                          422, code="request_id_reused")
        key = new_id()
        by_header = [self.call("POST", "/tickets/create", {"ticket_name": "H"}, Idempotency_Key=key)
                     for _ in range(2)]
        self.assertEqual(by_header[0].json, by_header[1].json)
        ticket_id = new_id()
        self.create(ticket_id=ticket_id)
        self.assert_error(self.call("POST", "/tickets/create",
                                    {"ticket_name": "Other", "ticket_id": ticket_id}),
                          409, code="already_exists")

    def test_lists(self) -> None:
        made = [self.create(f"L{i}")["ticket_id"] for i in range(5)]
        first = self.call("GET", "/tickets?page_size=2&status=queued").json
        self.assertEqual([t["ticket_id"] for t in first["tickets"]], made[:-3:-1])
        self.assertIsInstance(first["sequence"], int)
        second = self.call(
            "GET", f"/tickets?page_size=2&status=queued&page_token={first['next_page_token']}").json
        self.assertEqual([t["ticket_id"] for t in second["tickets"]], made[-3:-5:-1])
        for query, field in (("page_size=0", None), ("page_size=1001", "page_size"),
                             ("page_size=x", "page_size"), ("status=nonsense", "status"),
                             ("page_token=nonsense", "page_token")):
            with self.subTest(query):
                answer = self.call("GET", f"/tickets?{query}")
                if field is not None:
                    self.assert_error(answer, 422, field)

    def test_questions_and_responses(self) -> None:
        lease = self.desk.start()
        question = self.desk.ask(lease, "Colour?", choices=[session_pb2.Choice(value="blue")])
        inbox = self.call("GET", "/questions?state=open").json
        self.assertIn(question.question_id, [q["question_id"] for q in inbox["questions"]])
        shown = self.call("GET", f"/questions/{question.question_id}").json
        self.assertEqual((shown["content"], shown["state"]), ("Colour?", "open"))
        path = f"/sessions/{lease.session_id}/responses"
        self.assert_error(self.call("POST", path, {"response": "blue"}), 422)
        named = {"question_id": question.question_id}
        wrong = self.call("POST", path, {"response": "red", **named})
        self.assertEqual((wrong.status, wrong.json["status"]), (200, "invalid_response"))
        won = self.call("POST", path, {"response": "blue", **named})
        self.assertEqual((won.status, won.json["status"]), (200, "received"))
        lost = self.call("POST", path, {"response": "blue", **named})
        self.assertEqual((lost.status, lost.json["status"]), (200, "already_answered"))
        self.assertEqual(lost.json["response"], "blue")
        self.assertEqual(self.call("GET", f"/questions/{question.question_id}").json["state"],
                         "answered")

    def test_messages(self) -> None:
        lease = self.desk.start()
        body = {"content": "Hello agent", "request_id": new_id()}
        path = f"/sessions/{lease.session_id}/messages"
        sent = self.call("POST", path, body)
        self.assertEqual(sent.status, 200)
        self.assertEqual(self.call("POST", path, body).json["sequence"], sent.json["sequence"])
        self.assert_error(self.call("POST", path, {"content": ""}), 422, "content")
        self.assert_error(self.call("POST", path, {}), 422, "content")
        self.assert_error(self.call("POST", f"/sessions/{new_id()}/messages", {"content": "x"}), 404)
        page = self.call("GET", f"/sessions/{lease.session_id}?page_size=2").json
        self.assertEqual(json.dumps(page).count('"agent_started"'), 1)

    def test_a_position_of_another_desk_is_refused(self) -> None:
        lease = self.desk.start()
        for content in "abc":
            self.desk.say(lease, content)
        session = f"/sessions/{lease.session_id}"
        whole = self.call("GET", session).json
        entries, place = [], ""
        while True:
            page = self.call("GET", f"{session}?page_size=1{place}").json
            entries += page["transcript"]
            if not page["more"]:
                break
            place = f"&after={page['up_to']}&desk={page['desk']}"
        self.assertEqual(entries, whole["transcript"])
        self.assertEqual(self.call("GET", f"{session}?after=1").json["transcript"],
                         [entry for entry in entries if entry["sequence"] > 1])
        other = self.call("GET", f"{session}?after=1&desk={new_id()}")
        self.assertEqual((other.status, other.error["code"]), (422, "other_desk"))

        question = self.desk.ask(lease)
        given = {"response": "yes", "as_of_sequence": self.desk.head().head_sequence}
        elsewhere = self.call("POST", f"{session}/responses", {**given, "desk": new_id()})
        self.assertEqual((elsewhere.status, elsewhere.error["code"]), (422, "other_desk"))
        judged = self.call("POST", f"{session}/responses", {**given, "desk": page["desk"]}).json
        self.assertEqual((judged["status"], judged["question_id"]),
                         ("received", question.question_id))

    def test_cancel_and_retry(self) -> None:
        created = self.create(queue="nobody")
        path = f"/tickets/{created['ticket_id']}"
        self.assert_error(self.call("POST", f"{path}/retry"), 409)
        self.assertEqual(self.call("POST", f"{path}/cancel").json["status"], "cancelled")
        self.assertEqual(self.call("POST", f"{path}/cancel").json["status"], "cancelled")
        retried = self.call("POST", f"{path}/retry").json
        self.assertEqual(retried["status"], "queued")
        self.assertNotEqual(retried["job_id"], created["job_id"])
        self.assert_error(self.call("POST", f"/tickets/{new_id()}/cancel"), 404)

    def test_cancel_and_retry_repeated_under_their_ids(self) -> None:
        path = f"/tickets/{self.create(queue='nobody')['ticket_id']}"
        cancel, retry = {"request_id": new_id()}, {"request_id": new_id()}
        first = self.call("POST", f"{path}/cancel", cancel).json
        retried = self.call("POST", f"{path}/retry", retry).json
        self.assertEqual(self.call("POST", f"{path}/cancel", cancel).json, first)
        self.assertEqual(self.call("POST", f"{path}/retry", retry).json, retried)
        by_header = [self.call("POST", f"{path}/cancel", Idempotency_Key=retry["request_id"] + "x")
                     for _ in range(2)]
        self.assertEqual(by_header[0].json, by_header[1].json)
        self.assert_error(self.call("POST", f"{path}/retry", cancel), 422, code="request_id_reused")

    def test_job_shows_the_true_state(self) -> None:
        created = self.create(queue="true-state", max_attempts=3)
        lease = self.desk.claim("true-state", worker="w-7")
        job = self.call("GET", f"/jobs/{created['job_id']}").json
        self.assertEqual((job["status"], job["attempt"], job["worker"]), ("running", 1, "w-7"))
        self.assertTrue(job["lease_expires_at"].endswith("+00:00"))
        self.desk.fail(lease, "flaky", retryable=True)
        job = self.call("GET", f"/jobs/{created['job_id']}").json
        self.assertEqual((job["status"], job["last_error"]), ("queued", "flaky"))
        self.assertTrue(job["next_attempt_at"])
        wait_until(lambda: self.desk.head(), "the core")
        again = self.desk.claim("true-state", wait_s=20)
        self.desk.complete(again, "ok", {"n": 12345678901234567890})
        self.assertIn('12345678901234567890', self.call("GET", f"/jobs/{created['job_id']}").text)

    def test_webhook(self) -> None:
        page = new_id()
        body = {"page_id": page.replace("-", "").upper(), "database_id": new_id(),
                "event_type": "page.created"}
        first = self.call("POST", "/webhook/notion", body)
        self.assertEqual(first.status, 200, first.text)
        self.assertEqual((first.json["ticket_id"], first.json["status"]), (page, "queued"))
        again = self.call("POST", "/webhook/notion", {**body, "page_id": page})
        self.assertEqual((again.status, again.json["job_id"]), (200, first.json["job_id"]))
        ticket = self.call("GET", f"/tickets/{page}").json
        self.assertTrue(ticket["ticket_name"].startswith("Notion page "))
        self.call("POST", f"/tickets/{page}/cancel")
        ended = self.call("POST", "/webhook/notion", body)
        self.assertEqual(ended.status, 200)
        self.assertEqual(self.call("GET", f"/tickets/{page}").json["status"], "cancelled")
        self.assert_error(self.call("POST", "/webhook/notion", {**body, "page_id": "x"}), 422,
                          "page_id")

    def test_wrong_input(self) -> None:
        create = "/tickets/create"
        json_type = {"Content_Type": "application/json"}
        self.assert_error(self.call("POST", create, b"{", **json_type), 400)
        self.assert_error(self.call("POST", create, b"", **json_type), 400)
        self.assert_error(self.call("POST", create, b'{"ticket_name":"\xff"}', **json_type), 400)
        self.assert_error(self.call("POST", create, b"[" * 5000, **json_type), 400)
        self.assert_error(self.call("POST", create, b"x" * (1024 * 1024 + 1), **json_type), 413)
        self.assert_error(self.call("POST", create, b"a=b", Content_Type="text/plain"), 415)
        for body, field in [
            ({}, "ticket_name"), ({"ticket_name": ""}, "ticket_name"),
            ({"ticket_name": 5}, "ticket_name"), ({"ticket_name": "x" * 501}, "ticket_name"),
            ({"ticket_name": "x", "description": "x" * 32769}, "description"),
            ({"ticket_name": "x", "priority": 10}, "priority"),
            ({"ticket_name": "x", "priority": "high"}, "priority"),
            ({"ticket_name": "x", "queue": "A b"}, "queue"),
            ({"ticket_name": "x", "ticket_id": "x"}, "ticket_id"),
            ({"ticket_name": "x", "labels": {"": "b"}}, "labels"),
        ]:
            with self.subTest(body=str(body)[:60]):
                answer = self.call("POST", create, body)
                self.assert_error(answer, 422)
                self.assertTrue(answer.error["field"].startswith(field), answer.text)
        for path in (f"/tickets/{new_id()}", f"/jobs/job-{new_id()}", f"/sessions/{new_id()}",
                     f"/questions/{new_id()}", "/nonsense", "/tickets/x/y/z"):
            with self.subTest(path):
                self.assert_error(self.call("GET", path), 404)
        self.assert_error(self.call("DELETE", "/tickets"), 405)
        self.assert_error(self.call("GET", create), 405)

    def test_probes(self) -> None:
        health = self.call("GET", "/health")
        self.assertEqual((health.status, health.json["status"]), (200, "ok"))
        self.assertTrue(health.json["service"])
        self.assertEqual(self.call("GET", "/livez").status, 200)
        self.assertEqual(self.call("GET", "/readyz").status, 200)

    def test_cors(self) -> None:
        allowed = self.call("OPTIONS", "/tickets/create", Origin="http://localhost:5173",
                            Access_Control_Request_Method="POST",
                            Access_Control_Request_Headers="content-type")
        self.assertIn(allowed.status, (200, 204))
        self.assertEqual(allowed.headers["access-control-allow-origin"], "http://localhost:5173")
        self.assertIn("last-event-id", allowed.headers["access-control-allow-headers"].lower())
        foreign = self.call("GET", "/tickets", Origin="http://evil.example")
        self.assertNotIn("access-control-allow-origin", foreign.headers)

    def test_a_core_that_does_not_answer_leaves_the_outcome_unknown(self) -> None:
        self.core.signal(signal.SIGSTOP)
        ticket = {"ticket_name": "x", "request_id": new_id()}
        answer = self.call("POST", "/tickets/create", ticket)
        self.core.signal(signal.SIGCONT)
        self.assert_error(answer, 503)
        self.assertIn("repeat with the same request_id", answer.error["message"])
        made = self.call("POST", "/tickets/create", ticket)
        self.assertEqual(made.status, 200)

    def test_core_away(self) -> None:
        self.core.kill()
        wait_until(lambda: self.call("GET", "/readyz").status == 503, "a gateway that is not ready")
        self.assertEqual(self.call("GET", "/livez").status, 200)
        answer = self.call("POST", "/tickets/create", {"ticket_name": "x", "request_id": new_id()})
        self.assert_error(answer, 503)
        self.assertIn("repeat with the same request_id", answer.error["message"])
        self.assertIn("retry-after", answer.headers)
        self.start_core()
        wait_until(lambda: self.call("GET", "/readyz").status == 200, "a gateway that is ready")
        self.create()

    def test_multiple_choice(self) -> None:
        lease = self.desk.start()
        choices = [session_pb2.Choice(value=value) for value in "abc"]
        question = self.desk.call(self.desk.agents.AskQuestion, agent_pb2.AskQuestionRequest(
            content="Which?", choices=choices, multiple=True, key="m", **lease.args)).question
        path = f"/sessions/{lease.session_id}/responses"
        won = self.call("POST", path, {"response": ["a", "c"], "question_id": question.question_id})
        self.assertEqual((won.status, won.json["status"]), (200, "received"), won.text)
        lost = self.call("POST", path, {"response": ["b"], "question_id": question.question_id})
        self.assertEqual(lost.json["response"], ["a", "c"])


if __name__ == "__main__":
    unittest.main()
