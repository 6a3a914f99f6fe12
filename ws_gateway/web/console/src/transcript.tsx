/** What happened in a session: everything so far, and then each event as it comes. */
import type { DeskEvent, Question } from "@agentdesk/client";
import { Component } from "preact";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { atMostEvery, desk } from "./desk";
import { get } from "./http";
import type { TranscriptPage } from "./http";
import { Ago, Json, responseText, Text } from "./words";

/** Entries in the document; earlier ones are asked for. */
const kShown = 100;
const kRedrawMs = 200;
const kPage = 1000;
/** A page that could not be had is asked for again: after this, then twice as long, up to the last. */
const kFirstRetryMs = 1000;
const kLastRetryMs = 15_000;

interface Props {
  readonly sessionId: string;
  /** What is to be answered stands at the end, where the conversation is. */
  readonly children?: ComponentChildren;
}

export function Transcript({ sessionId, children }: Props): JSX.Element {
  const { events, error, isLoading } = useTranscript(sessionId);
  const [shown, setShown] = useState(kShown);
  const first = Math.max(0, events.length - shown);
  return (
    <section aria-labelledby="transcript-title">
      <h3 id="transcript-title">
        Transcript <span class="count">{events.length}</span>
      </h3>
      {error && <p role="alert">{error}</p>}
      {first > 0 && (
        <button type="button" onClick={() => setShown(shown + kShown)}>
          Show earlier ({first} more)
        </button>
      )}
      <ol class="transcript" aria-busy={isLoading} start={first + 1}>
        {events.slice(first).map((event) => (
          <Entry key={event.sequence} event={event} />
        ))}
      </ol>
      {children}
    </section>
  );
}

interface Transcribed {
  readonly events: readonly DeskEvent[];
  readonly error: string;
  readonly isLoading: boolean;
}

function useTranscript(sessionId: string): Transcribed {
  const [state, setState] = useState<Transcribed>({ events: [], error: "", isLoading: true });
  useEffect(() => {
    let epoch = 0;
    let loaded: DeskEvent[] = [];
    /** Came while the pages were read: kept until these have reached them, so that there is no hole. */
    let live: DeskEvent[] = [];
    let error = "";
    let isLoading = false;
    const [draw, cancel] = atMostEvery(kRedrawMs, () => {
      if (!isLoading) {
        const last = loaded.at(-1)?.sequence ?? 0;
        loaded.push(...live.filter(({ sequence }) => sequence > last));
        live = [];
      }
      setState({ events: [...loaded], error, isLoading });
    });
    const load = async (): Promise<void> => {
      const mine = ++epoch;
      loaded = [];
      error = "";
      isLoading = true;
      let from = "after=0";
      let retryMs = kFirstRetryMs;
      while (isLoading) {
        const path = `/sessions/${sessionId}?${from}&page_size=${kPage}`;
        try {
          const page = await get<TranscriptPage>(path);
          if (mine !== epoch) return;
          error = "";
          retryMs = kFirstRetryMs;
          loaded.push(...page.transcript);
          from = `after=${page.up_to}&desk=${page.desk}`;
          isLoading = page.more;
        } catch (reason) {
          if (mine !== epoch) return;
          error = (reason as Error).message;
          draw();
          await new Promise((resolve) => setTimeout(resolve, retryMs));
          if (mine !== epoch) return;
          retryMs = Math.min(2 * retryMs, kLastRetryMs);
          // The pages that are asked for from now on have it.
          live = [];
        }
        draw();
      }
    };
    // Live events are taken from before the first page is asked for, so that none falls between.
    const off = desk.on("event", (event) => {
      if (event.session_id !== sessionId) return;
      live.push(event);
      draw();
    });
    // What passed before a snapshot was not sent as events; it may even be of another desk.
    const offSnapshot = desk.on("snapshot", () => {
      live = [];
      void load();
    });
    const offState = desk.on("state", ({ kind }) => {
      if (kind === "live" && error) void load();
    });
    void load();
    return () => {
      ++epoch;
      off();
      offSnapshot();
      offState();
      cancel();
    };
  }, [sessionId]);
  return state;
}

/** An event never changes, so what shows it is drawn once. */
class Entry extends Component<{ event: DeskEvent }> {
  override shouldComponentUpdate(): boolean {
    return false;
  }
  override render(): JSX.Element {
    const { event } = this.props;
    const by = speaker(event);
    return (
      <li class={`entry ${event.type} ${by ? "said" : "noted"}`}>
        {by && (
          <b class="by">
            <Text of={by} />
          </b>
        )}
        <div class="what">
          <Body event={event} />
        </div>
        <Ago at={event.timestamp} />
      </li>
    );
  }
}

/** Who says it; none for what the desk notes. */
function speaker(event: DeskEvent): string {
  switch (event.type) {
    case "agent_message":
    case "agent_question":
    case "tool_call":
      return "agent";
    case "user_message":
      return event.from;
    case "question_answered":
      return event.answered_by;
    default:
      return "";
  }
}

function Body({ event }: { event: DeskEvent }): JSX.Element {
  switch (event.type) {
    case "agent_message":
    case "user_message":
      return <Text of={event.content} />;
    case "tool_call":
      return <ToolCall event={event} />;
    case "agent_question":
      return (
        <>
          <i>asks</i> <Text of={event.content} />
        </>
      );
    case "question_answered":
      return (
        <>
          <i>answered</i> <Answer event={event} />
        </>
      );
    case "question_expired":
      return (
        <>
          The time for an answer was up
          {event.default !== undefined && (
            <>
              ; the agent goes on with <Text of={responseText(event.default)} />
            </>
          )}
        </>
      );
    case "question_withdrawn":
      return <>The question was withdrawn</>;
    case "agent_started":
      return (
        <>
          Attempt {event.attempt} began on <Text of={event.worker} />
        </>
      );
    case "agent_complete":
      return (
        <>
          <b>{event.status}</b> <Text of={event.summary} />
          {event.result !== undefined && <Json of={event.result} />}
        </>
      );
    case "agent_error":
      return (
        <>
          <b>failed</b> <Text of={event.error} />
        </>
      );
    case "job_requeued":
      return (
        <>
          Queued again ({event.reason.replace("_", " ")})
          {event.error && (
            <>
              : <Text of={event.error} />
            </>
          )}
        </>
      );
    case "job_waiting":
      return <>The agent is parked until there is an answer</>;
    case "ticket_created":
      return (
        <>
          Created by <Text of={event.actor?.id ?? ""} />
        </>
      );
    case "ticket_updated":
      return (
        <>
          Tried again by <Text of={event.actor?.id ?? ""} />
        </>
      );
    case "ticket_cancelled":
      return (
        <>
          Cancel asked for by <Text of={event.actor?.id ?? ""} />
        </>
      );
  }
}

function ToolCall({ event }: { event: DeskEvent & { type: "tool_call" } }): JSX.Element {
  return (
    <details>
      <summary>
        <code>
          <Text of={event.tool_name} />
        </code>{" "}
        <Text of={event.title} />
      </summary>
      <pre tabIndex={0}>
        <Text of={event.content} />
      </pre>
      {event.truncated && <p class="quiet">Cut: it had {event.size?.toLocaleString()} bytes.</p>}
    </details>
  );
}

function Answer({ event }: { event: DeskEvent & { type: "question_answered" } }): JSX.Element {
  if (event.sensitive) return <i class="quiet">(kept from view)</i>;
  return <Text of={responseText(event.response)} />;
}

/** The open questions of a session, oldest first. */
export function openIn(sessionId: string): Question[] {
  return [...desk.store.questions.values()]
    .filter(({ session_id, state }) => session_id === sessionId && state === "open")
    .sort((a, b) => a.asked_sequence - b.asked_sequence);
}
