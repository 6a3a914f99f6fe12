/** The page's one connection, and what the views read of it. */
import { DeskClient } from "@agentdesk/client";
import type { DeskEvent, Question, State } from "@agentdesk/client";
import { useEffect, useRef, useState } from "preact/hooks";
import { onSignIn, untilSignedIn } from "./sign_in";

export const desk = new DeskClient({
  url: `${location.origin.replace(/^http/, "ws")}/ws`,
  token: untilSignedIn,
});
// It may have given up waiting for the user meanwhile.
onSignIn(() => desk.retryNow());

const kKeptEvents = 1000;
const recent: DeskEvent[] = [];
/** The last events, oldest first. */
export const recentEvents: readonly DeskEvent[] = recent;

desk.on("event", (event) => {
  recent.push(event);
  if (recent.length > 2 * kKeptEvents) recent.splice(0, recent.length - kKeptEvents);
});

/** Draws again when the state has changed, at most every `ms`; under load it is read less often. */
export function useStore(ms = 100): typeof desk.store {
  useTicks((draw) => {
    const [ask, cancel] = atMostEvery(ms, draw);
    const off = desk.store.onChange(ask);
    return () => {
      off();
      cancel();
    };
  });
  return desk.store;
}

export function useConnection(): State {
  useTicks((draw) => desk.on("state", draw));
  return desk.state;
}

/** Draws again whenever `start` says so; what it returns ends that. */
export function useTicks(start: (draw: () => void) => () => void): void {
  const [, set] = useState(0);
  useEffect(() => {
    const draw = (): void => set((count) => count + 1);
    const end = start(draw);
    // What came after the first drawing and before this was told to nobody.
    draw();
    return end;
  }, []);
}

/** A task that runs once, `ms` after it was first asked for, and how to call it off. */
export function atMostEvery(ms: number, task: () => void): [ask: () => void, cancel: () => void] {
  let timer = 0;
  const run = (): void => {
    timer = 0;
    task();
  };
  return [() => void (timer ||= window.setTimeout(run, ms)), () => clearTimeout(timer)];
}

const everySecond = new Set<() => void>();
setInterval(() => {
  for (const task of [...everySecond]) task();
}, 1000);

/** What `read` gives, looked at each second; draws again only when it gives something else. */
export function useEachSecond<T extends string | number>(read: () => T): T {
  const latest = useRef(read);
  latest.current = read;
  const [, draw] = useState(read);
  useEffect(() => {
    const look = (): void => draw(latest.current());
    everySecond.add(look);
    return () => void everySecond.delete(look);
  }, []);
  return read();
}

let open: readonly Question[] | undefined;
desk.store.onChange(() => (open = undefined));

/** The questions that wait, the most urgent first: nearest deadline, then oldest. */
export function openQuestions(): readonly Question[] {
  return (open ??= [...desk.store.questions.values()]
    .filter(({ state }) => state === "open")
    .map((question) => ({ question, deadline: deadlineOf(question) }))
    .sort(
      (a, b) => a.deadline - b.deadline || a.question.asked_sequence - b.question.asked_sequence,
    )
    .map(({ question }) => question));
}

/** How many questions wait; draws again when that changes. */
export function useOpenCount(): number {
  const [count, set] = useState(openQuestions().length);
  useEffect(() => {
    const [look, cancel] = atMostEvery(100, () => set(openQuestions().length));
    const off = desk.store.onChange(look);
    look();
    return () => {
      off();
      cancel();
    };
  }, []);
  return count;
}

function deadlineOf({ expires_at }: Question): number {
  return expires_at ? Date.parse(expires_at) : Number.MAX_SAFE_INTEGER;
}
