import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { canAskForNotifications, setView } from "./attention";
import { Board } from "./board";
import { ConnectionBar } from "./connection_bar";
import { useOpenCount } from "./desk";
import { Feed } from "./feed";
import { Health } from "./health";
import { Inbox } from "./inbox";
import { NewTicket } from "./new_ticket";
import { SignIn, useSignedIn } from "./sign_in";
import { TicketPage } from "./ticket_page";

const kPlaces = [
  ["#/", "Questions"],
  ["#/tickets", "Tickets"],
  ["#/events", "Events"],
  ["#/health", "Health"],
] as const;

/** In the title; the first view has the page's name, and a ticket's view says its own. */
const kNames = new Map<string, string>([...kPlaces.slice(1), ["#/new", "New ticket"]]);

export function App(): JSX.Element {
  const place = usePlace();
  const { isWanted } = useSignedIn();
  useView(place);
  return (
    <>
      <a class="skip" href="#main" onClick={focusMain}>
        Skip to content
      </a>
      <header class="top">
        <h1>
          <img src="/icon.svg" alt="" width="24" height="24" /> AgentDesk
        </h1>
        <nav aria-label="Views">
          {kPlaces.map(([href, name]) => (
            <a key={href} href={href} aria-current={isAt(place, href) ? "page" : undefined}>
              {name}
              {href === "#/" && <OpenCount />}
            </a>
          ))}
        </nav>
        <ConnectionBar />
        <AskForNotifications />
        <a
          class="button primary new"
          href="#/new"
          aria-current={place === "#/new" ? "page" : undefined}
        >
          New ticket
        </a>
      </header>
      <main id="main" tabIndex={-1}>
        {isWanted ? <SignIn /> : <View place={place} />}
      </main>
    </>
  );
}

/** For the eye a badge, for a screen reader a sentence when it changes. */
function OpenCount(): JSX.Element {
  const open = useOpenCount();
  return (
    <>
      {open > 0 && (
        <span class="badge" aria-hidden="true">
          {open}
        </span>
      )}
      <span class="unseen" role="status">
        {open === 0 ? "" : open === 1 ? ", 1 waits" : `, ${open} wait`}
      </span>
    </>
  );
}

/** Names the page after what it shows, and takes the keyboard there. */
function useView(place: string): void {
  const isFirst = useRef(true);
  useEffect(() => {
    if (!place.startsWith("#/tickets/")) setView(kNames.get(place) ?? "");
    const main = document.getElementById("main");
    if (!isFirst.current && !main?.contains(document.activeElement)) {
      main?.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    }
    isFirst.current = false;
  }, [place]);
}

function View({ place }: { place: string }): JSX.Element {
  const ticket = /^#\/tickets\/([0-9a-f-]+)$/.exec(place);
  if (ticket) return <TicketPage key={ticket[1]} ticketId={ticket[1]!} />;
  switch (place) {
    case "#/tickets":
      return <Board />;
    case "#/events":
      return <Feed />;
    case "#/health":
      return <Health />;
    case "#/new":
      return <NewTicket />;
    default:
      return <Inbox />;
  }
}

function isAt(place: string, href: string): boolean {
  return href === "#/" ? place === "#/" || place === "" : place.startsWith(href);
}

function usePlace(): string {
  const [place, setPlace] = useState(location.hash);
  useEffect(() => {
    const read = (): void => {
      if (location.hash !== "#main") setPlace(location.hash);
    };
    window.addEventListener("hashchange", read);
    return () => window.removeEventListener("hashchange", read);
  }, []);
  return place;
}

function focusMain(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function AskForNotifications(): JSX.Element | null {
  const [can, setCan] = useState(canAskForNotifications);
  if (!can) return null;
  const ask = (): void => {
    void Notification.requestPermission().then(() => setCan(canAskForNotifications()));
  };
  return (
    <button type="button" class="plain notify" onClick={ask}>
      Notify me of questions
    </button>
  );
}
