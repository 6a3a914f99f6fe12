/** Calls for a human who is not looking: the title's count, and a notification for each question. */
import { atMostEvery, desk, openQuestions } from "./desk";

let view = "AgentDesk";

/** What the page shows, for its title. */
export function setView(name: string): void {
  view = name === "" ? "AgentDesk" : `${name} · AgentDesk`;
  showCount();
}

export function watchForQuestions(): void {
  const [count] = atMostEvery(100, showCount);
  desk.store.onChange(count);
  desk.on("event", (event) => {
    if (event.type !== "agent_question" || !document.hidden) return;
    const name = desk.store.tickets.get(event.ticket_id)?.ticket_name ?? "An agent asks";
    notify(name, event.content, event.question_id);
  });
}

function showCount(): void {
  const open = openQuestions().length;
  document.title = open > 0 ? `(${open}) ${view}` : view;
}

function notify(title: string, body: string, tag: string): void {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  try {
    const note = new Notification(title, { body, tag });
    note.onclick = () => {
      window.focus();
      location.hash = "#/";
      note.close();
    };
  } catch {
    // Browsers on phones allow it to service workers only; the title tells all the same.
  }
}

export function canAskForNotifications(): boolean {
  return "Notification" in window && Notification.permission === "default";
}
