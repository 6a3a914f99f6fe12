/**
 * The commands that wait for their answer. Each goes under a request id, so that it can be sent
 * again after a lost connection without a second effect; each promise settles exactly once.
 */
import { CommandError, DeskError, UnansweredError } from "./errors.js";
import { kDefaultLimits } from "./protocol.js";
import type { AckMessage, ErrorMessage, Limits, Response } from "./protocol.js";

export interface NewTicket {
  readonly ticket_name: string;
  readonly description?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly queue?: string;
  readonly priority?: number;
  readonly run_after?: string;
  readonly max_attempts?: number;
  readonly timeout_s?: number;
  readonly ticket_id?: string;
}

export type Command =
  | {
      readonly type: "user_response";
      readonly session_id: string;
      readonly question_id: string;
      readonly response: Response;
    }
  | { readonly type: "send_message"; readonly session_id: string; readonly content: string }
  | ({ readonly type: "create_ticket" } & NewTicket)
  | { readonly type: "cancel_ticket"; readonly ticket_id: string }
  | { readonly type: "retry_ticket"; readonly ticket_id: string };

export interface CommandOptions {
  /** Repeats an earlier command, if it was given under this id; random otherwise. */
  readonly requestId?: string;
  /** Gives up waiting; what was sent by then may still have its effect. */
  readonly signal?: AbortSignalLike;
}

/** The part of the standard AbortSignal that is used. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  addEventListener(type: "abort", task: () => void, options: { once: true }): void;
  removeEventListener(type: "abort", task: () => void): void;
}

interface Pending {
  readonly requestId: string;
  readonly command: Command;
  readonly text: string;
  sent: boolean; // at least once
  underWay: boolean; // on the connection that is open now
  unknown: boolean; // it may have had its effect although no answer came
  settle(result: AckMessage | DeskError): void;
}

/** A connection answers at most 64 at a time. */
const kMaxUnderWay = 32;
const kMaxPending = 10_000;
/** Before a command whose outcome is unknown is sent again on the same connection. */
const kRepeatMs = 1_000;

export class Commands {
  readonly #pending = new Map<string, Pending>();
  #send: ((text: string) => void) | undefined;
  #limits: Limits = kDefaultLimits;
  #underWay = 0;
  /** Tells the repeats of one connection from those of the next. */
  #connection = 0;

  constructor(
    private readonly newId: () => string,
    private readonly after: (ms: number, task: () => void) => () => void,
  ) {}

  get size(): number {
    return this.#pending.size;
  }

  give(command: Command, options: CommandOptions): Promise<AckMessage> {
    const requestId = options.requestId ?? this.newId();
    const text = JSON.stringify({ ...command, request_id: requestId });
    const refusal = this.#notNow(requestId) ?? this.#tooLarge(command, text);
    if (refusal) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const { signal } = options;
      const abort = (): void => {
        pending.settle(
          new UnansweredError("aborted", "the command was aborted", requestId, pending.sent),
        );
      };
      const pending: Pending = {
        requestId,
        command,
        text,
        sent: false,
        underWay: false,
        unknown: false,
        settle: (result) => {
          this.#pending.delete(requestId);
          if (pending.underWay) --this.#underWay;
          signal?.removeEventListener("abort", abort);
          if (result instanceof DeskError) reject(result);
          else resolve(result);
          this.#pump();
        },
      };
      this.#pending.set(requestId, pending);
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort, { once: true });
      this.#pump();
    });
  }

  /** Commands go out through `send` from now on, those without an answer first. */
  connected(send: (text: string) => void, limits: Limits): void {
    this.disconnected();
    this.#limits = limits;
    // What was given under other limits would end the connection for good.
    for (const pending of [...this.#pending.values()]) {
      const refusal = this.#tooLarge(pending.command, pending.text);
      if (refusal) pending.settle(refusal);
    }
    this.#send = send;
    this.#pump();
  }

  disconnected(): void {
    this.#send = undefined;
    this.#underWay = 0;
    ++this.#connection;
    for (const pending of this.#pending.values()) {
      if (pending.underWay) pending.unknown = true;
      pending.underWay = false;
    }
  }

  /** Whether the message answered a command. */
  onAnswer(answer: AckMessage | ErrorMessage): boolean {
    const pending = this.#pending.get(answer.request_id ?? "");
    if (!pending) return false;
    if (answer.type === "error") {
      // A refusal for load comes before anybody looks whether the command is known, so it says
      // nothing of a try before.
      const again = pending.unknown && answer.retry_after_ms !== undefined;
      if (again || answer.code === "rate_limited") {
        this.#repeat(pending, answer.retry_after_ms ?? kRepeatMs);
      } else {
        pending.settle(new CommandError(answer.code, answer.message, answer.field));
      }
    } else if (answer.status === "unavailable") {
      pending.unknown = true;
      this.#repeat(pending, kRepeatMs);
    } else {
      pending.settle(answer);
    }
    return true;
  }

  /** No answer will come any more. */
  fail(error: DeskError): void {
    for (const pending of [...this.#pending.values()]) {
      pending.settle(new UnansweredError("closed", error.message, pending.requestId, pending.sent));
    }
  }

  #notNow(requestId: string): CommandError | undefined {
    if (this.#pending.has(requestId)) {
      return new CommandError("request_id_reused", "the same request id waits already");
    }
    if (this.#pending.size >= kMaxPending) {
      return new CommandError("too_many_commands", `${kMaxPending} commands wait for an answer`);
    }
    return undefined;
  }

  #tooLarge(command: Command, text: string): CommandError | undefined {
    const { content_bytes, response_bytes, message_bytes, ticket_name_characters } = this.#limits;
    const tooLarge = (field: string, rule: string): CommandError =>
      new CommandError("too_large", `${field}: ${rule}`, field);
    if (command.type === "user_response") {
      const texts = typeof command.response === "string" ? [command.response] : command.response;
      if (texts.reduce((sum, part) => sum + utf8Length(part), 0) > response_bytes) {
        return tooLarge("response", `at most ${response_bytes} bytes`);
      }
    }
    if (command.type === "send_message" && utf8Length(command.content) > content_bytes) {
      return tooLarge("content", `at most ${content_bytes} bytes`);
    }
    if (command.type === "create_ticket") {
      if ([...command.ticket_name].length > ticket_name_characters) {
        return tooLarge("ticket_name", `at most ${ticket_name_characters} characters`);
      }
      if (utf8Length(command.description ?? "") > content_bytes) {
        return tooLarge("description", `at most ${content_bytes} bytes`);
      }
    }
    if (utf8Length(text) > message_bytes) {
      return tooLarge("message", `at most ${message_bytes} bytes`);
    }
    return undefined;
  }

  #repeat(pending: Pending, ms: number): void {
    const connection = this.#connection;
    this.after(ms, () => {
      if (connection !== this.#connection || !this.#pending.has(pending.requestId)) return;
      pending.underWay = false;
      --this.#underWay;
      this.#pump();
    });
  }

  #pump(): void {
    const send = this.#send;
    if (!send) return;
    for (const pending of this.#pending.values()) {
      if (this.#underWay >= kMaxUnderWay) return;
      if (pending.underWay) continue;
      pending.underWay = true;
      pending.sent = true;
      ++this.#underWay;
      send(pending.text);
    }
  }
}

/** Bytes of the UTF-8 encoding, in which a lone surrogate becomes three. */
export function utf8Length(text: string): number {
  let length = 0;
  for (const character of text) {
    const point = character.codePointAt(0)!;
    length += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return length;
}
