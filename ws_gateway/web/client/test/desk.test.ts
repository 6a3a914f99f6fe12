/** The library against the two real programs. */
import { randomUUID } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { DeskClient } from "../src/index.js";
import type { ClientOptions, DeskEvent, Question, Ticket } from "../src/index.js";
import { chance, Desk, Refused, until } from "./programs.js";

/** Asks, waits for the answer, and ends. */
const kAgent = [
  "read -r start",
  `printf '%s\\n' '{"type":"message","content":"at work"}'`,
  `printf '%s\\n' '{"type":"question","key":"q","content":"Go on?","choices":["yes","no"]}'`,
  "read -r answer",
  `printf '%s\\n' '{"type":"complete","summary":"done"}'`,
].join("; ");

let desk: Desk;
const clients: DeskClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await desk.end();
});

function follow(options: Partial<ClientOptions> = {}): DeskClient {
  const client = new DeskClient({
    url: desk.socketUrl,
    WebSocket: WebSocket,
    ...options,
  });
  clients.push(client);
  return client.connect();
}

async function create(name: string): Promise<string> {
  const body = { ticket_name: name, request_id: randomUUID() };
  return (await desk.call<Ticket>("POST", "/tickets/create", body)).ticket_id;
}

async function listAll<T>(path: string, name: string): Promise<T[]> {
  const all: T[] = [];
  let token = "";
  do {
    const page = await desk.call<Record<string, T[]> & { next_page_token: string }>(
      "GET",
      `${path}${path.includes("?") ? "&" : "?"}page_size=1000&page_token=${encodeURIComponent(token)}`,
    );
    all.push(...page[name]!);
    token = page.next_page_token;
  } while (token);
  return all;
}

async function cancel(id: string): Promise<void> {
  try {
    await desk.call("POST", `/tickets/${id}/cancel`, { request_id: randomUUID() });
  } catch (error) {
    // Its agent was faster.
    if (!(error instanceof Refused && error.code === "ticket_ended")) throw error;
  }
}

/** Everything that the store holds is what the core reports, and nothing open is missing. */
async function expectStoreTrue(client: DeskClient): Promise<void> {
  const { sequence } = await desk.call<{ sequence: number }>("GET", "/tickets?page_size=1");
  await until(() => (client.position?.after ?? 0) >= sequence, `event ${sequence}`);
  const tickets = new Map(
    (await listAll<Ticket>("/tickets", "tickets")).map((ticket) => [ticket.ticket_id, ticket]),
  );
  for (const [id, ticket] of client.store.tickets) expect(ticket).toEqual(tickets.get(id));
  for (const [id, ticket] of tickets) {
    const ended = ["completed", "failed", "cancelled"].includes(ticket.status);
    if (!ended) expect(client.store.tickets.get(id)).toEqual(ticket);
  }
  const questions = await listAll<Question>("/questions?state=open", "questions");
  const open = [...client.store.questions.values()].filter(({ state }) => state === "open");
  const byId = (a: Question, b: Question): number => (a.question_id < b.question_id ? -1 : 1);
  expect(open.sort(byId)).toEqual(questions.sort(byId));
  const fresh = follow();
  await until(() => fresh.position, "a fresh snapshot");
  for (const [id, session] of fresh.store.sessions) {
    expect(client.store.sessions.get(id)).toEqual(session);
  }
}

test("resumes at the exact event across 50 kills while 10,000 events flow", async () => {
  desk = await new Desk().start();
  await desk.work(kAgent, "--concurrency=4");
  const random = chance(7);
  const client = follow({ random });
  const seen: number[] = [];
  let start = 0;
  client.on("snapshot", ({ up_to }) => {
    expect(seen, "one snapshot, at the start").toEqual([]);
    start = up_to;
  });
  client.on("event", ({ sequence }) => seen.push(sequence));
  client.on("gap", (gap) => expect.unreachable(`there is no gap: ${gap.reason}`));
  const outcomes = new Map<string, string>();
  const answeredInLog = new Set<string>();
  client.on("event", (event) => {
    if (event.type === "question_answered") answeredInLog.add(event.question_id);
    if (event.type !== "agent_question") return;
    void client.answer(event, random() < 0.5 ? "yes" : "no").then(({ status }) => {
      outcomes.set(event.question_id, status);
    });
  });

  let ended = false;
  const produce = async (): Promise<void> => {
    while (!ended) {
      const id = await create("Work");
      if (random() < 0.9) await cancel(id);
    }
  };
  const producing = Promise.all(Array.from({ length: 16 }, produce));
  for (let kill = 1; kill <= 50; ++kill) {
    // A kill with every 200 events, wherever the clients happen to be.
    await Promise.race([producing, until(() => seen.length >= kill * 200, `${kill * 200} events`)]);
    const target = random() < 0.5 ? desk.core : desk.gateway;
    await target.end();
    await target.start();
  }
  ended = true;
  await producing;
  // Hundreds of agents' processes have still to run, four at a time; a claim whose answer was lost
  // with the last kill waits for the end of its lease before that.
  await until(
    () => {
      const open = [...client.store.tickets.values()].some(({ status }) =>
        ["queued", "running", "waiting", "cancelling"].includes(status),
      );
      return !open && client.unanswered === 0;
    },
    "the end of all work",
    300,
  );
  await expectStoreTrue(client);
  expect(seen.length).toBeGreaterThanOrEqual(10_000);
  expect(seen).toEqual(Array.from(seen, (_, index) => start + index + 1));
  // Nobody else answers, and a repeat gets the first result; a cancel may have been faster.
  for (const [id, status] of outcomes) {
    expect(status).toBe(answeredInLog.has(id) ? "received" : "withdrawn");
  }
  expect(answeredInLog.size).toBeGreaterThan(0);
  console.log(`${seen.length} events, ${answeredInLog.size} questions answered, 50 kills`);
}, 600_000);

test("a store that began with a snapshot stays true", async () => {
  desk = await new Desk().start();
  const kept = await create("Stays");
  const retried = await create("Comes again");
  const client = follow();
  await until(() => client.store.tickets.has(retried), "the snapshot");
  await client.cancelTicket(retried);
  await client.retryTicket(retried);
  await desk.work(kAgent, "--concurrency=1");
  const question = await until(
    () => [...client.store.questions.values()].find(({ state }) => state === "open"),
    "a question",
  );
  await expectStoreTrue(client);
  expect([kept, retried]).toContain(question.ticket_id);
});

test("after a gap it takes the state anew and goes on", async () => {
  desk = await new Desk().start();
  await create("Of the first desk");
  const client = follow();
  const gaps: string[] = [];
  client.on("gap", ({ reason }) => gaps.push(reason));
  await until(() => client.store.tickets.size === 1, "the snapshot");
  // The core comes back with another data directory: a restored backup is another desk.
  await desk.core.end();
  desk.data = "other";
  await desk.core.start();
  await until(() => gaps.length > 0 && client.store.tickets.size === 0, "the other desk");
  expect(gaps).toEqual(["other_desk"]);
  const id = await create("Of the other desk");
  await until(() => client.store.tickets.has(id), "its event");
  await expectStoreTrue(client);
});

test("a position that the log no longer reaches, or does not reach yet, is a gap that is told", async () => {
  desk = await new Desk(["--retain_events=50"]).start();
  const first = follow();
  await Promise.all(Array.from({ length: 400 }, (_, index) => create(`Old ${index}`)));
  await until(() => first.position?.after === 400, "all events");
  const { desk: id } = first.position!;
  // A gateway serves what it remembers itself; a new one remembers nothing.
  await desk.gateway.end();
  await desk.gateway.start();
  for (const [after, reason] of [
    [1, "compacted"],
    [1000, "ahead"],
  ] as const) {
    const client = follow({ from: { desk: id, after } });
    const seen: string[] = [];
    client.on("gap", (gap) => seen.push(`${gap.reason} ${gap.desk === id}`));
    client.on("snapshot", ({ tickets }) => seen.push(`${tickets.length} tickets`));
    client.on("event", ({ type }) => seen.push(type));
    await until(() => seen.length === 2, "the snapshot");
    const ticket = await create(`After ${reason}`);
    await until(() => client.store.tickets.has(ticket), "its event");
    const tickets = reason === "compacted" ? 400 : 401;
    expect(seen).toEqual([`${reason} true`, `${tickets} tickets`, "ticket_created"]);
    await expectStoreTrue(client);
  }
});

test("an answer given offline is sent once", async () => {
  desk = await new Desk().start();
  await desk.work(kAgent);
  const client = follow();
  const events: DeskEvent[] = [];
  client.on("event", (event) => events.push(event));
  await until(() => client.state.kind === "live", "connection");
  const ticket = await create("Asks");
  const question = await until(() => [...client.store.questions.values()][0], "question");
  await desk.gateway.end();
  await until(() => client.state.kind === "waiting", "lost connection");
  const outcome = client.answer(question, "yes");
  expect(client.unanswered).toBe(1);
  await desk.gateway.start();
  expect(await outcome).toMatchObject({ status: "received", question_id: question.question_id });
  await until(() => client.store.tickets.get(ticket)?.status === "completed", "the agent's end");
  expect(events.filter(({ type }) => type === "question_answered")).toHaveLength(1);
  expect(events.filter(({ type }) => type === "user_message")).toHaveLength(0);
});

test("the loser is told who won, and with what", async () => {
  desk = await new Desk().start();
  await desk.work(kAgent);
  const [one, two] = [follow(), follow()];
  await create("Asks");
  const question = await until(() => [...one.store.questions.values()][0], "question");
  const outcomes = await Promise.all([one.answer(question, "yes"), two.answer(question, "no")]);
  const won = outcomes.find(({ status }) => status === "received");
  const lost = outcomes.find(({ status }) => status === "already_answered");
  expect(won).toBeDefined();
  const winner = outcomes[0] === won ? one : two;
  expect(lost).toMatchObject({
    answered_by: winner.state.kind === "live" ? winner.state.user : "",
    response: winner === one ? "yes" : "no",
  });
});

test("refusals name the field, and sizes are checked before sending", async () => {
  desk = await new Desk().start();
  const client = follow();
  await until(() => client.state.kind === "live", "connection");
  await expect(client.createTicket({ ticket_name: "" })).rejects.toMatchObject({
    name: "CommandError",
    code: "invalid_message",
    field: "ticket_name",
  });
  await expect(client.createTicket({ ticket_name: "é".repeat(501) })).rejects.toMatchObject({
    code: "too_large",
    field: "ticket_name",
  });
  expect(await client.sendMessage("nobody", "hello")).toMatchObject({ status: "unknown_session" });
});

test("an iterator gives each event once and ends with the client", async () => {
  desk = await new Desk().start();
  const client = follow({ from: "live" });
  await until(() => client.state.kind === "live", "connection");
  const names: string[] = [];
  const reading = (async () => {
    for await (const event of client.events()) {
      if (event.type === "ticket_created") names.push(event.ticket_name);
    }
  })();
  for (const name of ["a", "b", "c"]) await create(name);
  await until(() => names.length === 3, "three events");
  client.close();
  await reading;
  expect(names).toEqual(["a", "b", "c"]);
});

test("another client goes on from a position", async () => {
  desk = await new Desk().start();
  const first = follow();
  await create("one");
  await until(() => first.store.tickets.size === 1, "the first event");
  const from = first.position!;
  first.close();
  const ids = [await create("two"), await create("three")];
  const second = follow({ from });
  const seen: string[] = [];
  second.on("event", (event) => seen.push(event.ticket_id));
  await until(() => seen.length === 2, "two events");
  expect(seen).toEqual(ids);
});

test("a drained gateway says 1012 and is come back to", async () => {
  desk = await new Desk().start();
  const client = follow();
  await until(() => client.state.kind === "live", "connection");
  const codes: number[] = [];
  client.on("state", (state) => state.kind === "waiting" && codes.push(state.closeCode));
  await desk.gateway.end("SIGTERM");
  await desk.gateway.start();
  await until(() => client.state.kind === "live", "connection");
  expect(codes[0]).toBe(1012);
});

/** A socket that a test can misuse. */
class Bare extends WebSocket {
  static last: Bare;
  constructor(url: string, protocols: string[]) {
    super(url, protocols);
    Bare.last = this;
  }
}
const bare = { WebSocket: Bare };

test.each([
  [1003, "binary", (socket: WebSocket) => socket.send(new Uint8Array([1, 2, 3]))],
  [1009, "more than the gateway takes", (socket: WebSocket) => socket.send("x".repeat(300_000))],
  [
    1007,
    "what is not UTF-8",
    (socket: WebSocket) => socket.send(Buffer.from([0xff]), { binary: false }),
  ],
])("after a real %i for %s it stays away", async (code, _what, misuse) => {
  desk = await new Desk().start();
  const client = follow(bare);
  await until(() => client.state.kind === "live", "connection");
  const command = client.sendMessage("nobody", "hello");
  misuse(Bare.last);
  await until(() => client.state.kind === "closed", "the end");
  expect(client.state).toMatchObject({ error: { name: "TerminalCloseError", closeCode: code } });
  // Answered before the end or not: it does not hang.
  await command.catch((error: Error) => expect(error.name).toBe("UnansweredError"));
});

test("a full gateway says 1013 and when to come back, and is come back to", async () => {
  desk = await new Desk([], ["--max_connections=1"]).start();
  const first = follow();
  await until(() => first.state.kind === "live", "connection");
  const second = follow({ random: () => 0 });
  await until(() => second.state.kind === "waiting", "refusal");
  expect(second.state).toMatchObject({ closeCode: 1013 });
  first.close();
  await until(() => second.state.kind === "live", "its turn");
});

test("one that reads too slowly is let go, and has every event once all the same", async () => {
  desk = await new Desk().start();
  const client = follow(bare);
  const codes: number[] = [];
  const seen: number[] = [];
  client.on("state", (state) => state.kind === "waiting" && codes.push(state.closeCode));
  client.on("event", ({ sequence }) => seen.push(sequence));
  await until(() => client.state.kind === "live", "connection");
  Bare.last.pause();
  const description = "x".repeat(32_000);
  for (let round = 0; round < 75; ++round) {
    await Promise.all(
      Array.from({ length: 20 }, () =>
        desk.call("POST", "/tickets/create", {
          ticket_name: "Large",
          description,
          request_id: randomUUID(),
        }),
      ),
    );
  }
  Bare.last.resume();
  await until(() => seen.length === 1500, "all events");
  expect(seen).toEqual(Array.from(seen, (_, index) => seen[0]! + index));
  // Who reads on within 5 s meets the close, who does not is cut off.
  expect(codes.length).toBeGreaterThan(0);
  for (const code of codes) expect([4430, 1006]).toContain(code);
});

test("a gateway that has stopped in silence is given up, and gone on from", async () => {
  desk = await new Desk().start();
  const client = follow();
  const seen: string[] = [];
  client.on("event", ({ ticket_id }) => seen.push(ticket_id));
  await until(() => client.state.kind === "live", "connection");
  const first = await create("Before");
  await until(() => seen.length === 1, "its event");
  desk.gateway.signal("SIGSTOP");
  await until(() => client.state.kind === "waiting", "two heartbeats without a word");
  expect(client.state).toMatchObject({ closeCode: 1006 });
  desk.gateway.signal("SIGCONT");
  const second = await create("After");
  await until(() => seen.length === 2, "what was missed");
  expect(seen).toEqual([first, second]);
});

test("an origin that may not connect is not told from an absent gateway, and is retried", async () => {
  desk = await new Desk().start();
  class Foreign extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols, { origin: "http://elsewhere.example" });
    }
  }
  const client = follow({ WebSocket: Foreign });
  await until(() => client.state.kind === "waiting", "refusal");
  expect(client.state).toMatchObject({ closeCode: 1006 });
});
