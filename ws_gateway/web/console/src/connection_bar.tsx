/** Whether the page is up to date, and if not, why and until when. */
import type { State } from "@agentdesk/client";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { desk, useConnection, useEachSecond } from "./desk";
import { signOut, useSignedIn } from "./sign_in";

const kCoreCheckMs = 3000;

export function ConnectionBar(): JSX.Element {
  const state = useConnection();
  const { isWanted, user } = useSignedIn();
  const isCoreAway = useIsCoreAway();
  const seconds = useEachSecond(() =>
    desk.state.kind === "waiting" ? Math.ceil((desk.state.retryAt - Date.now()) / 1000) : 0,
  );
  const unanswered = useEachSecond(() => desk.unanswered);
  const kind = isWanted ? "signed-out" : state.kind === "live" && isCoreAway ? "stale" : state.kind;
  return (
    <div class={`connection ${kind}`} data-state={kind}>
      <span class="dot" aria-hidden="true" />
      <span role="status">
        {kind === "stale"
          ? "The desk's core is away"
          : kind === "signed-out"
            ? "You are not signed in"
            : words(state)}
      </span>
      {kind === "waiting" && seconds > 1 && (
        <span aria-hidden="true">, next try in {seconds} s</span>
      )}
      {kind === "waiting" && (
        <button type="button" class="plain" onClick={() => desk.retryNow()}>
          Try now
        </button>
      )}
      {state.kind === "closed" && (
        <button type="button" class="plain" onClick={() => location.reload()}>
          Reload
        </button>
      )}
      {user !== undefined && !isWanted && (
        <button type="button" class="plain" onClick={() => void signOut()}>
          Sign out
        </button>
      )}
      {unanswered > 0 && kind !== "live" && <b> {unanswered} to be sent</b>}
    </div>
  );
}

/** The gateway keeps its browsers while it looks for the core: nothing comes, and nothing is lost. */
function useIsCoreAway(): boolean {
  const [away, setAway] = useState(false);
  useEffect(() => {
    const look = (): void => {
      if (desk.state.kind !== "live" || document.hidden) return;
      fetch("/readyz").then(
        ({ status }) => setAway(status === 503),
        () => setAway(false), // the connection tells of an absent gateway
      );
    };
    const timer = setInterval(look, kCoreCheckMs);
    const off = desk.on("event", () => setAway(false));
    return () => {
      clearInterval(timer);
      off();
    };
  }, []);
  return away;
}

function words(state: State): string {
  switch (state.kind) {
    case "idle":
    case "connecting":
      return "Connecting…";
    case "live":
      return `Live, as ${state.user}`;
    case "waiting":
      return reason(state.closeCode, state.reason);
    case "closed":
      return `Disconnected for good: ${state.error?.message ?? "closed"}`;
  }
}

function reason(code: number, text: string): string {
  switch (code) {
    case 1012:
      return "The gateway restarts";
    case 1013:
      return "The gateway is busy";
    case 4401:
      return "You are not signed in";
    case 4429:
      return "Too many messages or connections";
    case 4430:
      return "This page was too slow to follow";
    default:
      return text ? `Connection lost (${text})` : "Connection lost";
  }
}
