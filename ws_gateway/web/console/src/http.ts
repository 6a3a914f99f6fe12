/** Reads of what is not in the live state: ended tickets and transcripts. */
import { parseExactJson } from "@agentdesk/client";
import type { DeskEvent, Ticket } from "@agentdesk/client";

export async function get<T>(path: string): Promise<T> {
  const response = await fetch(path);
  const text = await response.text();
  let body: T & { error?: { message: string } };
  try {
    body = parseExactJson(text) as typeof body;
  } catch {
    throw new Error(`the gateway answered ${response.status} without JSON`);
  }
  if (!response.ok) throw new Error(body.error?.message ?? `${path}: ${response.status}`);
  return body;
}

export interface TicketPage {
  readonly tickets: Ticket[];
  readonly next_page_token: string;
}

export interface TranscriptPage {
  readonly transcript: DeskEvent[];
  readonly desk: string;
  readonly up_to: number;
  readonly more: boolean;
}
