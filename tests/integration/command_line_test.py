"""The `agentdesk` program against a real core: each command, in text and JSON, and its exit codes."""

import json
import os
import re
import select
import signal
import subprocess
import unittest

from agentdesk_test import BIN, PATIENCE, Core, DeskTestCase, wait_until
from certificates import Authority
from desk_client import new_id, session_pb2, ticket_pb2
from watch import Watch

COLOUR = "\x1b["


class Done:
    """What a command said, and its exit code."""

    def __init__(self, done: subprocess.CompletedProcess) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    @property
    def json(self) -> dict:
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLineTest(DeskTestCase):
    with_gateway = False

    def run_it(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None,
               core: bool = True) -> Done:
        flags = [f"--core={self.core.address}"] if core else []
        plain = {name: value for name, value in os.environ.items()
                 if not name.startswith("AGENTDESK_")}
        return Done(subprocess.run(
            [BIN / "agentdesk", *arguments, *flags], input=stdin, capture_output=True, text=True,
            timeout=60, check=False, env={**plain, "USER": "ada", **(env or {})}))

    def succeeds(self, *arguments: str, **kwargs) -> Done:
        done = self.run_it(*arguments, **kwargs)
        self.assertEqual(done.code, 0, f"{arguments}: {done.out}{done.err}")
        return done

    def watch(self, *flags: str) -> Watch:
        watch = Watch(self.core.address, *flags)
        self.addCleanup(watch.process.kill)
        return watch

    def test_ticket_create_list_show_cancel_retry(self) -> None:
        queue = f"q-{new_id()}"
        done = self.succeeds("ticket", "create", "Fix", "the", "page", "--label=team=web",
                             f"--queue={queue}", "--priority=7", "--description=-",
                             stdin="It is\nbroken\n")
        made = re.fullmatch(r"ticket  (\S{36})\njob     (job-\S{36})\nsession (\S{36})\n", done.out)
        self.assertIsNotNone(made, done.out)
        ticket_id, job_id, session_id = made.groups()
        stored = self.desk.ticket(ticket_id)
        self.assertEqual((stored.ticket_name, stored.description, stored.labels["team"],
                          stored.queue, stored.priority),
                         ("Fix the page", "It is\nbroken", "web", queue, 7))

        own, request_id = new_id(), new_id()
        first = self.succeeds("ticket", "create", "Other", f"--queue={queue}", "--json",
                              f"--ticket_id={own}", f"--request_id={request_id}").json
        self.assertEqual((first["ticket_id"], first["status"], first["replayed"]),
                         (own, "queued", False))
        again = self.succeeds("ticket", "create", "Other", f"--queue={queue}", "--json",
                              f"--ticket_id={own}", f"--request_id={request_id}").json
        self.assertEqual(again, {**first, "replayed": True})

        listed = self.succeeds("ticket", "list", "--json", "--limit=0").lines
        ids = [ticket["ticket_id"] for ticket in listed]
        self.assertLess(ids.index(own), ids.index(ticket_id), "newest first")
        text = self.succeeds("ticket", "list", "--status=queued", "--limit=1")
        self.assertIn("Other", text.out)
        self.assertNotIn("Fix the page", text.out)
        self.assertIn("--limit=0 lists all", text.err)

        shown = self.succeeds("ticket", "show", ticket_id, "--json").json
        self.assertEqual((shown["ticket"]["ticket_name"], shown["job"]["job_id"], shown["questions"]),
                         ("Fix the page", job_id, []))
        shown = self.succeeds("ticket", "show", ticket_id, "--transcript").out
        for part in ("Fix the page", "broken", job_id, session_id, queue):
            self.assertIn(part, shown)

        self.assertIn("cancelled", self.succeeds("ticket", "cancel", ticket_id).out)
        self.assertEqual(self.desk.ticket(ticket_id).status, ticket_pb2.JOB_STATUS_CANCELLED)
        self.assertEqual(self.succeeds("ticket", "retry", ticket_id, "--json").json["status"],
                         "queued")
        self.assertNotEqual(self.desk.ticket(ticket_id).job_id, job_id, "a new job")

    def test_questions_answer_message_desk(self) -> None:
        lease = self.desk.start("Paint")
        question = self.desk.ask(lease, "Which colour?", choices=[
            session_pb2.Choice(value="red", label="Deep red"), session_pb2.Choice(value="blue")])
        asked = self.succeeds("questions", f"--session={lease.session_id}").out
        for part in ("Which colour?", "Deep red", "blue",
                     f"> {BIN / 'agentdesk'} --core={self.core.address} answer {question.question_id} red"):
            self.assertIn(part, asked)
        asked = self.succeeds("questions", f"--session={lease.session_id}", "--json").lines
        self.assertEqual([line["question_id"] for line in asked], [question.question_id])

        refused = self.run_it("answer", question.question_id, "green")
        self.assertEqual(refused.code, 1)
        self.assertIn("choices", refused.err)
        self.assertEqual(self.succeeds("answer", question.question_id, "red").out, "received\n")
        late = self.run_it("answer", question.question_id, "blue", "--actor=bob")
        self.assertEqual((late.code, late.out), (1, ""))
        self.assertRegex(late.err, "ada.*The answer: red")
        late = self.run_it("answer", question.question_id, "blue", "--json")
        self.assertEqual(late.code, 1)
        self.assertEqual((late.json["status"], late.json["answered_by"], late.json["response"]),
                         ("already_answered", "ada", "red"))

        several = self.desk.ask(lease, "Which ones?", multiple=True, choices=[
            session_pb2.Choice(value="a b"), session_pb2.Choice(value="c"),
            session_pb2.Choice(value="d")])
        self.succeeds("answer", several.question_id, "a b", "d")
        stored = self.desk.call(self.desk.sessions.GetQuestion, session_pb2.GetQuestionRequest(
            question_id=several.question_id)).question
        self.assertEqual(list(stored.responses), ["a b", "d"])
        self.assertIn("no questions",
                      self.succeeds("questions", f"--session={lease.session_id}").err)
        self.assertEqual(len(self.succeeds("questions", f"--session={lease.session_id}", "--all",
                                           "--json").lines), 2)

        sent = self.succeeds("message", lease.session_id, "go", "left")
        self.assertRegex(sent.out, r"^sent as event \d+\n$")
        sequence = self.succeeds("message", lease.session_id, "-", "--json",
                                 stdin="and right\n").json["sequence"]
        event = next(event for event in self.desk.log() if event.sequence == sequence)
        self.assertEqual((event.user_message.content, event.actor.id), ("and right", "ada"))

        desk = self.desk.head()
        self.assertIn(desk.desk_id, self.succeeds("desk").out)
        self.assertEqual(self.succeeds("desk", "--json").json["head_sequence"], desk.head_sequence)

    def test_watch_follows_over_a_restart_of_the_core(self) -> None:
        first = self.desk.create("Before the restart")
        desk_id = self.desk.head().desk_id
        watch = self.watch("--json", f"--after={first.sequence - 1}", f"--desk={desk_id}")
        watch.wait_for(first.ticket_id)
        self.core.kill()
        wait_until(lambda: "coming back" in watch.said, "word of the loss")
        self.start_core()
        last = self.desk.create("After the restart")
        watch.wait_for(last.ticket_id)
        self.assertEqual(watch.end(), 0)
        events = [json.loads(line) for line in watch.lines]
        self.assertEqual([event["sequence"] for event in events],
                         list(range(first.sequence, last.sequence + 1)))
        self.assertEqual(events[0]["type"], "ticket_created")
        self.assertIn("back again", watch.said)

    def test_watch_ends_when_what_it_prints_is_lost(self) -> None:
        self.desk.create("Lost")
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run(
                [BIN / "agentdesk", "watch", "--after=0", f"--core={self.core.address}"],
                stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write to standard output", done.stderr)

    def test_watch_ends_although_nobody_reads_what_it_prints(self) -> None:
        for _ in range(4):
            self.desk.create("Long", description="x" * 30_000)
        for number in (signal.SIGINT, signal.SIGTERM):
            unread, printed = os.pipe()
            self.addCleanup(os.close, unread)
            self.addCleanup(os.close, printed)
            watch = subprocess.Popen(
                [BIN / "agentdesk", "watch", "--after=0", "--json", f"--core={self.core.address}"],
                stdout=printed, stderr=printed)
            self.addCleanup(watch.wait)
            self.addCleanup(watch.kill)
            wait_until(lambda end=printed: not select.select([], [end], [], 0)[1], "a full pipe")
            watch.send_signal(number)
            self.assertEqual(watch.wait(PATIENCE), 1, "not all that it had was printed")

    def test_watch_in_colour_and_without(self) -> None:
        ticket = self.desk.create("Watched")
        self.desk.create("Another")
        flags = ("--after=0", f"--ticket={ticket.ticket_id}")
        colourful = self.watch("--color=always", *flags)
        self.assertIn(COLOUR, colourful.wait_for("Watched"))
        plain = self.watch(*flags)  # a pipe is no terminal
        self.assertNotIn(COLOUR, plain.wait_for("Watched"))
        snapshot = self.watch("--snapshot", "--json")
        first = json.loads(snapshot.wait_for("snapshot"))
        self.assertEqual(first["type"], "snapshot")
        self.assertIn(ticket.ticket_id, [one["ticket_id"] for one in first["tickets"]])
        live = self.watch("--live", "--json")
        # Live begins when the core has taken the call: what comes again and again is seen at last.
        wait_until(lambda: self.desk.create("Now") and live.lines, "an event", 60)
        for watch in (colourful, plain, snapshot, live):
            self.assertEqual(watch.end(), 0)
        for watch in (colourful, plain):
            self.assertNotIn("Another", "\n".join(watch.lines), "only of this ticket")
        self.assertNotIn("Watched", "\n".join(live.lines), "only what happens from then on")

    def test_a_position_that_cannot_be_served(self) -> None:
        done = self.run_it("watch", "--after=1", f"--desk={new_id()}")
        self.assertEqual(done.code, 1)
        self.assertIn("--snapshot begins with it", done.err)

    def test_wrong_use_ends_with_2_and_says_what(self) -> None:
        for arguments, text in [
                ((), "a command is missing"), (("ticket",), "`ticket` wants more"),
                (("nonsense",), "no command `nonsense`"), (("ticket", "create"), "needs NAME"),
                (("ticket", "list", "--nonsense"), "no flag --nonsense"),
                (("desk", "--limit=3"), "--limit is no flag of this command"),
                (("ticket", "list", "--status=odd"), "--status=odd"),
                (("ticket", "create", "x", "--priority=10"), "from 0 to 9"),
                (("ticket", "create", "x", "--run_after=90s", "--request_id=r"), "give the time"),
                (("watch", "--after=5"), "--after needs --desk"),
                (("desk", "--color=red"), "--color")]:
            with self.subTest(arguments):
                done = self.run_it(*arguments)
                self.assertEqual((done.code, done.out), (2, ""))
                self.assertIn(text, done.err)

    def test_a_program_flag_that_cannot_be_read_is_wrong_use_wherever_it_stands(self) -> None:
        file = self.system.scratch / "wrong.flags"
        file.write_text("--json=maybe\n", encoding="utf-8")
        for done in (self.run_it("desk", "--json=maybe"),
                     self.run_it("desk", env={"AGENTDESK_JSON": "maybe"}),
                     self.run_it("desk", f"--flagfile={file}")):
            self.assertEqual((done.code, done.out), (2, ""), done.err)
            self.assertIn("json=maybe: must be true or false", done.err.lower())
        self.assertEqual(self.run_it("desk", "--flagfile=/no/such/file").code, 2)

    def test_errors_end_with_1_and_say_what(self) -> None:
        done = self.run_it("ticket", "show", new_id())
        self.assertEqual((done.code, done.out), (1, ""))
        self.assertIn("ticket", done.err)
        done = self.run_it("ticket", "show", "no-uuid", "--json")
        self.assertEqual(done.code, 1)
        self.assertEqual(json.loads(done.err)["error"]["field"], "ticket_id")

    def test_a_core_that_is_not_there_is_told_and_the_write_may_be_repeated(self) -> None:
        gone = Core(self.system.scratch / "gone").start()
        self.addCleanup(gone.kill)
        gone.kill()
        done = self.run_it("ticket", "create", "x", "--run_after=90s", f"--core={gone.address}",
                           core=False)
        self.assertEqual(done.code, 1)
        self.assertIn("does agentdesk-core run there?", done.err)
        repeat = re.search(r"not known: (--(?:request_id|run_after)=\S+) "
                           r"(--(?:request_id|run_after)=\S+) repeats it", done.err)
        self.assertIsNotNone(repeat, done.err)
        created = [self.succeeds("ticket", "create", "x", "--json", *repeat.groups()).json
                   for _ in range(2)]
        self.assertEqual([one["replayed"] for one in created], [False, True])
        self.assertEqual(created[0]["ticket_id"], created[1]["ticket_id"])

    def test_tls_at_a_core_that_speaks_none_is_told(self) -> None:
        authority = Authority(self.system.scratch)
        done = self.run_it("desk", f"--core_ca={authority.file}")
        self.assertEqual(done.code, 1)
        self.assertIn("if the core speaks no TLS, leave --core_ca away", done.err)
        self.assertEqual(len(done.err.splitlines()), 1, done.err)

    def test_flags_from_the_environment_and_a_file(self) -> None:
        file = self.system.scratch / "flags"
        file.write_text(f"--core={self.core.address}\n--json\n--queue=from-file\n--priority=2\n",
                        encoding="utf-8")

        def made(*arguments: str, **env: str) -> ticket_pb2.Ticket:
            done = self.succeeds("ticket", "create", "x", *arguments, env=env, core=False)
            return self.desk.ticket(done.json["ticket_id"])

        ticket = made(f"--flagfile={file}")
        self.assertEqual((ticket.queue, ticket.priority), ("from-file", 2))
        ticket = made(AGENTDESK_FLAGFILE=str(file), AGENTDESK_QUEUE="from-environment")
        self.assertEqual((ticket.queue, ticket.priority), ("from-environment", 2))
        ticket = made("--queue=from-line", AGENTDESK_FLAGFILE=str(file),
                      AGENTDESK_QUEUE="from-environment")
        self.assertEqual(ticket.queue, "from-line", "the line is the strongest")
        ticket = made(AGENTDESK_CORE=self.core.address, AGENTDESK_JSON="true",
                      AGENTDESK_PRIORITY="9")
        self.assertEqual((ticket.queue, ticket.priority), ("default", 9))

    def test_help_names_every_command_and_flag(self) -> None:
        everything = self.succeeds("--help", core=False).out
        commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?= |$)", everything, re.MULTILINE)
        self.assertEqual(commands, [
            "ticket create", "ticket list", "ticket show", "ticket cancel", "ticket retry", "watch",
            "questions", "answer", "message", "desk", "token key", "token create", "token verify",
            "admin backup", "admin restore", "admin check", "admin compact", "admin export",
            "audit verify", "audit export"])
        for command in commands:
            text = self.succeeds(*command.split(), "--help", core=False).out
            self.assertIn(f"agentdesk {command}", text)
            self.assertIn("--core=HOST:PORT", text)
        self.assertRegex(self.succeeds("--version", core=False).out, r"^\d+\.\d+\.\d+\n$")
        checked = self.succeeds("--check_config", "--color=never").out.splitlines()
        self.assertIn(f"--core={self.core.address}", checked)
        self.assertIn("--color=never", checked)


if __name__ == "__main__":
    unittest.main()
