/** One question, the ways to answer it, and what became of an answer. */
import type { Choice, Question } from "@agentdesk/client";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { dismissAnswer, fate, giveAnswer, isFinal, isUnderWay, useAnswers } from "./answers";
import type { Given } from "./answers";
import { desk } from "./desk";
import { Ago, Countdown, Json, responseText, Text } from "./words";

interface Props {
  readonly question: Question;
  /** It has just changed its place: a press may have been meant for another question. */
  readonly isMoving?: boolean;
  /** What the reader sees already needs no link to it. */
  readonly showsTicket?: boolean;
}

export function QuestionCard({
  question,
  isMoving = false,
  showsTicket = true,
}: Props): JSX.Element {
  const given = useAnswers().get(question.question_id);
  const ticket = desk.store.tickets.get(question.ticket_id);
  const id = `q-${question.question_id}`;
  const closed = question.state !== "open" || (given !== undefined && isFinal(given));
  return (
    <article class={`card question ${closed ? "closed" : ""}`} aria-labelledby={id}>
      <header>
        {showsTicket && (
          <a class="one-line" href={`#/tickets/${question.ticket_id}`}>
            <Text of={ticket?.ticket_name ?? "Ticket"} />
          </a>
        )}
        <span class="quiet">
          asked <Ago at={question.create_time} />
        </span>
        {question.expires_at && !closed && <Countdown until={question.expires_at} />}
      </header>
      <h3 id={id}>
        <Text of={question.content} />
      </h3>
      {question.details !== undefined && (
        <details open>
          <summary>Details</summary>
          <Json of={question.details} />
        </details>
      )}
      {question.default !== undefined && !closed && (
        <p class="quiet">
          Without an answer in time: <Text of={responseText(question.default)} />
        </p>
      )}
      {question.sensitive && !closed && (
        <p class="quiet">Your answer goes to the agent alone and is kept out of the transcript.</p>
      )}
      <p role="status" class={`fate ${given?.outcome?.status ?? ""}`}>
        {given && <Text of={fate(given)} />}
      </p>
      {closed ? (
        <Ended question={question} given={given} />
      ) : (
        <AnswerForm question={question} isMoving={isMoving} isBusy={isUnderWay(given)} />
      )}
    </article>
  );
}

function Ended({ question, given }: { question: Question; given: Given | undefined }): JSX.Element {
  const done = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // The control that had the keyboard is gone: go on where it was.
    if (!document.activeElement || document.activeElement === document.body) done.current?.focus();
  }, []);
  const dismiss = (): void => {
    const card = done.current!.closest("article")!;
    const next = card.nextElementSibling ?? card.previousElementSibling;
    dismissAnswer(question.question_id);
    const control = next?.querySelector<HTMLElement>("button, textarea, input");
    (control ?? document.getElementById("main"))?.focus();
  };
  return (
    <footer>
      {(question.state === "expired" || question.state === "withdrawn") && !given?.outcome && (
        <p>
          The question was {question.state === "expired" ? "not answered in time" : "withdrawn"}.
        </p>
      )}
      {given && (
        <button type="button" ref={done} onClick={dismiss}>
          Done
        </button>
      )}
    </footer>
  );
}

interface FormProps {
  readonly question: Question;
  readonly isMoving: boolean;
  readonly isBusy: boolean;
}

function AnswerForm({ question, isMoving, isBusy }: FormProps): JSX.Element {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const choices = question.choices ?? [];
  const isEmpty = text === "" && chosen.length === 0;
  const answer = (response: string | readonly string[]): void => {
    if (!isBusy) void giveAnswer(question, response);
  };
  const onSubmit = (event: Event): void => {
    event.preventDefault();
    if (isEmpty) return;
    if (!question.multiple) return answer(text);
    answer(text ? [...chosen, text] : chosen);
  };
  const toggle = (value: string): void =>
    setChosen(chosen.includes(value) ? chosen.filter((one) => one !== value) : [...chosen, value]);
  const refuseWhileMoving = (event: MouseEvent): void => {
    // The keyboard stays on what it was on; only a pointer can have meant another question.
    if (!isMoving || event.detail === 0) return;
    event.preventDefault();
    event.stopPropagation();
  };
  // Not `disabled`: that would take the keyboard's place on the page away.
  const isOff = isMoving || isBusy;
  const off = isOff ? { "aria-disabled": true as const } : {};
  return (
    <form onSubmit={onSubmit} onClickCapture={refuseWhileMoving}>
      {choices.length > 0 && (
        <div class="choices" role="group" aria-label="Choices">
          {choices.map((choice) =>
            question.multiple ? (
              <label key={choice.value} class="choice">
                <input
                  type="checkbox"
                  checked={chosen.includes(choice.value)}
                  onChange={() => toggle(choice.value)}
                />
                <ChoiceText choice={choice} />
              </label>
            ) : (
              <button
                key={choice.value}
                type="button"
                {...off}
                onClick={() => answer(choice.value)}
              >
                <ChoiceText choice={choice} />
              </button>
            ),
          )}
        </div>
      )}
      {question.free_text && (
        <textarea
          rows={1}
          dir="auto"
          autocomplete="off"
          aria-label="Your answer"
          placeholder="Your answer"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            event.currentTarget.form?.requestSubmit();
          }}
        />
      )}
      {(question.free_text || question.multiple) && (
        <button class="primary" {...(isOff || isEmpty ? { "aria-disabled": true } : {})}>
          Answer
        </button>
      )}
    </form>
  );
}

function ChoiceText({ choice }: { choice: Choice }): JSX.Element {
  return (
    <span>
      <Text of={choice.label ?? choice.value} />
      {choice.description && (
        <small>
          <Text of={choice.description} />
        </small>
      )}
    </span>
  );
}
