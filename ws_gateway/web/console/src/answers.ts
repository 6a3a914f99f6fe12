/** What became of the answers given on this page. */
import type { AnswerOutcome, Question, Response } from "@agentdesk/client";
import { desk, useTicks } from "./desk";
import { responseText } from "./words";

export interface Given {
  readonly question: Question;
  readonly response: Response;
  /** None: on its way, or kept until the connection is back. */
  readonly outcome?: AnswerOutcome;
  readonly error?: string;
}

const given = new Map<string, Given>();
const listeners = new Set<() => void>();

/** By question, in the order in which they were given. Draws again when one of them changes. */
export function useAnswers(): ReadonlyMap<string, Given> {
  useTicks((draw) => {
    listeners.add(draw);
    return () => void listeners.delete(draw);
  });
  return given;
}

function set(id: string, answer: Given | undefined): void {
  if (answer) given.set(id, answer);
  else given.delete(id);
  for (const listener of [...listeners]) listener();
}

export async function giveAnswer(question: Question, response: Response): Promise<void> {
  const id = question.question_id;
  if (isUnderWay(given.get(id))) return;
  set(id, { question, response });
  try {
    const outcome = await desk.answer(question, response);
    set(id, { question, response, outcome });
  } catch (error) {
    set(id, { question, response, error: (error as Error).message });
  }
}

export function dismissAnswer(questionId: string): void {
  set(questionId, undefined);
}

export function isUnderWay(answer: Given | undefined): boolean {
  return answer !== undefined && !answer.outcome && answer.error === undefined;
}

/** Whether it is over with the question, as far as this answer can tell. */
export function isFinal({ outcome }: Given): boolean {
  return outcome !== undefined && outcome.status !== "invalid_response";
}

/** The answer's fate in a sentence. */
export function fate({ question, response, outcome, error }: Given): string {
  if (error !== undefined) return `Not answered: ${error}`;
  if (!outcome) {
    return desk.state.kind === "live"
      ? "Sending your answer…"
      : "Your answer is kept, and sent when the connection is back.";
  }
  const told = (by: string, answer: Response | undefined): string =>
    question.sensitive ? by : `${by}: ${responseText(answer)}`;
  switch (outcome.status) {
    case "received":
      return told("Your answer counts", response);
    case "already_answered":
      return told(`${outcome.answered_by} was faster`, outcome.response);
    case "expired":
      return "Too late: the time was up.";
    case "withdrawn":
      return "Too late: the question was withdrawn.";
    default:
      return outcome.message ?? outcome.status;
  }
}
