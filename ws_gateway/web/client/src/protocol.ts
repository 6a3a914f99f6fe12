/**
 * What travels over the socket in `agentdesk.v1`: the messages that the gateway sends, typed as a
 * reader may rely on them. Fields that a later gateway adds are there without being typed.
 */

export type JobStatus =
  "queued" | "running" | "waiting" | "cancelling" | "completed" | "failed" | "cancelled";
export type SessionState = "open" | "closed";
export type QuestionState = "open" | "answered" | "expired" | "withdrawn";

/** A place in one desk's log: everything up to `after` is known. */
export interface Position {
  readonly desk: string;
  readonly after: number;
}

/** Who did something; `anonymous` or a guest's label without authentication. */
export interface Actor {
  readonly id: string;
  readonly via: string;
}

export interface Ticket {
  readonly ticket_id: string;
  readonly ticket_name: string;
  readonly description: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly queue: string;
  readonly priority: number;
  readonly run_after?: string;
  readonly max_attempts: number;
  readonly timeout_s: number;
  readonly status: JobStatus;
  readonly open_questions: number;
  readonly job_id: string;
  readonly session_id: string;
  readonly create_time?: string;
  readonly update_time?: string;
  readonly created_by: Actor;
  readonly tenant?: string;
  readonly trace_id?: string;
}

export interface Session {
  readonly session_id: string;
  readonly ticket_id: string;
  readonly state: SessionState;
  readonly open_questions: number;
  readonly create_time?: string;
  readonly close_time?: string;
  readonly created_by: Actor;
  readonly tenant?: string;
  readonly trace_id?: string;
}

export interface Choice {
  readonly value: string;
  readonly label?: string;
  readonly description?: string;
}

/** One text, or the chosen values where a question takes several. */
export type Response = string | readonly string[];

/** What a question shows, in an event as in a snapshot. */
export interface Asked {
  readonly content: string;
  readonly choices?: readonly Choice[];
  readonly free_text: boolean;
  readonly multiple: boolean;
  readonly default?: Response;
  readonly expires_at?: string;
  readonly may_answer?: {
    readonly users?: readonly string[];
    readonly groups?: readonly string[];
    readonly roles?: readonly string[];
  };
  /** Numbers that JavaScript cannot hold are strings (`parseExactJson`), here and in a `result`. */
  readonly details?: unknown;
  readonly sensitive?: boolean;
  readonly kind?: string;
  readonly key?: string;
}

export interface Question extends Asked {
  readonly question_id: string;
  readonly session_id: string;
  readonly ticket_id: string;
  readonly job_id: string;
  readonly attempt: number;
  readonly state: QuestionState;
  readonly response?: Response;
  readonly answered_by?: string;
  readonly create_time?: string;
  readonly close_time?: string;
  readonly asked_sequence: number;
  readonly closed_sequence?: number;
  readonly asked_by?: Actor;
  readonly tenant?: string;
  readonly trace_id?: string;
}

/** What every event says. */
export interface EventHead {
  readonly sequence: number;
  readonly timestamp: string;
  readonly ticket_id: string;
  readonly session_id: string;
  readonly job_id: string;
  readonly attempt?: number;
  readonly actor?: Actor;
  readonly tenant?: string;
  readonly trace_id?: string;
}

interface EventBodies {
  ticket_created: { readonly ticket_name: string; readonly ticket: Ticket };
  ticket_updated: { readonly ticket: Ticket };
  ticket_cancelled: { readonly ticket_name: string; readonly status: JobStatus };
  agent_started: { readonly ticket_name: string; readonly worker: string };
  agent_message: { readonly content: string; readonly key?: string };
  tool_call: {
    readonly tool_name: string;
    readonly title: string;
    readonly content: string;
    readonly output_type: string;
    readonly key?: string;
    readonly truncated?: boolean;
    readonly size?: number;
  };
  agent_question: Asked & { readonly question_id: string };
  question_answered: {
    readonly question_id: string;
    readonly response: Response;
    readonly answered_by: string;
    readonly key?: string;
    readonly sensitive?: boolean;
  };
  question_expired: {
    readonly question_id: string;
    readonly key?: string;
    readonly default?: Response;
  };
  question_withdrawn: { readonly question_id: string; readonly key?: string };
  user_message: { readonly content: string; readonly from: string };
  job_requeued: {
    readonly reason: "input" | "failed" | "lease_lost" | "released";
    readonly error?: string;
    readonly next_attempt_at?: string;
    readonly failed_attempts: number;
  };
  job_waiting: object;
  agent_complete: {
    readonly status: JobStatus;
    readonly summary: string;
    readonly result?: unknown;
  };
  agent_error: { readonly error: string; readonly failed_attempts: number };
}

export type EventType = keyof EventBodies;
export type EventOf<T extends EventType> = EventHead & { readonly type: T } & EventBodies[T];
/** One event of the log; `type` tells which. */
export type DeskEvent = { [T in EventType]: EventOf<T> }[EventType];

const kEventTypes: Record<EventType, true> = {
  ticket_created: true,
  ticket_updated: true,
  ticket_cancelled: true,
  agent_started: true,
  agent_message: true,
  tool_call: true,
  agent_question: true,
  question_answered: true,
  question_expired: true,
  question_withdrawn: true,
  user_message: true,
  job_requeued: true,
  job_waiting: true,
  agent_complete: true,
  agent_error: true,
};

/** Whether this release knows the type; others are passed over, as the protocol asks. */
export function isEventType(type: string): type is EventType {
  return Object.hasOwn(kEventTypes, type);
}

/** What is sent of the state: tickets that have not ended, their sessions, their open questions. */
export interface Snapshot {
  readonly up_to: number;
  readonly tickets: readonly Ticket[];
  readonly sessions: readonly Session[];
  readonly questions: readonly Question[];
}

export type GapReason = "compacted" | "other_desk" | "ahead";

export interface Limits {
  readonly ticket_name_characters: number;
  readonly content_bytes: number;
  readonly response_bytes: number;
  readonly message_bytes: number;
}

/** What holds until a gateway has said otherwise. */
export const kDefaultLimits: Limits = {
  ticket_name_characters: 500,
  content_bytes: 32768,
  response_bytes: 16384,
  message_bytes: 262144,
};

export type Outcome =
  | "received"
  | "already_answered"
  | "expired"
  | "withdrawn"
  | "ambiguous"
  | "invalid_response"
  | "unknown_session"
  | "unknown_question"
  | "session_closed"
  | "forbidden";

export interface HelloMessage {
  readonly type: "hello";
  readonly protocol: string;
  readonly desk: string;
  readonly sequence: number;
  readonly user: string;
  readonly token_expires_at?: string;
  readonly heartbeat_ms: number;
  readonly limits: Partial<Limits>;
  readonly time: string;
}

/** The answer to a command. `status` is an outcome, or the status of a ticket's job. */
export interface AckMessage {
  readonly type: "ack";
  readonly status: string;
  readonly session_id?: string;
  readonly ticket_id?: string;
  readonly job_id?: string;
  readonly question_id?: string;
  readonly answered_by?: string;
  readonly response?: Response;
  readonly message?: string;
  readonly sequence?: number;
  readonly request_id?: string;
  /** A fresh token was accepted (`authenticated`). */
  readonly token_expires_at?: string;
}

export interface ErrorMessage {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  readonly field?: string;
  readonly retry_after_ms?: number;
  readonly request_id?: string;
}

export type ControlMessage =
  | HelloMessage
  | AckMessage
  | ErrorMessage
  | { readonly type: "subscribed"; readonly up_to: number }
  | { readonly type: "position"; readonly up_to: number; readonly time: string }
  | ({ readonly type: "snapshot"; readonly more: boolean } & Snapshot)
  | {
      readonly type: "gap";
      readonly reason: GapReason;
      readonly desk: string;
      readonly available_from: number;
    }
  | { readonly type: "pong" };

/** Which events are wanted; an absent or empty list means all. */
export interface Filter {
  readonly ticket_ids?: readonly string[];
  readonly session_ids?: readonly string[];
  readonly types?: readonly EventType[];
}
