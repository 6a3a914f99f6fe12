/** The last two minutes of the desk, second by second, as this page can tell. */
import type { DeskEvent } from "@agentdesk/client";
import { desk, openQuestions } from "./desk";

export interface Second {
  /** Which second it was, since the page was opened. */
  readonly at: number;
  readonly events: number;
  /** The median delay from the events' commit to here; none where no event came. */
  readonly delayMs: number | undefined;
  readonly questions: number;
  /** None while nobody asks the gateway for it. */
  readonly browsers: number | undefined;
}

export const kHistorySeconds = 120;
/** Enough for a median. */
const kDelaysASecond = 100;

class History {
  /** Of the gateway, set by who asks for it. */
  browsers: number | undefined;
  readonly #seconds: Second[] = [];
  #events = 0;
  #delays: number[] = [];

  /** Oldest first. */
  get seconds(): readonly Second[] {
    return this.#seconds;
  }

  start(): void {
    desk.on("event", (event) => this.#add(event));
    setInterval(() => this.#endSecond(), 1000);
  }

  #add(event: DeskEvent): void {
    ++this.#events;
    if (this.#delays.length >= kDelaysASecond) return;
    this.#delays.push(Math.max(0, desk.serverNow() - Date.parse(event.timestamp)));
  }

  #endSecond(): void {
    this.#delays.sort((a, b) => a - b);
    this.#seconds.push({
      at: (this.#seconds.at(-1)?.at ?? 0) + 1,
      events: this.#events,
      delayMs: this.#delays[this.#delays.length >> 1],
      questions: openQuestions().length,
      browsers: this.browsers,
    });
    if (this.#seconds.length > kHistorySeconds) this.#seconds.shift();
    this.#events = 0;
    this.#delays = [];
  }
}

export const history = new History();
