/** Every event as it comes; can be held still to read. */
import type { DeskEvent } from "@agentdesk/client";
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { atMostEvery, desk, recentEvents, useTicks } from "./desk";
import { VirtualList } from "./virtual_list";
import { responseText, Text } from "./words";

/** Faster than anybody reads, slow enough for a thousand events a second. */
const kRedrawMs = 250;
const kShown = 1000;

export function Feed(): JSX.Element {
  const [paused, setPaused] = useState(false);
  const held = useRef<readonly DeskEvent[]>([]);
  useTicks((draw) => {
    const [ask, cancel] = atMostEvery(kRedrawMs, draw);
    const off = desk.on("event", ask);
    return () => {
      off();
      cancel();
    };
  });
  if (!paused) held.current = recentEvents.slice(-kShown).reverse();
  const missed = (recentEvents.at(-1)?.sequence ?? 0) - (held.current[0]?.sequence ?? 0);
  return (
    <section class="feed" aria-labelledby="feed-title">
      <div class="bar">
        <h2 id="feed-title">Events</h2>
        <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          {paused ? "Go on" : "Pause"}
        </button>
        {paused && <span class="quiet">{missed} new since it was paused</span>}
      </div>
      {held.current.length === 0 && <p class="empty">Nothing has happened since you came.</p>}
      <VirtualList
        items={held.current}
        rowHeight={36}
        label="Events, newest first"
        keyOf={({ sequence }) => sequence}
        row={(event) => (
          <a class="line" href={`#/tickets/${event.ticket_id}`}>
            <span class="quiet">{event.sequence}</span>
            <time dateTime={event.timestamp}>{clockTime(event.timestamp)}</time>
            <span class={`kind ${event.type}`}>{event.type.replaceAll("_", " ")}</span>
            <Text of={gist(event)} />
          </a>
        )}
      />
    </section>
  );
}

function clockTime(timestamp: string): string {
  return new Date(timestamp).toTimeString().slice(0, 8);
}

function gist(event: DeskEvent): string {
  switch (event.type) {
    case "ticket_created":
    case "ticket_updated":
      return event.ticket.ticket_name;
    case "agent_started":
    case "ticket_cancelled":
      return event.ticket_name;
    case "agent_message":
    case "agent_question":
      return event.content;
    case "user_message":
      return `${event.from}: ${event.content}`;
    case "tool_call":
      return `${event.tool_name} ${event.title}`;
    case "question_answered":
      return `${event.answered_by}: ${event.sensitive ? "(kept from view)" : responseText(event.response)}`;
    case "agent_complete":
      return `${event.status} ${event.summary}`;
    case "agent_error":
      return event.error;
    case "job_requeued":
      return event.reason.replace("_", " ");
    default:
      return "";
  }
}
