/** The connection by itself, on a clock and a socket that the test moves. */
import { beforeEach, describe, expect, test } from "vitest";
import { afterClose, DeskClient } from "../src/index.js";
import type { ClientOptions, Socket } from "../src/index.js";
import { utf8Length } from "../src/commands.js";

const hello = {
  type: "hello",
  protocol: "agentdesk.v1",
  desk: "d1",
  sequence: 5,
  user: "guest-1",
  heartbeat_ms: 15_000,
  limits: {},
  time: "2026-01-01T00:00:00.000000+00:00",
};

class FakeSocket implements Socket {
  static last: FakeSocket;
  static opened = 0;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  onerror: Socket["onerror"] = null;
  readonly sent: Record<string, unknown>[] = [];
  closed = false;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.last = this;
    ++FakeSocket.opened;
  }
  send(data: string): void {
    this.sent.push(JSON.parse(data) as Record<string, unknown>);
  }
  close(): void {
    this.closed = true;
  }
  receive(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  hello(): void {
    this.receive(hello);
  }
  drop(code: number, reason = ""): void {
    this.onclose?.({ code, reason });
  }
}

class FakeClock {
  now = Date.parse("2026-01-01T00:00:00Z");
  readonly #timers = new Set<{ at: number; task: () => void }>();
  after = (ms: number, task: () => void): (() => void) => {
    const timer = { at: this.now + ms, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };
  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#timers.delete(next);
      this.now = next.at;
      next.task();
    }
    this.now = end;
  }
}

let clock: FakeClock;
let wake: () => void;

function client(options: Partial<ClientOptions> = {}): DeskClient {
  let id = 0;
  return new DeskClient({
    url: "ws://desk/ws",
    WebSocket: FakeSocket,
    now: () => clock.now,
    random: () => 0.5,
    after: clock.after,
    onWake: (task) => {
      wake = task;
      return () => {};
    },
    newId: () => `r${++id}`,
    ...options,
  }).connect();
}

/** Connected, with an empty state as of sequence 5. */
function live(options: Partial<ClientOptions> = {}): DeskClient {
  const desk = client(options);
  FakeSocket.last.hello();
  FakeSocket.last.receive({ type: "subscribed", up_to: 5 });
  FakeSocket.last.receive({
    type: "snapshot",
    up_to: 5,
    tickets: [],
    sessions: [],
    questions: [],
    more: false,
  });
  return desk;
}

beforeEach(() => {
  clock = new FakeClock();
  FakeSocket.opened = 0;
});

describe("close codes", () => {
  test.each([1002, 1003, 1007, 1008, 1009, 4500, 4501, 4503, 4999])("%i is for good", (code) => {
    const desk = live();
    FakeSocket.last.drop(code, "why");
    expect(desk.state).toMatchObject({ kind: "closed", error: { closeCode: code, reason: "why" } });
    clock.advance(3_600_000);
    wake();
    expect(FakeSocket.opened).toBe(1);
  });

  test.each([1000, 1001, 1005, 1006, 1011, 1012, 1013, 4401, 4429, 4430, 4000, 4499])(
    "%i is come back from",
    (code) => {
      const desk = live();
      FakeSocket.last.drop(code);
      expect(desk.state).toMatchObject({ kind: "waiting", closeCode: code });
      const { retryAt } = desk.state as { retryAt: number };
      expect(retryAt - clock.now).toBeLessThanOrEqual(15_000);
      clock.advance(retryAt - clock.now);
      expect(FakeSocket.opened).toBe(2);
    },
  );

  test("the wait grows, has jitter, and begins anew after a connection that worked", () => {
    for (const [failures, within] of [
      [0, 500],
      [1, 1000],
      [4, 8000],
      [5, 15000],
      [50, 15000],
    ] as const) {
      expect(afterClose(1006, "", failures)).toEqual({
        kind: "again",
        atLeastMs: 0,
        withinMs: within,
      });
    }
    const desk = live();
    for (const ms of [250, 500, 1000]) {
      FakeSocket.last.drop(1006);
      expect(desk.state).toMatchObject({ retryAt: clock.now + ms });
      clock.advance(ms);
    }
    FakeSocket.last.hello();
    FakeSocket.last.receive({ type: "subscribed", up_to: 5 });
    FakeSocket.last.drop(1006);
    expect(desk.state).toMatchObject({ retryAt: clock.now + 250 });
  });

  test("overload says when to come back", () => {
    expect(afterClose(1013, "too many connections, retry in 5 s", 0)).toEqual({
      kind: "again",
      atLeastMs: 5000,
      withinMs: 5000,
    });
  });

  test("a wake tries at once", () => {
    live();
    FakeSocket.last.drop(1006);
    wake();
    expect(FakeSocket.opened).toBe(2);
    wake();
    expect(FakeSocket.opened).toBe(2);
  });
});

describe("the place in the log", () => {
  test("is given on the next connection", () => {
    live();
    FakeSocket.last.receive({ type: "user_message", sequence: 6, content: "a", from: "b" });
    FakeSocket.last.receive({ type: "position", up_to: 9, time: "2026-01-01T00:00:10+00:00" });
    FakeSocket.last.drop(1006);
    clock.advance(1000);
    FakeSocket.last.hello();
    expect(FakeSocket.last.sent).toEqual([{ type: "subscribe", from: { desk: "d1", after: 9 } }]);
  });

  test("moves with events of a type that came later, which are passed over", () => {
    const desk = live();
    const seen: string[] = [];
    desk.on("event", ({ type }) => seen.push(type));
    FakeSocket.last.receive({ type: "agent_dreamt", sequence: 6 });
    expect(seen).toEqual([]);
    expect(desk.position).toEqual({ desk: "d1", after: 6 });
  });

  test("is not taken from half a snapshot", () => {
    const desk = client();
    const part = { type: "snapshot", up_to: 5, tickets: [], sessions: [], questions: [] };
    FakeSocket.last.hello();
    FakeSocket.last.receive({ type: "subscribed", up_to: 5 });
    FakeSocket.last.receive({ ...part, more: true });
    FakeSocket.last.drop(1006);
    clock.advance(1000);
    FakeSocket.last.hello();
    expect(FakeSocket.last.sent).toEqual([{ type: "subscribe", from: "snapshot" }]);
    expect(desk.position).toBeUndefined();
  });

  test("of one who began live is not lost in a gap", () => {
    client({ from: "live" });
    FakeSocket.last.hello();
    expect(FakeSocket.last.sent).toEqual([{ type: "subscribe", from: "live" }]);
    FakeSocket.last.receive({ type: "subscribed", up_to: 5 });
    FakeSocket.last.receive({ type: "gap", reason: "compacted", desk: "d1", available_from: 90 });
    FakeSocket.last.drop(1006);
    clock.advance(1000);
    FakeSocket.last.hello();
    expect(FakeSocket.last.sent).toEqual([{ type: "subscribe", from: "snapshot" }]);
  });

  test("a silent path is given up after two heartbeats, one that speaks is not", () => {
    const desk = live();
    const first = FakeSocket.last;
    for (let beat = 0; beat < 10; ++beat) {
      clock.advance(14_000);
      first.receive({ type: "position", up_to: 5, time: "2026-01-01T00:00:00+00:00" });
    }
    expect(desk.state.kind).toBe("live");
    clock.advance(29_999);
    expect(desk.state.kind).toBe("live");
    clock.advance(1);
    expect(desk.state).toMatchObject({ kind: "waiting", closeCode: 1006 });
    expect(first.closed).toBe(true);
  });

  test("what is no JSON may have been an event: it is asked for again", () => {
    const desk = live();
    FakeSocket.last.onmessage?.({ data: '{"type":"user_mess' });
    expect(desk.state).toMatchObject({ kind: "waiting", closeCode: 1006 });
    clock.advance(1000);
    FakeSocket.last.hello();
    expect(FakeSocket.last.sent).toEqual([{ type: "subscribe", from: { desk: "d1", after: 5 } }]);
  });

  test("a machine that slept asks whether the path still leads somewhere", () => {
    const desk = live();
    clock.advance(20_000);
    wake();
    expect(FakeSocket.last.sent.at(-1)).toEqual({ type: "ping" });
    clock.advance(4_000);
    FakeSocket.last.receive({ type: "pong" });
    clock.advance(29_999);
    expect(desk.state.kind).toBe("live");
    wake();
    clock.advance(5_000);
    expect(desk.state.kind).toBe("waiting");
  });

  test("after a long sleep it is not even asked", () => {
    live();
    clock.now += 3_600_000; // timers stood still meanwhile
    wake();
    clock.advance(1000);
    expect(FakeSocket.opened).toBe(2);
  });

  test("a handler's error takes no event from the others", () => {
    const desk = live();
    const seen: number[] = [];
    desk.on("event", () => {
      throw new Error("of the program");
    });
    desk.on("event", ({ sequence }) => seen.push(sequence));
    FakeSocket.last.receive({ type: "user_message", sequence: 6, content: "a", from: "b" });
    expect(seen).toEqual([6]);
    expect(() => clock.advance(1)).toThrow("of the program");
  });

  test("a connection that never says hello is given up", () => {
    const desk = client();
    clock.advance(13_000);
    expect(desk.state.kind).toBe("waiting");
  });
});

describe("commands", () => {
  const question = { session_id: "s", question_id: "q" };

  test("go out again under the same id until they are answered", async () => {
    const desk = live();
    const outcome = desk.answer(question, "yes");
    const command = { ...question, type: "user_response", response: "yes", request_id: "r1" };
    expect(FakeSocket.last.sent.at(-1)).toEqual(command);
    FakeSocket.last.drop(1006);
    clock.advance(1000);
    FakeSocket.last.hello();
    expect(FakeSocket.last.sent.at(-1)).toEqual(command);
    FakeSocket.last.receive({ type: "ack", status: "unavailable", request_id: "r1" });
    clock.advance(1000);
    expect(FakeSocket.last.sent.filter((sent) => sent["request_id"] === "r1")).toHaveLength(2);
    FakeSocket.last.receive({ type: "error", code: "rate_limited", message: "", request_id: "r1" });
    clock.advance(1000);
    expect(FakeSocket.last.sent.filter((sent) => sent["request_id"] === "r1")).toHaveLength(3);
    FakeSocket.last.receive({ type: "ack", status: "received", request_id: "r1" });
    expect(await outcome).toMatchObject({ status: "received" });
    expect(desk.unanswered).toBe(0);
  });

  test("are not taken for refused when a try before may have had its effect", async () => {
    const sent = (id: string): unknown[] =>
      FakeSocket.last.sent.filter((message) => message["request_id"] === id);
    const overloaded = (id: string): void =>
      FakeSocket.last.receive({
        type: "error",
        code: "overloaded",
        message: "",
        retry_after_ms: 200,
        request_id: id,
      });
    const desk = live();
    const lost = desk.answer(question, "yes");
    FakeSocket.last.drop(1006);
    clock.advance(1000);
    FakeSocket.last.hello();
    overloaded("r1");
    clock.advance(200);
    expect(sent("r1")).toHaveLength(2);
    FakeSocket.last.receive({ type: "ack", status: "received", request_id: "r1" });
    expect(await lost).toMatchObject({ status: "received" });

    const away = desk.answer(question, "yes");
    FakeSocket.last.receive({ type: "ack", status: "unavailable", request_id: "r2" });
    clock.advance(1000);
    overloaded("r2");
    clock.advance(200);
    expect(sent("r2")).toHaveLength(3);
    FakeSocket.last.receive({ type: "error", code: "gone", message: "", request_id: "r2" });
    await expect(away).rejects.toMatchObject({ code: "gone" });

    const first = desk.answer(question, "yes");
    overloaded("r3");
    await expect(first).rejects.toMatchObject({ code: "overloaded" });
  });

  test("no more are under way than the gateway takes", () => {
    const desk = live();
    for (let i = 0; i < 100; ++i) void desk.cancelTicket(`t${i}`);
    const sent = FakeSocket.last.sent.filter(({ type }) => type === "cancel_ticket");
    expect(sent).toHaveLength(32);
    FakeSocket.last.receive({ type: "ack", status: "cancelled", request_id: "r1" });
    expect(FakeSocket.last.sent.at(-1)).toMatchObject({ request_id: "r33" });
  });

  test("none is left hanging on close", async () => {
    const desk = live();
    const sent = desk.answer(question, "yes");
    FakeSocket.last.drop(1006);
    const kept = desk.sendMessage("s", "hello");
    desk.close();
    await expect(sent).rejects.toMatchObject({ code: "closed", requestId: "r1", sent: true });
    await expect(kept).rejects.toMatchObject({ code: "closed", requestId: "r2", sent: false });
    await expect(desk.answer(question, "late")).rejects.toMatchObject({ code: "closed" });
  });

  test("too large for the gateway that is there now are not sent to it", async () => {
    const desk = client();
    const big = desk.sendMessage("s", "x".repeat(2000));
    const small = desk.sendMessage("s", "y");
    FakeSocket.last.receive({ ...hello, limits: { content_bytes: 1000 } });
    await expect(big).rejects.toMatchObject({ code: "too_large", field: "content" });
    const sent = FakeSocket.last.sent.filter(({ type }) => type === "send_message");
    expect(sent).toMatchObject([{ content: "y" }]);
    desk.close();
    await expect(small).rejects.toMatchObject({ code: "closed" });
  });

  test("can be aborted", async () => {
    const desk = live();
    const abort = new AbortController();
    const outcome = desk.answer(question, "yes", { signal: abort.signal });
    abort.abort();
    await expect(outcome).rejects.toMatchObject({ code: "aborted", sent: true });
    expect(desk.unanswered).toBe(0);
  });

  test("are rejected when the gateway ends the connection for good", async () => {
    const desk = live();
    const outcome = desk.answer(question, "yes");
    FakeSocket.last.drop(4501, "no such token");
    await expect(outcome).rejects.toMatchObject({ name: "UnansweredError", code: "closed" });
    await expect(desk.answer(question, "x")).rejects.toMatchObject({ name: "TerminalCloseError" });
    await expect(desk.events().next()).resolves.toMatchObject({ done: true });
  });
});

test("shows its token as a subprotocol and asks for a fresh one each time", async () => {
  let asked = 0;
  client({ token: () => Promise.resolve(`t${++asked}`) });
  await Promise.resolve();
  expect(FakeSocket.last.protocols).toEqual(["agentdesk.v1", "agentdesk.bearer.t1"]);
  FakeSocket.last.drop(4401, "token ran out");
  clock.advance(1000);
  await Promise.resolve();
  expect(FakeSocket.last.protocols).toEqual(["agentdesk.v1", "agentdesk.bearer.t2"]);
});

test("shows a fresh token in good time before the one that holds runs out", async () => {
  let asked = 0;
  const desk = client({ token: () => Promise.resolve(`t${++asked}`) });
  await Promise.resolve();
  const { last } = FakeSocket;
  last.receive({ ...hello, token_expires_at: "2026-01-01T00:10:00.000000+00:00" });
  last.receive({ type: "subscribed", up_to: 5 });
  expect(desk.state).toMatchObject({
    kind: "live",
    tokenExpiresAt: "2026-01-01T00:10:00.000000+00:00",
  });
  const shown = (): unknown[] => last.sent.filter(({ type }) => type === "auth");
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 10_000) {
      last.receive({ type: "pong" });
      clock.advance(10_000);
    }
    for (let i = 0; i < 4; ++i) await Promise.resolve();
  };
  await pass(530_000);
  expect(shown()).toEqual([]);
  await pass(10_000);
  expect(shown()).toEqual([{ type: "auth", token: "t2" }]);
  last.receive({
    type: "ack",
    status: "authenticated",
    user: "guest-1",
    token_expires_at: "2026-01-01T00:20:00.000000+00:00",
  });
  await pass(600_000);
  expect(shown()).toEqual([
    { type: "auth", token: "t2" },
    { type: "auth", token: "t3" },
  ]);
});

test("a token that never comes, or comes too late, opens nothing by itself", async () => {
  const give: ((token: string) => void)[] = [];
  const desk = client({ token: () => new Promise((resolve) => give.push(resolve)) });
  clock.advance(13_000);
  expect(desk.state).toMatchObject({ kind: "waiting" });
  clock.advance(1000);
  expect(give).toHaveLength(2);
  give[0]!("late");
  await Promise.resolve();
  expect(FakeSocket.opened).toBe(0);
  give[1]!("fresh");
  await Promise.resolve();
  expect(FakeSocket.last.protocols).toEqual(["agentdesk.v1", "agentdesk.bearer.fresh"]);
});

test("one that is closed by who was told that it connects opens nothing", () => {
  const desk = new DeskClient({ url: "ws://desk/ws", WebSocket: FakeSocket });
  desk.on("state", ({ kind }) => kind === "connecting" && desk.close());
  desk.connect();
  expect(FakeSocket.opened).toBe(0);
  expect(desk.state.kind).toBe("closed");
});

test("a token that no header can carry is told of, and not tried again", () => {
  class Strict extends FakeSocket {
    constructor(url: string, protocols: string[]) {
      if (protocols.some((one) => one.includes(" "))) throw new SyntaxError("bad subprotocol");
      super(url, protocols);
    }
  }
  let asked = 0;
  const desk = client({ WebSocket: Strict, token: () => `not a token ${++asked}` });
  return Promise.resolve().then(() => {
    expect(desk.state).toMatchObject({ kind: "closed", error: { code: "cannot_open" } });
    clock.advance(3_600_000);
    expect(asked).toBe(1);
  });
});

test("every reader of an iterator is answered when it ends", async () => {
  const desk = live();
  const events = desk.events();
  const [first, second, third] = [events.next(), events.next(), events.next()];
  FakeSocket.last.receive({ type: "user_message", sequence: 6, content: "a", from: "b" });
  expect(await first).toMatchObject({ value: { sequence: 6 } });
  desk.close();
  expect([await second, await third]).toEqual([
    { done: true, value: undefined },
    { done: true, value: undefined },
  ]);
  expect(await events.next()).toEqual({ done: true, value: undefined });
  const terminal = live();
  const waiting = terminal.events().next();
  FakeSocket.last.drop(4503, "not for you");
  await expect(waiting).rejects.toMatchObject({ name: "TerminalCloseError", closeCode: 4503 });
});

test("counts by the server's clock", () => {
  const desk = live();
  clock.advance(500);
  FakeSocket.last.receive({ type: "position", up_to: 5, time: "2026-01-01T01:00:00+00:00" });
  expect(desk.serverNow()).toBe(Date.parse("2026-01-01T01:00:00Z"));
  clock.advance(1000);
  expect(desk.serverNow()).toBe(Date.parse("2026-01-01T01:00:01Z"));
});

test("numbers of an agent's JSON are what it wrote", () => {
  const desk = live();
  const amounts = "[12345678901234567890,-9007199254740993,9007199254740991,1e400,0.1,1.50,2e3]";
  const decimal = "3.14159265358979323846";
  const text = `{"pay":${amounts},"pi":${decimal},"note":"at \\"12345678901234567890\\" o'clock"}`;
  FakeSocket.last.onmessage?.({
    data: `{"type":"agent_question","sequence":6,"question_id":"q","ticket_id":"t","details":${text}}`,
  });
  expect(desk.store.questions.get("q")?.details).toEqual({
    pay: ["12345678901234567890", "-9007199254740993", 9007199254740991, "1e400", 0.1, 1.5, 2000],
    pi: decimal,
    note: `at "12345678901234567890" o'clock`,
  });
  expect(desk.position?.after).toBe(6);
});

test("UTF-8 lengths", () => {
  for (const text of ["", "a", "é", "€", "😀", "a\u0000é€😀"]) {
    expect(utf8Length(text)).toBe(Buffer.byteLength(text));
  }
});
