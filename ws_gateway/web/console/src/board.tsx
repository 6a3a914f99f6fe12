/** All tickets by what becomes of them; those that ended before the page was opened, page by page. */
import type { JobStatus, Ticket } from "@agentdesk/client";
import type { JSX } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { desk, useStore } from "./desk";
import { get } from "./http";
import type { TicketPage } from "./http";
import { VirtualList } from "./virtual_list";
import { Ago, Status, Text } from "./words";

interface Column {
  readonly name: string;
  readonly statuses: readonly JobStatus[];
}
const kEnded: readonly JobStatus[] = ["completed", "failed", "cancelled"];
const kColumns: readonly Column[] = [
  { name: "Queued", statuses: ["queued"] },
  { name: "Running", statuses: ["running", "cancelling"] },
  { name: "Waiting", statuses: ["waiting"] },
  { name: "Ended", statuses: kEnded },
];
const kRowHeight = 76;
const kEndedPage = 200;

export function Board(): JSX.Element {
  const store = useStore(250);
  const [search, setSearch] = useState("");
  const [asking, setAsking] = useState(false);
  const [queue, setQueue] = useState("");
  const { ended, loadMore } = useEnded();
  const wanted = search.trim().toLowerCase();
  const { columns, queues } = useMemo(() => {
    const byStatus = new Map<JobStatus, Ticket[]>();
    const queues = new Set<string>(queue ? [queue] : []);
    const all = new Map(ended.map((ticket) => [ticket.ticket_id, ticket]));
    for (const [id, ticket] of store.tickets) all.set(id, ticket);
    for (const ticket of all.values()) {
      queues.add(ticket.queue);
      if (asking && ticket.open_questions === 0) continue;
      if (queue && ticket.queue !== queue) continue;
      if (wanted && !matches(ticket, wanted)) continue;
      const list = byStatus.get(ticket.status);
      if (list) list.push(ticket);
      else byStatus.set(ticket.status, [ticket]);
    }
    const columns = kColumns.map(({ name, statuses }) => ({
      name,
      tickets: statuses.flatMap((status) => byStatus.get(status) ?? []).sort(newestFirst),
    }));
    return { columns, queues: [...queues].sort() };
  }, [store.upTo, ended, wanted, asking, queue]);
  return (
    <section class="board" aria-labelledby="board-title">
      <div class="bar">
        <h2 id="board-title">Tickets</h2>
        <input
          type="search"
          aria-label="Search tickets"
          placeholder="Search name, label, queue, id"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
        {queues.length > 1 && (
          <select
            aria-label="Queue"
            value={queue}
            onChange={(event) => setQueue(event.currentTarget.value)}
          >
            <option value="">all queues</option>
            {queues.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        )}
        <label class="choice">
          <input type="checkbox" checked={asking} onChange={() => setAsking(!asking)} />
          with open questions
        </label>
      </div>
      <div class="columns">
        {columns.map(({ name, tickets }) => (
          <section key={name} class="column" aria-label={`${name}: ${tickets.length}`}>
            <h3>
              {name} <span class="count">{tickets.length}</span>
            </h3>
            <VirtualList
              items={tickets}
              rowHeight={kRowHeight}
              label={`${name} tickets`}
              keyOf={({ ticket_id }) => ticket_id}
              row={(ticket) => <TicketRow ticket={ticket} />}
            />
            {name === "Ended" && loadMore && (
              <button type="button" onClick={loadMore}>
                Older ones
              </button>
            )}
          </section>
        ))}
      </div>
    </section>
  );
}

function TicketRow({ ticket }: { ticket: Ticket }): JSX.Element {
  return (
    <a class={`card row ${ticket.status}`} href={`#/tickets/${ticket.ticket_id}`}>
      <span class="one-line">
        <Text of={ticket.ticket_name} />
      </span>
      <span class="quiet">
        <Status of={ticket.status} />
        {ticket.open_questions > 0 && <span class="asks">asks {ticket.open_questions}</span>}
        <Ago at={ticket.update_time} />
      </span>
    </a>
  );
}

function matches(ticket: Ticket, wanted: string): boolean {
  return (
    ticket.ticket_name.toLowerCase().includes(wanted) ||
    ticket.queue.toLowerCase().includes(wanted) ||
    ticket.ticket_id.startsWith(wanted) ||
    Object.entries(ticket.labels).some((label) => label.join("=").toLowerCase().includes(wanted))
  );
}

function newestFirst(a: Ticket, b: Ticket): number {
  const [first, second] = [a.create_time ?? "", b.create_time ?? ""];
  return first === second ? 0 : first < second ? 1 : -1;
}

/** The last tickets that had ended when the state was taken; the store has those that end later. */
function useEnded(): { ended: readonly Ticket[]; loadMore: (() => void) | undefined } {
  const [ended, setEnded] = useState<readonly Ticket[]>([]);
  const tokens = useRef(new Map<JobStatus, string>());
  const epoch = useRef(0);
  const load = useCallback(async (isFirst: boolean): Promise<void> => {
    const mine = isFirst ? ++epoch.current : epoch.current;
    if (isFirst) tokens.current = new Map(kEnded.map((status) => [status, ""]));
    const asked = [...tokens.current];
    const pages = await Promise.all(
      asked.map(([status, token]) =>
        get<TicketPage>(
          `/tickets?status=${status}&page_size=${kEndedPage}&page_token=${encodeURIComponent(token)}`,
        ),
      ),
    );
    if (mine !== epoch.current) return;
    tokens.current = new Map(
      asked.flatMap(([status], index) => {
        const token = pages[index]!.next_page_token;
        return token ? [[status, token]] : [];
      }),
    );
    const tickets = pages.flatMap((page) => page.tickets);
    setEnded((before) => (isFirst ? tickets : [...before, ...tickets]));
  }, []);
  useEffect(() => {
    const reload = (): void => void load(true).catch(() => undefined);
    reload();
    const off = desk.on("snapshot", reload);
    return () => {
      ++epoch.current;
      off();
    };
  }, [load]);
  return {
    ended,
    loadMore: tokens.current.size > 0 ? () => void load(false).catch(() => undefined) : undefined,
  };
}
