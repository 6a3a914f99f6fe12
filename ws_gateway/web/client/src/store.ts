/**
 * The state of the desk, kept current by a snapshot and the events after it. Tickets that have ended
 * are kept, as are questions that are over, until there are too many of them; the objects are never
 * changed, only replaced, so that identity tells what is new.
 */
import type { DeskEvent, JobStatus, Question, Session, Snapshot, Ticket } from "./protocol.js";

const kKeptAfterTheEnd = 1000;

export class DeskStore {
  readonly #tickets = new Map<string, Ticket>();
  readonly #sessions = new Map<string, Session>();
  readonly #questions = new Map<string, Question>();
  readonly #listeners = new Set<() => void>();
  /** Ids of what is over, oldest first. */
  readonly #endedTickets = new Set<string>();
  readonly #endedQuestions = new Set<string>();
  #upTo = 0;
  #told = true;

  get tickets(): ReadonlyMap<string, Ticket> {
    return this.#tickets;
  }
  get sessions(): ReadonlyMap<string, Session> {
    return this.#sessions;
  }
  get questions(): ReadonlyMap<string, Question> {
    return this.#questions;
  }
  /** The sequence as of which all of it is true. */
  get upTo(): number {
    return this.#upTo;
  }

  /** Calls `listener` after changes, once for all that come together. The result ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets all and starts from here. */
  replace(snapshot: Snapshot): void {
    this.#tickets.clear();
    this.#sessions.clear();
    this.#questions.clear();
    this.#endedTickets.clear();
    this.#endedQuestions.clear();
    for (const ticket of snapshot.tickets) this.#tickets.set(ticket.ticket_id, ticket);
    for (const session of snapshot.sessions) this.#sessions.set(session.session_id, session);
    for (const question of snapshot.questions) this.#questions.set(question.question_id, question);
    this.#upTo = snapshot.up_to;
    this.#changed();
  }

  /** Everything up to here is known. */
  advance(upTo: number): void {
    if (upTo > this.#upTo) this.#upTo = upTo;
  }

  /** Follows one event; one that is known already changes nothing. */
  apply(event: DeskEvent): void {
    if (event.sequence <= this.#upTo) return;
    this.#upTo = event.sequence;
    this.#follow(event);
    this.#changed();
  }

  #follow(event: DeskEvent): void {
    switch (event.type) {
      case "ticket_created":
      case "ticket_updated":
        return this.#show(event.ticket);
      case "agent_started":
        return this.#setStatus(event, "running");
      case "job_requeued":
        return this.#setStatus(event, "queued");
      case "job_waiting":
        return this.#setStatus(event, "waiting");
      case "ticket_cancelled":
        return this.#setStatus(event, event.status);
      case "agent_complete":
        return this.#end(event, event.status);
      case "agent_error":
        return this.#end(event, "failed");
      case "agent_question":
        return this.#ask(event);
      case "question_answered":
        return this.#close(event, event.question_id, {
          state: "answered",
          response: event.response,
          answered_by: event.answered_by,
        });
      case "question_expired":
        return this.#close(event, event.question_id, { state: "expired" });
      case "question_withdrawn":
        return this.#close(event, event.question_id, { state: "withdrawn" });
      case "agent_message":
      case "tool_call":
      case "user_message":
        return;
    }
  }

  #show(ticket: Ticket): void {
    this.#tickets.set(ticket.ticket_id, ticket);
    this.#endedTickets.delete(ticket.ticket_id);
    const session: Session = {
      session_id: ticket.session_id,
      ticket_id: ticket.ticket_id,
      state: "open",
      open_questions: ticket.open_questions,
      created_by: ticket.created_by,
      ...(ticket.create_time !== undefined && { create_time: ticket.create_time }),
      ...(ticket.tenant !== undefined && { tenant: ticket.tenant }),
      ...(ticket.trace_id !== undefined && { trace_id: ticket.trace_id }),
    };
    this.#sessions.set(session.session_id, session);
  }

  #setStatus(event: DeskEvent, status: JobStatus): void {
    const ticket = this.#tickets.get(event.ticket_id);
    if (!ticket) return;
    this.#tickets.set(ticket.ticket_id, { ...ticket, status, update_time: event.timestamp });
  }

  #end(event: DeskEvent, status: JobStatus): void {
    this.#setStatus(event, status);
    const session = this.#sessions.get(event.session_id);
    if (session) {
      this.#sessions.set(session.session_id, {
        ...session,
        state: "closed",
        close_time: event.timestamp,
      });
    }
    this.#endedTickets.add(event.ticket_id);
    forgetOldest(this.#endedTickets, (id) => {
      this.#sessions.delete(this.#tickets.get(id)?.session_id ?? "");
      this.#tickets.delete(id);
    });
  }

  #ask(event: DeskEvent & { type: "agent_question" }): void {
    const { type: _, sequence, timestamp, actor, attempt, ...asked } = event;
    this.#questions.set(event.question_id, {
      ...asked,
      attempt: attempt ?? 0,
      state: "open",
      create_time: timestamp,
      asked_sequence: sequence,
      ...(actor && { asked_by: actor }),
    });
    this.#countQuestions(event, 1);
  }

  #close(event: DeskEvent, questionId: string, end: Partial<Question>): void {
    const question = this.#questions.get(questionId);
    if (question) {
      this.#questions.set(questionId, {
        ...question,
        ...end,
        close_time: event.timestamp,
        closed_sequence: event.sequence,
      });
      this.#endedQuestions.add(questionId);
      forgetOldest(this.#endedQuestions, (id) => this.#questions.delete(id));
    }
    this.#countQuestions(event, -1);
  }

  #countQuestions(event: DeskEvent, change: number): void {
    const ticket = this.#tickets.get(event.ticket_id);
    if (!ticket) return;
    const open_questions = ticket.open_questions + change;
    this.#tickets.set(ticket.ticket_id, {
      ...ticket,
      open_questions,
      update_time: event.timestamp,
    });
    const session = this.#sessions.get(event.session_id);
    if (session) this.#sessions.set(session.session_id, { ...session, open_questions });
  }

  #changed(): void {
    if (!this.#told) return;
    this.#told = false;
    void Promise.resolve().then(() => {
      this.#told = true;
      for (const listener of [...this.#listeners]) listener();
    });
  }
}

function forgetOldest(ids: Set<string>, forget: (id: string) => void): void {
  for (const id of ids) {
    if (ids.size <= kKeptAfterTheEnd) return;
    ids.delete(id);
    forget(id);
  }
}
