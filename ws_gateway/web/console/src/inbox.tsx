/** What needs a human, the most urgent first. */
import type { Question } from "@agentdesk/client";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useAnswers } from "./answers";
import { openQuestions, useConnection, useStore } from "./desk";
import { QuestionCard } from "./question_card";

/** More than anybody answers at a time; the next ones come up as these are answered. */
const kShown = 100;
/** Before what has moved under a finger can be pressed. */
const kSettleMs = 500;

export function Inbox(): JSX.Element {
  const store = useStore();
  const { kind } = useConnection();
  const answers = useAnswers();
  const open = openQuestions();
  const isOpen = new Set(open.map(({ question_id }) => question_id));
  const before = useRef<readonly string[]>([]);
  // A question answered here stays, where it is, until its fate was read.
  const ended: Question[] = [...answers.values()]
    .filter(({ question }) => !isOpen.has(question.question_id))
    .map(({ question }) => store.questions.get(question.question_id) ?? question);
  const shown = inTheirPlaces(open.slice(0, kShown), ended, before.current);
  const ids = shown.map(({ question_id }) => question_id);
  const moving = useMoving(before.current, ids);
  before.current = ids;
  return (
    <section class="inbox" aria-labelledby="inbox-title">
      <h2 id="inbox-title">
        Questions <span class="count">{open.length}</span>
      </h2>
      {shown.map((question) => (
        <QuestionCard
          key={question.question_id}
          question={question}
          isMoving={moving.has(question.question_id)}
        />
      ))}
      {open.length > kShown && <p class="quiet">and {open.length - kShown} more</p>}
      {open.length === 0 && (
        <div class="empty">
          <p>{kind === "live" ? "No agent waits for an answer." : "Not connected yet…"}</p>
          {kind === "live" && <p>When one asks, its question comes up here.</p>}
        </div>
      )}
    </section>
  );
}

/** The open ones in their order, and each that is over where it was before. */
function inTheirPlaces(
  open: readonly Question[],
  ended: readonly Question[],
  before: readonly string[],
): Question[] {
  const shown = [...open];
  const places = ended
    .map((question) => ({ question, place: before.indexOf(question.question_id) }))
    .sort((a, b) => a.place - b.place);
  for (const { question, place } of places) shown.splice(Math.max(place, 0), 0, question);
  return shown;
}

/** Those whose place has changed within the last moment. */
function useMoving(before: readonly string[], ids: readonly string[]): ReadonlySet<string> {
  const until = useRef(new Map<string, number>());
  const [, draw] = useState(0);
  const now = performance.now();
  for (const [index, id] of ids.entries()) {
    if (index < before.length && before[index] !== id) until.current.set(id, now + kSettleMs);
  }
  for (const [id, end] of until.current) if (end <= now) until.current.delete(id);
  const isAnyMoving = until.current.size > 0;
  useEffect(() => {
    if (!isAnyMoving) return;
    const timer = setTimeout(() => draw((count) => count + 1), kSettleMs);
    return () => clearTimeout(timer);
  });
  return new Set(until.current.keys());
}
