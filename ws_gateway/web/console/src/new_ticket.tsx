/** The form for a new ticket. */
import type { NewTicket as Fields } from "@agentdesk/client";
import { CommandError } from "@agentdesk/client";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { desk } from "./desk";

export function NewTicket(): JSX.Element {
  const [trouble, setTrouble] = useState<{ message: string; field?: string | undefined }>();
  const [isBusy, setBusy] = useState(false);
  const name = useRef<HTMLInputElement>(null);
  useEffect(() => name.current?.focus(), []);
  const create = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (isBusy) return;
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (field: string): string => String(form.get(field) ?? "");
    const fields: Fields = {
      ticket_name: text("ticket_name"),
      description: text("description"),
      ...(text("queue") && { queue: text("queue") }),
      priority: Number(text("priority")),
    };
    setBusy(true);
    setTrouble(undefined);
    try {
      const { ticket_id } = await desk.createTicket(fields);
      location.hash = `#/tickets/${ticket_id}`;
    } catch (error) {
      const { message } = error as Error;
      setTrouble({ message, field: error instanceof CommandError ? error.field : undefined });
    } finally {
      setBusy(false);
    }
  };
  const invalid = (field: string): { "aria-invalid"?: true; "aria-describedby"?: string } =>
    trouble?.field === field ? { "aria-invalid": true, "aria-describedby": "trouble" } : {};
  return (
    <section class="new-ticket" aria-labelledby="new-title">
      <h2 id="new-title">New ticket</h2>
      <form class="card stack" onSubmit={(event) => void create(event)}>
        <label>
          What is to be done?
          <input
            name="ticket_name"
            dir="auto"
            required
            autocomplete="off"
            ref={name}
            {...invalid("ticket_name")}
          />
        </label>
        <label>
          Description
          <textarea name="description" dir="auto" rows={6} {...invalid("description")} />
        </label>
        <div class="bar">
          <label>
            Queue
            <input name="queue" placeholder="default" {...invalid("queue")} />
          </label>
          <label>
            Priority (0 to 9)
            <input
              name="priority"
              type="number"
              min={0}
              max={9}
              value="5"
              {...invalid("priority")}
            />
          </label>
        </div>
        {trouble && (
          <p role="alert" id="trouble">
            {trouble.message}
          </p>
        )}
        <button class="primary" {...(isBusy ? { "aria-disabled": true } : {})}>
          {isBusy ? "Creating…" : "Create ticket"}
        </button>
      </form>
    </section>
  );
}
