/**
 * One browser's place in the log: connects, follows, comes back by itself at the exact event, and
 * carries commands.
 */
import { Commands } from "./commands.js";
import type { Command, CommandOptions, NewTicket } from "./commands.js";
import { hostEnvironment } from "./environment.js";
import type { Environment, Socket } from "./environment.js";
import { DeskError, TerminalCloseError } from "./errors.js";
import { parseExactJson } from "./exact_json.js";
import { isEventType, kDefaultLimits } from "./protocol.js";
import type {
  AckMessage,
  ControlMessage,
  DeskEvent,
  ErrorMessage,
  Filter,
  GapReason,
  HelloMessage,
  JobStatus,
  Outcome,
  Position,
  Question,
  Response,
  Session,
  Snapshot,
  Ticket,
} from "./protocol.js";
import { afterClose } from "./reconnect.js";
import { DeskStore } from "./store.js";

export interface ClientOptions extends Partial<Environment> {
  /** `ws://HOST:8000/ws` or `wss://…`. */
  readonly url: string;
  /** Where to begin: with the state (the default), with the next event, or after a position. */
  readonly from?: "snapshot" | "live" | Position;
  readonly filter?: Filter;
  /**
   * Asked before each connection, and again in good time before the token runs out, so that the
   * connection stays; none where the desk needs no authentication.
   */
  readonly token?: () => string | undefined | Promise<string | undefined>;
}

export type State =
  | { readonly kind: "idle" }
  | { readonly kind: "connecting" }
  /** Events come as they happen. */
  | {
      readonly kind: "live";
      readonly user: string;
      /** By the desk's clock; absent where the desk needs no authentication. */
      readonly tokenExpiresAt?: string;
    }
  /** Lost, with the close code; the next try is at `retryAt` (of the environment's clock). */
  | {
      readonly kind: "waiting";
      readonly closeCode: number;
      readonly reason: string;
      readonly retryAt: number;
    }
  /**
   * For good: `close` was called, or `error` says why nothing comes back: a TerminalCloseError by the
   * gateway's word, or the code `cannot_open` where no connection can be tried with this URL or token.
   */
  | { readonly kind: "closed"; readonly error?: DeskError };

export interface Gap {
  readonly reason: GapReason;
  readonly desk: string;
  readonly availableFrom: number;
}

/** What became of an answer. Only `received` has won; the rest say who or what was faster. */
export interface AnswerOutcome {
  readonly status: Outcome;
  readonly answered_by?: string;
  readonly response?: Response;
  readonly message?: string;
  readonly question_id?: string;
  readonly sequence?: number;
}

export interface TicketOutcome {
  readonly ticket_id: string;
  readonly job_id: string;
  readonly status: JobStatus;
  readonly sequence?: number;
}

interface Handlers {
  state: (state: State) => void;
  event: (event: DeskEvent) => void;
  snapshot: (snapshot: Snapshot) => void;
  /** Events are missing; a snapshot follows. */
  gap: (gap: Gap) => void;
  /** The gateway refused something that no command waits for. */
  error: (error: ErrorMessage) => void;
}

/** For a token, an open or a hello that never comes; a gateway says within 11 s that it wants one. */
const kOpenMs = 13_000;
/** How long before its end a token is replaced, or a quarter of what is left of it. */
const kFreshMs = 60_000;
/** The longest that a browser's timer waits. */
const kMaxTimerMs = 2 ** 31 - 1;
/** For the answer to a ping when the machine has slept or changed its network. */
const kPingMs = 5_000;
/** Of heartbeats without a message: the path is dead. */
const kSilentBeats = 2;
/** Events that wait in an iterator whose reader is busy. */
const kMaxIteratorEvents = 100_000;
type Next = IteratorResult<DeskEvent, undefined>;
/** The close code for what was lost without one. */
const kAbnormal = 1006;

export class DeskClient {
  /** Tickets, sessions and questions as of the last event; complete when `from` is `snapshot`. */
  readonly store = new DeskStore();

  readonly #options: ClientOptions;
  readonly #environment: Environment;
  readonly #commands: Commands;
  readonly #handlers: { [K in keyof Handlers]: Set<Handlers[K]> } = {
    state: new Set(),
    event: new Set(),
    snapshot: new Set(),
    gap: new Set(),
    error: new Set(),
  };
  readonly #iterators = new Set<(end: DeskError | undefined) => void>();

  #state: State = { kind: "idle" };
  #socket: Socket | undefined;
  #hello: HelloMessage | undefined;
  #position: Position | undefined;
  /** The desk whose events come now; a gap may change it while connected. */
  #desk = "";
  #parts: { tickets: Ticket[]; sessions: Session[]; questions: Question[] } | undefined;
  /** A gap was told of, and the state that closes it is not whole yet. */
  #inGap = false;
  /** Tells a try to connect from the ones before it. */
  #attempt = 0;
  #failures = 0;
  #heardAt = 0;
  /** Without a word for so long, the path is dead. */
  #patienceMs = kOpenMs;
  #clockAhead = 0;
  #cancelTimer: () => void = () => {};
  #endWake: () => void = () => {};
  #cancelFresh: () => void = () => {};

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#environment = hostEnvironment(options);
    this.#commands = new Commands(this.#environment.newId, this.#environment.after);
    if (typeof options.from === "object") this.#position = options.from;
  }

  get state(): State {
    return this.#state;
  }
  /** Everything up to here was delivered; give it as `from` to another client to go on. */
  get position(): Position | undefined {
    return this.#position;
  }
  /** Commands whose answer is not there yet, those given while offline among them. */
  get unanswered(): number {
    return this.#commands.size;
  }
  /** The desk's clock, in milliseconds since the epoch: what deadlines are to be held against. */
  serverNow(): number {
    return this.#environment.now() + this.#clockAhead;
  }

  /**
   * Calls `handler` for what happens from now on. The result ends that. An error that a handler throws
   * is the program's (`window.onerror`, `uncaughtException`); it takes no event from other handlers.
   */
  on<K extends keyof Handlers>(what: K, handler: Handlers[K]): () => void {
    this.#handlers[what].add(handler);
    return () => this.#handlers[what].delete(handler);
  }

  /** Connects, and comes back until `close`. */
  connect(): this {
    if (this.#state.kind !== "idle") return this;
    this.#endWake = this.#environment.onWake(() => this.#onWake());
    this.#open();
    return this;
  }

  /** Does not wait any longer for the next try to connect. */
  retryNow(): void {
    if (this.#state.kind === "waiting") this.#open();
  }

  /** Ends it for good; commands without an answer are rejected. */
  close(): void {
    if (this.#state.kind === "closed") return;
    this.#end(undefined);
  }

  /**
   * Every event from now on, each once, in order. Ends when the client is closed; throws
   * TerminalCloseError when the gateway has ended it, DeskError when 100,000 events wait unread.
   */
  events(): AsyncIterableIterator<DeskEvent> {
    const waiting: DeskEvent[] = [];
    const readers: { resolve: (next: Next) => void; reject: (error: DeskError) => void }[] = [];
    const done: Next = { done: true, value: undefined };
    let ended = this.#state.kind === "closed";
    let error: DeskError | undefined;
    const finish = (why: DeskError | undefined): void => {
      if (ended) return;
      ended = true;
      this.#iterators.delete(finish);
      off();
      for (const { resolve, reject } of readers.splice(0)) {
        if (why) reject(why);
        else resolve(done);
      }
      error = why;
    };
    const off = this.on("event", (event) => {
      const reader = readers.shift();
      if (reader) return reader.resolve({ done: false, value: event });
      waiting.push(event);
      if (waiting.length <= kMaxIteratorEvents) return;
      waiting.length = 0;
      finish(new DeskError("too_slow", `${kMaxIteratorEvents} events were not taken`));
    });
    if (ended) off();
    else this.#iterators.add(finish);
    const next = (): Promise<Next> => {
      const event = waiting.shift();
      if (event) return Promise.resolve({ done: false, value: event });
      if (error) return Promise.reject(error);
      if (ended) return Promise.resolve(done);
      return new Promise((resolve, reject) => readers.push({ resolve, reject }));
    };
    const iterator: AsyncIterableIterator<DeskEvent> = {
      next,
      return: () => {
        waiting.length = 0;
        finish(undefined);
        return Promise.resolve(done);
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  /** Answers a question. Given while offline it is kept, and sent once there is a connection. */
  async answer(
    question: Pick<Question, "session_id" | "question_id">,
    response: Response,
    options: CommandOptions = {},
  ): Promise<AnswerOutcome> {
    const { session_id, question_id } = question;
    const ack = await this.#give(
      { type: "user_response", session_id, question_id, response },
      options,
    );
    return ack as AckMessage & { status: Outcome };
  }

  /** Writes to the agents of a session. `unknown_session` and `session_closed` are outcomes too. */
  async sendMessage(
    sessionId: string,
    content: string,
    options: CommandOptions = {},
  ): Promise<AnswerOutcome> {
    const ack = await this.#give({ type: "send_message", session_id: sessionId, content }, options);
    return ack as AckMessage & { status: Outcome };
  }

  async createTicket(ticket: NewTicket, options: CommandOptions = {}): Promise<TicketOutcome> {
    return (await this.#give({ type: "create_ticket", ...ticket }, options)) as TicketOutcome;
  }

  async cancelTicket(ticketId: string, options: CommandOptions = {}): Promise<TicketOutcome> {
    const command = { type: "cancel_ticket", ticket_id: ticketId } as const;
    return (await this.#give(command, options)) as TicketOutcome;
  }

  async retryTicket(ticketId: string, options: CommandOptions = {}): Promise<TicketOutcome> {
    const command = { type: "retry_ticket", ticket_id: ticketId } as const;
    return (await this.#give(command, options)) as TicketOutcome;
  }

  /**
   * Shows a fresh token before the one that opened the connection runs out; where `token` was given,
   * that is done by itself.
   */
  authenticate(token: string): void {
    this.#socket?.send(JSON.stringify({ type: "auth", token }));
  }

  #give(command: Command, options: CommandOptions): Promise<AckMessage> {
    if (this.#state.kind === "closed") {
      return Promise.reject(this.#state.error ?? new DeskError("closed", "the client is closed"));
    }
    return this.#commands.give(command, options);
  }

  #setState(state: State): void {
    this.#state = state;
    this.#tell("state", state);
  }

  #tell<K extends keyof Handlers>(what: K, ...values: Parameters<Handlers[K]>): void {
    for (const handler of [...this.#handlers[what]] as ((
      ...of: Parameters<Handlers[K]>
    ) => void)[]) {
      try {
        handler(...values);
      } catch (error) {
        this.#environment.after(0, () => {
          throw error;
        });
      }
    }
  }

  /** The machine is online or looked at again: what was lost meanwhile need not be waited for. */
  #onWake(): void {
    this.retryNow();
    if (this.#state.kind !== "live") return;
    if (this.#isSilent()) return this.#lostInSilence();
    this.#socket?.send('{"type":"ping"}');
    this.#heardAt = this.#environment.now(); // the patience for its answer begins now
    this.#watch(kPingMs);
  }

  #open(): void {
    this.#cancelTimer();
    this.#hello = undefined;
    this.#heardAt = this.#environment.now();
    this.#watch(kOpenMs);
    const attempt = ++this.#attempt;
    const isCurrent = (): boolean =>
      this.#attempt === attempt && this.#state.kind === "connecting" && !this.#socket;
    this.#setState({ kind: "connecting" });
    if (!isCurrent()) return; // closed by who was just told
    const { token } = this.#options;
    if (!token) return this.#openWith(undefined);
    const refused = (): void => {
      if (isCurrent()) this.#lost(4401, "no token could be had");
    };
    try {
      void Promise.resolve(token()).then((text) => isCurrent() && this.#openWith(text), refused);
    } catch {
      refused();
    }
  }

  #openWith(token: string | undefined): void {
    const protocols = ["agentdesk.v1", ...(token ? [`agentdesk.bearer.${token}`] : [])];
    let socket: Socket;
    try {
      socket = new this.#environment.WebSocket(this.#options.url, protocols);
    } catch (error) {
      return this.#end(new DeskError("cannot_open", (error as Error).message));
    }
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket && typeof data === "string") this.#onText(data);
    };
    socket.onclose = ({ code, reason }) => {
      if (this.#socket === socket) this.#lost(code, reason);
    };
    socket.onerror = () => {};
  }

  /** Gives the path up once nothing was heard for so long. */
  #watch(ms: number): void {
    this.#patienceMs = ms;
    this.#cancelTimer();
    const left = this.#heardAt + ms - this.#environment.now();
    this.#cancelTimer = this.#environment.after(Math.max(left, 1), () => {
      if (this.#isSilent()) this.#lostInSilence();
      else this.#watch(this.#patienceMs);
    });
  }

  #watchBeats({ heartbeat_ms }: HelloMessage): void {
    this.#watch(heartbeat_ms * kSilentBeats);
  }

  #isSilent(): boolean {
    return this.#environment.now() - this.#heardAt >= this.#patienceMs;
  }

  #lostInSilence(): void {
    this.#lost(kAbnormal, "nothing was heard for too long");
  }

  #lost(code: number, reason: string): void {
    this.#dropSocket();
    const next = afterClose(code, reason, this.#failures);
    if (next.kind === "never") return this.#end(new TerminalCloseError(code, reason));
    ++this.#failures;
    const { now, random, after } = this.#environment;
    const ms = next.atLeastMs + random() * next.withinMs;
    this.#setState({ kind: "waiting", closeCode: code, reason, retryAt: now() + ms });
    if (this.#state.kind === "waiting") this.#cancelTimer = after(ms, () => this.#open());
  }

  #dropSocket(): void {
    this.#cancelFresh();
    this.#cancelTimer();
    this.#cancelTimer = () => {};
    const socket = this.#socket;
    this.#socket = undefined;
    this.#parts = undefined;
    this.#commands.disconnected();
    if (!socket) return;
    // A dead path answers no close; nothing of this socket is listened to any more.
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #end(error: DeskError | undefined): void {
    this.#dropSocket();
    this.#endWake();
    this.#setState(error ? { kind: "closed", error } : { kind: "closed" });
    this.#commands.fail(error ?? new DeskError("closed", "the client was closed"));
    for (const finish of [...this.#iterators]) finish(error);
  }

  #onText(text: string): void {
    this.#heardAt = this.#environment.now();
    let message: ControlMessage | DeskEvent;
    try {
      message = JSON.parse(text) as ControlMessage | DeskEvent;
      if (holdsJson(message)) message = parseExactJson(text) as ControlMessage | DeskEvent;
    } catch {
      // It may have been an event: come back and have it again.
      return this.#lost(kAbnormal, "a message was not JSON");
    }
    if (isEventType(message.type)) return this.#onEvent(message as DeskEvent);
    this.#onControl(message as ControlMessage);
  }

  #onControl(message: ControlMessage): void {
    switch (message.type) {
      case "hello":
        return this.#onHello(message);
      case "subscribed":
        this.#failures = 0;
        // A snapshot's position holds when all of its parts are there.
        if (!this.#position && this.#first() === "live") this.#reached(message.up_to);
        return this.#setLive();
      case "position":
        this.#setClock(message.time);
        if (this.#position && !this.#parts) this.#reached(message.up_to);
        return;
      case "snapshot":
        return this.#onSnapshot(message);
      case "gap":
        this.#position = undefined;
        this.#parts = undefined;
        this.#inGap = true;
        this.#desk = message.desk;
        return this.#tell("gap", {
          reason: message.reason,
          desk: message.desk,
          availableFrom: message.available_from,
        });
      case "ack":
        if (message.token_expires_at) this.#freshenBefore(message.token_expires_at);
        this.#commands.onAnswer(message);
        return;
      case "error":
        if (!this.#commands.onAnswer(message)) this.#tell("error", message);
        return;
      case "pong":
        return this.#hello && this.#watchBeats(this.#hello);
      default: {
        // An event of a type that came later still takes its place in the log.
        const { sequence } = message as { sequence?: unknown };
        if (typeof sequence === "number" && this.#position) this.#reached(sequence);
      }
    }
  }

  #onHello(hello: HelloMessage): void {
    const first = this.#hello === undefined;
    this.#hello = hello;
    this.#setClock(hello.time);
    if (!first) return;
    this.#watchBeats(hello);
    if (hello.token_expires_at) this.#freshenBefore(hello.token_expires_at);
    this.#desk = hello.desk;
    const from = this.#position ?? this.#first();
    const { filter } = this.#options;
    const send = (text: string): void => this.#socket?.send(text);
    send(JSON.stringify({ type: "subscribe", from, ...(filter && { filter }) }));
    this.#commands.connected(send, { ...kDefaultLimits, ...hello.limits });
  }

  #setLive(): void {
    const { user, token_expires_at: tokenExpiresAt } = this.#hello!;
    this.#setState({ kind: "live", user, ...(tokenExpiresAt && { tokenExpiresAt }) });
  }

  /** Shows a fresh token before the one that holds runs out. Without one, the gateway ends it then. */
  #freshenBefore(expiresAt: string): void {
    this.#cancelFresh();
    const { token } = this.#options;
    const left = Date.parse(expiresAt) - this.serverNow();
    if (!token || !(left > 1000)) return;
    const attempt = this.#attempt;
    const show = (text: string | undefined): void => {
      if (text && this.#attempt === attempt) this.authenticate(text);
    };
    const ms = Math.min(left - Math.min(kFreshMs, left / 4), kMaxTimerMs);
    this.#cancelFresh = this.#environment.after(ms, () => {
      void (async () => show(await token()))().catch(() => {});
    });
  }

  #first(): "live" | "snapshot" {
    return this.#options.from === "live" && !this.#inGap ? "live" : "snapshot";
  }

  #onSnapshot(part: Snapshot & { readonly more: boolean }): void {
    const parts = (this.#parts ??= { tickets: [], sessions: [], questions: [] });
    for (const ticket of part.tickets) parts.tickets.push(ticket);
    for (const session of part.sessions) parts.sessions.push(session);
    for (const question of part.questions) parts.questions.push(question);
    if (part.more) return;
    this.#parts = undefined;
    this.#inGap = false;
    const snapshot: Snapshot = { up_to: part.up_to, ...parts };
    this.#position = { desk: this.#desk, after: part.up_to };
    this.store.replace(snapshot);
    this.#tell("snapshot", snapshot);
  }

  #onEvent(event: DeskEvent): void {
    if (this.#position && event.sequence <= this.#position.after) return;
    this.#position = { desk: this.#position?.desk ?? this.#desk, after: event.sequence };
    this.store.apply(event);
    this.#tell("event", event);
  }

  #reached(upTo: number): void {
    if (this.#position && upTo <= this.#position.after) return;
    this.#position = { desk: this.#position?.desk ?? this.#desk, after: upTo };
    this.store.advance(upTo);
  }

  #setClock(time: string): void {
    this.#clockAhead = Date.parse(time) - this.#environment.now();
  }
}

/** Whether there is JSON of an agent's in it, whose numbers may be of any size. */
function holdsJson(message: ControlMessage | DeskEvent): boolean {
  switch (message.type) {
    case "agent_question":
      return message.details !== undefined;
    case "agent_complete":
      return message.result !== undefined;
    case "snapshot":
      return message.questions.some(({ details }) => details !== undefined);
    default:
      return false;
  }
}
