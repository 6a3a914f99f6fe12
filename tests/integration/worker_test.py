"""The worker and agent programs: lease, parking, cancel, and what survives whom (P6, P7, contract 6)."""

import json
import os
import resource
import select
import signal
import time
import unittest

from agentdesk_test import PATIENCE, ROOT, DeskTestCase, Program, wait_until
from desk_client import event_pb2, new_id, session_pb2, ticket_pb2
from fault_proxy import FaultProxy
from ws_client import Browser

# As a user writes it, without `exec`: the shell stays above the agent then.
AGENT = f"/usr/bin/python3 -B '{ROOT}/tests/support/scripted_agent.py'"
Status = ticket_pb2.JobStatus
# A lease that is to be lost: kept meanwhile, on a busy machine too.
SHORT_S = 6


class WorkerTest(DeskTestCase):
    def worker(self, queue: str, *flags: str, agent: str = AGENT) -> Program:
        worker = Program("agentdesk-worker", f"--core={self.core.address}", f"--agent={agent}",
                         f"--queue={queue}", "--lease=60s", "--cancel_grace=1s", *flags,
                         env={"AGENTDESK_SECRET_OF_THE_WORKER": "x"})
        self.addCleanup(worker.kill)
        worker.start()
        return worker

    def end(self, worker: Program) -> None:
        self.assertEqual(worker.stop(), 0, worker.tail())
        self.assertEqual([line["signal"] for line in worker.logged("draining")], ["Terminated"])
        self.assertEqual([line["exit_code"] for line in worker.logged("stopped")], [0])

    def create(self, what: str, **fields) -> tuple[ticket_pb2.CreateTicketResponse, str]:
        queue = new_id()
        created = self.desk.create(what, description=what, queue=queue, **fields)
        return created, queue

    def question_of(self, session_id: str) -> session_pb2.Question:
        def find():
            found = self.desk.call(self.desk.sessions.ListQuestions,
                                   session_pb2.ListQuestionsRequest(session_id=session_id))
            return list(found.questions)
        return wait_until(find, "a question")[0]

    def wait_status(self, job_id: str, status: int) -> ticket_pb2.Job:
        return wait_until(
            lambda: (job := self.desk.job(job_id)).status == status and job,
            f"job in status {Status.Name(status)}")

    def kinds(self, session_id: str) -> list[str]:
        return [event.WhichOneof("payload") for event in self.desk.log(session_ids=[session_id])]

    def said(self, session_id: str) -> list[str]:
        """What its agents have said, once they have said something."""
        return wait_until(lambda: [event.agent_message.content for event in self.desk.log(
            session_ids=[session_id]) if event.HasField("agent_message")], "a message")

    def answer(self, question: session_pb2.Question, response: str) -> None:
        result = self.desk.answer(question.session_id, response, question_id=question.question_id)
        self.assertEqual(result.outcome, session_pb2.RESPONSE_OUTCOME_RECEIVED)

    def test_from_a_ticket_to_a_browsers_answer_and_the_end(self) -> None:
        browser = Browser(self.gateway.address)
        self.addCleanup(browser.close)
        browser.ask({"type": "ping"})
        created, queue = self.create("asks")
        worker = self.worker(queue, "--name=w-1")
        asked = browser.wait_type("agent_question", ticket_id=created.ticket_id)
        self.assertEqual(asked["choices"], ["red", "blue"])
        ack = browser.ask({"type": "user_response", "session_id": asked["session_id"],
                           "response": "blue"})
        self.assertEqual(ack["status"], "received")
        browser.wait_type("agent_complete", job_id=created.job_id, status="completed")
        kinds = [json.loads(text)["type"] for text in browser.texts]
        self.assertEqual([kind for kind in kinds if kind not in ("pong", "ack")], [
            "ticket_created", "agent_started", "agent_message", "agent_question",
            "question_answered", "agent_complete"])
        job = self.desk.job(created.job_id)
        self.assertEqual((job.summary, job.worker), ("You said blue", "w-1"))
        self.end(worker)

    def test_worker_killed_while_its_question_waits(self) -> None:
        created, queue = self.create("asks")
        first = self.worker(queue, f"--lease={SHORT_S}s")
        question = self.question_of(created.ticket.session_id)
        first.kill()
        wait_until(lambda: "job_requeued" in self.kinds(question.session_id), "a lost lease")
        self.answer(question, "red")
        second = self.worker(queue)
        job = self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        result = json.loads(job.result_json)
        self.assertEqual(result["answer"]["response"], "red")
        self.assertEqual((result["attempt"], result["reason"]), (2, "lease_lost"))
        for kind in ("agent_message", "agent_question", "question_answered"):
            self.assertIn(kind, result["transcript"], "the conversation is intact")
        self.assertEqual(self.kinds(question.session_id).count("agent_question"), 1)
        self.assertEqual(self.kinds(question.session_id).count("agent_message"), 1)
        self.end(second)

    def test_worker_stopped_past_its_lease_and_continued(self) -> None:
        created, queue = self.create("asks")
        stopped = self.worker(queue, f"--lease={SHORT_S}s")
        question = self.question_of(created.ticket.session_id)
        stopped.signal(signal.SIGSTOP)
        wait_until(lambda: "job_requeued" in self.kinds(question.session_id), "a lost lease")
        other = self.worker(queue)
        wait_until(lambda: self.desk.job(created.job_id).attempt == 2, "a second attempt")
        self.answer(question, "blue")
        job = self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        stopped.signal(signal.SIGCONT)
        stopped.wait_for_log("attempt abandoned")
        self.assertEqual(self.desk.job(created.job_id), job, "it could change nothing any more")
        self.assertEqual(self.kinds(question.session_id).count("agent_complete"), 1)
        self.end(other)
        self.end(stopped)

    def test_parking_costs_no_process_and_the_next_worker_goes_on(self) -> None:
        created, queue = self.create("parks")
        first = self.worker(queue)
        self.wait_status(created.job_id, Status.JOB_STATUS_WAITING)
        self.end(first)
        question = self.question_of(created.ticket.session_id)
        self.assertEqual(question.state, session_pb2.QUESTION_STATE_OPEN)
        self.answer(question, "you may")
        second = self.worker(queue)
        job = self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        result = json.loads(job.result_json)
        self.assertEqual((result["reason"], result["response"]), ("input", "you may"))
        self.assertEqual(result["state"]["step"], 1)
        self.assertIn("12345678901234567890", job.result_json, "no digit is lost on the way")
        self.assertEqual((job.failed_attempts, job.attempt), (0, 2))
        self.end(second)

    def test_what_came_before_the_exit_wakes_a_parked_job_at_once(self) -> None:
        created, queue = self.create("parks_with_a_full_buffer")
        worker = self.worker(queue)
        question = self.question_of(created.ticket.session_id)
        self.desk.call(self.desk.sessions.SendMessage, session_pb2.SendMessageRequest(
            session_id=created.ticket.session_id, content="are you there?"))
        self.answer(question, "you may")
        job = self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        self.assertEqual((job.summary, json.loads(job.result_json)["reason"], job.attempt),
                         ("you may", "input", 2))
        self.end(worker)

    def test_core_down_longer_than_a_lease(self) -> None:
        created, queue = self.create("asks")
        worker = self.worker(queue, f"--lease={SHORT_S}s")
        question = self.question_of(created.ticket.session_id)
        self.core.kill()
        over = time.time() + SHORT_S  # by then whatever it had granted has run out
        wait_until(lambda: time.time() > over, "the end of every lease")
        self.start_core()
        self.answer(question, "blue")
        job = self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        self.assertEqual(job.attempt, 1, "the agent was not lost to it")
        self.end(worker)

    def test_a_core_that_is_away_and_back_is_told_once(self) -> None:
        proxy = FaultProxy(self.core.address)
        self.addCleanup(proxy.close)
        queue = new_id()
        worker = self.worker(queue, f"--core={proxy.address}")
        proxy.wait_told(queue)
        proxy.refuse()
        away = worker.wait_for_log("cannot claim; trying again")
        self.assertEqual(away["level"], "warning")
        refused = proxy.refused
        wait_until(lambda: proxy.refused >= refused + 3, "several tries")
        proxy.flow()
        created = self.desk.create("shows_environment", description="shows_environment", queue=queue)
        self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        worker.wait_for_log("the core is back")
        self.assertEqual(len(worker.logged("cannot claim; trying again")), 1)
        self.assertEqual(len(worker.logged("the core is back")), 1)
        self.end(worker)

    def test_cancel_ends_the_whole_process_group(self) -> None:
        created, queue = self.create("ignores_cancel")
        worker = self.worker(queue)
        child = int(self.said(created.ticket.session_id)[0].split()[1])
        self.assertTrue(is_alive(child))
        self.desk.call(self.desk.tickets.CancelTicket,
                       ticket_pb2.CancelTicketRequest(ticket_id=created.ticket_id))
        self.wait_status(created.job_id, Status.JOB_STATUS_CANCELLED)
        wait_until(lambda: not is_alive(child), "the end of the agent's child")
        self.end(worker)

    def test_sigterm_gives_the_job_back(self) -> None:
        created, queue = self.create("asks")
        worker = self.worker(queue)
        self.question_of(created.ticket.session_id)
        self.end(worker)
        job = self.desk.job(created.job_id)
        self.assertEqual((job.status, job.failed_attempts), (Status.JOB_STATUS_QUEUED, 0))

    def test_a_job_that_was_just_granted_is_given_back_over_a_slow_link(self) -> None:
        proxy = FaultProxy(self.core.address)
        self.addCleanup(proxy.close)
        queue = new_id()
        worker = self.worker(queue, f"--core={proxy.address}")
        proxy.wait_told(queue)
        proxy.hold_answers()
        created = self.desk.create("granted", queue=queue)
        self.wait_status(created.job_id, Status.JOB_STATUS_RUNNING)
        worker.signal(signal.SIGTERM)
        proxy.wait_told(queue, times=2)  # it asks what became of its claim, and waits
        proxy.flow()
        self.assertEqual(worker.wait(), 0, worker.tail())
        job = self.desk.job(created.job_id)
        self.assertEqual((job.status, job.failed_attempts), (Status.JOB_STATUS_QUEUED, 0))

    def test_sigterm_ends_an_agent_that_stays_after_its_end(self) -> None:
        created, queue = self.create("stays_after_its_end")
        worker = self.worker(queue, "--cancel_grace=10m")
        self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        worker.wait_for_log("attempt ended")
        self.end(worker)
        self.assertEqual(worker.logged("agent ended")[0]["signal"], signal.SIGTERM)

    def test_a_machine_that_can_start_no_agent_costs_no_job_an_attempt(self) -> None:
        queue = new_id()
        worker = self.worker(queue, "--concurrency=4")
        first = self.desk.create("first", description="shows_environment", queue=queue)
        self.wait_status(first.job_id, Status.JOB_STATUS_COMPLETED)
        worker.wait_for_log("agent ended")
        taken = {int(name) for name in os.listdir(f"/proc/{worker.pid}/fd")}
        before = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
        self.assertEqual(before[0], before[1], "it took what the system gives")
        one_is_left = min(set(range(len(taken) + 1)) - taken) + 1
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (one_is_left, before[1]))
        jobs = [self.desk.create("next", description="shows_environment", queue=queue,
                                 max_attempts=1).job_id for _ in range(6)]
        error = worker.wait_for_log("cannot start an agent; its job goes back, and claims pause")
        self.assertEqual(error["level"], "error")
        self.assertIn("Too many open files", error["error"])
        wait_until(lambda: any(self.desk.job(job).attempt > 1 for job in jobs), "a second try")
        for job in map(self.desk.job, jobs):
            self.assertEqual(job.failed_attempts, 0)
            self.assertNotEqual(job.status, Status.JOB_STATUS_FAILED)
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, before)
        for job in jobs:
            self.wait_status(job, Status.JOB_STATUS_COMPLETED)
        self.end(worker)
        for message in (error["message"], "agents can be started again"):
            self.assertEqual(len(worker.logged(message)), 1, message)

    def test_more_agents_than_open_files_carry_are_refused(self) -> None:
        worker = Program("agentdesk-worker", "--agent=true", "--concurrency=12", descriptors=60)
        self.addCleanup(worker.kill)
        self.assertEqual(worker.start().wait(), 1)
        self.assertIn("--concurrency=12: so many agents need 100 open files, and the limit is 60",
                      wait_until(worker.tail, "a reason"))

    def test_what_an_agent_says_when_the_worker_is_stopped_is_stored(self) -> None:
        created, queue = self.create("has_last_words")
        worker = self.worker(queue)
        self.said(created.ticket.session_id)
        self.end(worker)
        self.assertEqual(self.said(created.ticket.session_id), ["ready", "last words"])
        self.assertEqual(self.desk.job(created.job_id).status, Status.JOB_STATUS_QUEUED)

    def test_an_agent_and_its_children_die_with_their_worker(self) -> None:
        created, queue = self.create("ignores_cancel")
        worker = self.worker(queue)
        said = self.said(created.ticket.session_id)[0].split()
        processes = {name: os.pidfd_open(int(pid)) for name, pid in
                     (("child", said[1]), ("agent", said[3]))}
        for descriptor in processes.values():
            self.addCleanup(os.close, descriptor)
        keeper = os.getpgid(int(said[3]))
        with open(f"/proc/{keeper}/cmdline", encoding="utf-8") as words:
            self.assertNotIn("agentdesk-worker", words.read(), "what pkill -f finds is the worker")
        worker.kill()
        for name, descriptor in processes.items():
            ended = select.select([descriptor], [], [], PATIENCE)[0]
            self.assertTrue(ended, f"the {name} runs on")

    def test_a_human_who_writes_to_the_parked_demonstration_agent_is_answered(self) -> None:
        created, queue = self.create("Count")
        worker = self.worker(queue, agent=f"/usr/bin/python3 -B '{ROOT}/tools/demo_agent.py' "
                                          f"--root='{ROOT}/tests' --park --park_after=0.1")
        session_id = created.ticket.session_id
        self.wait_status(created.job_id, Status.JOB_STATUS_WAITING)
        self.desk.call(self.desk.sessions.SendMessage, session_pb2.SendMessageRequest(
            session_id=session_id, content="what is it?"))
        wait_until(lambda: "agent_message" in self.kinds(session_id), "a reply")
        self.wait_status(created.job_id, Status.JOB_STATUS_WAITING)
        self.answer(self.question_of(session_id), "mutants")
        job = self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        self.assertEqual(json.loads(job.result_json)["files"],
                         len(list((ROOT / "tests/mutants").iterdir())))
        self.assertEqual(self.kinds(session_id).count("agent_question"), 1)
        self.end(worker)

    def test_agents_see_nothing_of_the_workers_settings(self) -> None:
        created, queue = self.create("shows_environment")
        worker = self.worker(queue)
        job = self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        self.assertEqual(json.loads(job.result_json), {"names": []})
        self.end(worker)

    def test_lines_that_are_no_messages_do_not_end_the_agent(self) -> None:
        created, queue = self.create("writes_garbage")
        worker = self.worker(queue)
        job = self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        self.assertEqual(job.summary, "survived")
        wait_until(lambda: "no JSON at all" in worker.tail(200), "the line in the log")
        self.end(worker)

    def test_an_agent_that_asks_too_much_is_told_at_once(self) -> None:
        """It alone can make room: a line that was kept for a repeat would hold up its withdrawal."""
        created, queue = self.create("asks_too_much")
        worker = self.worker(queue)

        def asked_instead() -> session_pb2.Question | None:
            questions = (event.agent_question.question for event in self.desk.log(
                ticket_ids=[created.ticket_id], types=[event_pb2.EVENT_TYPE_AGENT_QUESTION]))
            return next((question for question in questions if question.key == "again"), None)
        self.answer(wait_until(asked_instead, "the question that the agent asks instead"), "yes")
        job = self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        self.assertEqual(job.summary, "yes")
        self.assertEqual(json.loads(job.result_json),
                         {"code": "too_many_open_questions", "key": "q100"})
        self.end(worker)

    def test_an_agent_that_dies_has_failed_with_what_it_said_last(self) -> None:
        created, queue = self.create("dies_once")
        worker = self.worker(queue)
        job = self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        self.assertEqual((job.attempt, job.failed_attempts, job.summary), (2, 1, "failed"))
        requeued = next(event.job_requeued for event in self.desk.log(
            session_ids=[created.ticket.session_id]) if event.HasField("job_requeued"))
        self.assertIn("the disk is full", requeued.error)
        self.end(worker)

    def test_messages_reach_a_live_agent(self) -> None:
        created, queue = self.create("waits_for_a_message")
        worker = self.worker(queue)
        wait_until(lambda: "agent_message" in self.kinds(created.ticket.session_id), "a message")
        self.desk.call(self.desk.sessions.SendMessage, session_pb2.SendMessageRequest(
            session_id=created.ticket.session_id, content="go left"))
        job = self.wait_status(created.job_id, Status.JOB_STATUS_COMPLETED)
        self.assertEqual(job.summary, "go left")
        self.end(worker)


def is_alive(pid: int) -> bool:
    """Whether a process runs (one that only waits to be collected does not)."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    unittest.main()
