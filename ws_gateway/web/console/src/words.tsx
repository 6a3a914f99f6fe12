/** How times, states and people's texts read. */
import type { JobStatus, Response } from "@agentdesk/client";
import type { JSX } from "preact";
import { desk, useEachSecond } from "./desk";

/** A text that somebody else wrote: shown as it is, in a direction of its own. */
export function Text({ of }: { of: string }): JSX.Element {
  return <bdi class="text">{of}</bdi>;
}

/** JSON that somebody else wrote. Marks that would turn its reading order stand as escapes. */
export function Json({ of }: { of: unknown }): JSX.Element {
  const text = JSON.stringify(of, null, 2).replace(
    /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return (
    <pre tabIndex={0}>
      <Text of={text} />
    </pre>
  );
}

export function Status({ of }: { of: JobStatus }): JSX.Element {
  return <span class={`status ${of}`}>{of}</span>;
}

export function hasEnded(status: JobStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

export function responseText(response: Response | undefined): string {
  return typeof response === "string" ? response : (response ?? []).join(", ");
}

const kUnits = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
] as const;

function duration(seconds: number): string {
  for (const [index, [unit, size]] of kUnits.entries()) {
    if (seconds < size && unit !== "s") continue;
    const next = kUnits[index + 1];
    const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
    return `${Math.floor(seconds / size)} ${unit}${next && rest ? ` ${rest} ${next[0]}` : ""}`;
  }
  return "0 s";
}

/** As long as it took, in one unit. */
function roughly(seconds: number): string {
  const [unit, size] = kUnits.find(([, size]) => seconds >= size) ?? ["s", 1];
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

export function Ago({ at }: { at: string | undefined }): JSX.Element | null {
  const text = useEachSecond(() => {
    const seconds = at ? Math.floor((desk.serverNow() - Date.parse(at)) / 1000) : 0;
    return seconds < 1 ? "now" : roughly(seconds);
  });
  if (!at) return null;
  return (
    <time dateTime={at} title={new Date(at).toLocaleString()}>
      {text}
    </time>
  );
}

const kUrgentSeconds = 60;

/** The time left, by the desk's clock; the log, not this clock, says when it is over. */
export function Countdown({ until }: { until: string }): JSX.Element {
  const seconds = useEachSecond(() =>
    Math.max(0, Math.ceil((Date.parse(until) - desk.serverNow()) / 1000)),
  );
  return (
    <time
      class={`countdown ${seconds < kUrgentSeconds ? "urgent" : ""}`}
      dateTime={until}
      title={new Date(until).toLocaleString()}
      role="timer"
    >
      {seconds > 0 ? `${duration(seconds)} left` : "time is up"}
    </time>
  );
}
