/** One ticket: what it is, what can be done with it, and its transcript. */
import type { Question, Ticket } from "@agentdesk/client";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useAnswers } from "./answers";
import { setView } from "./attention";
import { desk, useStore } from "./desk";
import { get } from "./http";
import { QuestionCard } from "./question_card";
import { openIn, Transcript } from "./transcript";
import { Ago, hasEnded, Status, Text } from "./words";

export function TicketPage({ ticketId }: { ticketId: string }): JSX.Element {
  const [trouble, setTrouble] = useState("");
  const { ticket, error } = useTicket(ticketId);
  const name = ticket?.ticket_name;
  useEffect(() => {
    if (name !== undefined) setView(name);
  }, [name]);
  if (!ticket) return <p role={error ? "alert" : "status"}>{error || "Loading…"}</p>;
  const ended = hasEnded(ticket.status);
  const attempt = (command: Promise<unknown>): void => {
    setTrouble("");
    command.catch((reason: Error) => setTrouble(reason.message));
  };
  return (
    <section class="ticket" aria-labelledby="ticket-title">
      <a href="#/tickets">← Tickets</a>
      <div class="bar title">
        <h2 id="ticket-title">
          <Text of={ticket.ticket_name} />
        </h2>
        <span role="status">
          <Status of={ticket.status} />
        </span>
        {!ended && ticket.status !== "cancelling" && (
          <button type="button" onClick={() => attempt(desk.cancelTicket(ticketId))}>
            Cancel ticket
          </button>
        )}
        {(ticket.status === "failed" || ticket.status === "cancelled") && (
          <button type="button" class="primary" onClick={() => attempt(desk.retryTicket(ticketId))}>
            Try again
          </button>
        )}
      </div>
      {ticket.description && (
        <p class="description">
          <Text of={ticket.description} />
        </p>
      )}
      <Facts ticket={ticket} />
      {trouble && <p role="alert">{trouble}</p>}
      <Transcript sessionId={ticket.session_id}>
        <Questions sessionId={ticket.session_id} />
        {!ended && <MessageForm sessionId={ticket.session_id} onTrouble={setTrouble} />}
      </Transcript>
    </section>
  );
}

/** As it stands in the live state; asked for where it had ended before the page was opened. */
function useTicket(ticketId: string): { ticket: Ticket | undefined; error: string } {
  const store = useStore();
  const [fetched, setFetched] = useState<Ticket>();
  const [error, setError] = useState("");
  useEffect(() => {
    let current = true;
    setFetched(undefined);
    const load = (): void => {
      setError("");
      if (store.tickets.has(ticketId)) return;
      get<Ticket>(`/tickets/${ticketId}`).then(
        (ticket) => current && setFetched(ticket),
        (reason: Error) => current && setError(reason.message),
      );
    };
    load();
    const off = desk.on("snapshot", load);
    return () => {
      current = false;
      off();
    };
  }, [ticketId]);
  return { ticket: store.tickets.get(ticketId) ?? fetched, error };
}

function Facts({ ticket }: { ticket: Ticket }): JSX.Element {
  return (
    <dl class="facts">
      <dt>Queue</dt>
      <dd>
        <Text of={ticket.queue} />, priority {ticket.priority}
      </dd>
      <dt>Created</dt>
      <dd>
        <Ago at={ticket.create_time} /> by <Text of={ticket.created_by.id} />
      </dd>
      {Object.entries(ticket.labels).flatMap(([name, value]) => [
        <dt key={`${name} name`}>
          <Text of={name} />
        </dt>,
        <dd key={`${name} value`}>
          <Text of={value} />
        </dd>,
      ])}
      <dt>Id</dt>
      <dd>
        <code>{ticket.ticket_id}</code>
      </dd>
    </dl>
  );
}

/** Those that wait, and those answered here whose fate was not read yet. */
function Questions({ sessionId }: { sessionId: string }): JSX.Element {
  useStore();
  const answers = useAnswers();
  const open = openIn(sessionId);
  const isOpen = new Set(open.map(({ question_id }) => question_id));
  const ended: Question[] = [...answers.values()]
    .map(({ question }) => desk.store.questions.get(question.question_id) ?? question)
    .filter(({ session_id, question_id }) => session_id === sessionId && !isOpen.has(question_id));
  return (
    <div class="questions">
      {[...ended, ...open].map((question) => (
        <QuestionCard key={question.question_id} question={question} showsTicket={false} />
      ))}
    </div>
  );
}

function MessageForm(props: {
  sessionId: string;
  onTrouble: (trouble: string) => void;
}): JSX.Element {
  const [text, setText] = useState("");
  const [isBusy, setBusy] = useState(false);
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (isBusy || !text) return;
    setBusy(true);
    try {
      const outcome = await desk.sendMessage(props.sessionId, text);
      props.onTrouble(outcome.status === "received" ? "" : (outcome.message ?? outcome.status));
      if (outcome.status === "received") setText("");
    } catch (error) {
      props.onTrouble((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="bar message" onSubmit={(event) => void send(event)}>
      <input
        class="wide"
        dir="auto"
        aria-label="Message to the agent"
        placeholder="Write to the agent"
        autocomplete="off"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button {...(isBusy || !text ? { "aria-disabled": true } : {})}>
        {isBusy ? "Sending…" : "Send"}
      </button>
    </form>
  );
}
