/** docs/example.html follows a ticket, answers its questions, and comes back. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kBin, until } from "../../client/test/programs.js";
import type { Desk } from "../../client/test/programs.js";
import { createTicket, hasStatus, startBrowser, startDesk } from "./browser.js";

const kExample = new URL("../../../../docs/example.html", import.meta.url);
const server = createServer((_request, response) => {
  response.setHeader("Content-Type", "text/html").end(readFileSync(kExample));
});
let browser: Browser;

beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening");
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  server.close();
});

async function openExample(desk: Desk, ticket: string): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  const { port } = server.address() as AddressInfo;
  await page.goto(
    `http://localhost:${port}/example.html?ticket=${ticket}&gateway=${desk.gateway.address}`,
  );
  return page;
}
async function answer(page: Page, shown: string, text: string): Promise<void> {
  await page.getByLabel(shown).fill(text);
  await page.getByLabel(shown).press("Enter");
}

test("one ticket from its first event to its last", async () => {
  const question = { type: "question", choices: ["red", "blue"] };
  const desk = await startDesk({
    parts: {
      Paint: [
        { ...question, key: "one", content: "<b>Which</b> colour?" },
        { await: "answer" },
        { ...question, key: "two", content: "And now?" },
        { await: "answer" },
        { type: "complete", summary: "Painted" },
      ],
      Another: [{ ...question, key: "one", content: "Not for this page" }, { await: "answer" }],
    },
  });
  try {
    await createTicket(desk, "Another");
    const ticket = await createTicket(desk, "Paint");
    const page = await openExample(desk, ticket);
    await answer(page, "<b>Which</b> colour?", "green");
    await page.locator("#state", { hasText: "choices" }).waitFor();
    await answer(page, "<b>Which</b> colour?", "blue");
    await page.getByLabel("And now?").waitFor();
    expect(await page.locator("form").count()).toBe(1);

    await desk.gateway.end("SIGKILL");
    await page.locator("#state", { hasText: "away" }).waitFor();
    await desk.gateway.start();
    const asked = await desk.call<{ questions: { question_id: string; ticket_id: string }[] }>(
      "GET",
      "/questions?state=open",
    );
    const mine = asked.questions.find(({ ticket_id }) => ticket_id === ticket)!;
    const { session_id } = await desk.call<{ session_id: string }>("GET", `/tickets/${ticket}`);
    await desk.call("POST", `/sessions/${session_id}/responses`, {
      response: "red",
      question_id: mine.question_id,
    });
    await hasStatus(desk, ticket, "completed");
    await page.locator("#state", { hasText: "completed" }).waitFor();
    expect(await page.locator("form").count()).toBe(0);
    const lines = await page.locator("li").allTextContents();
    expect(lines.map((line) => line.split(":")[0])).toEqual([
      "ticket_created",
      "agent_started",
      "agent_question",
      "question_answered",
      "agent_question",
      "question_answered",
      "agent_complete",
    ]);
  } finally {
    await desk.end();
  }
});

test("a ticket of which the log no longer holds the beginning, and one that ended meanwhile", async () => {
  const desk = await startDesk({
    parts: {
      Paint: [
        { type: "question", key: "one", content: "Which colour?" },
        { await: "answer" },
        { type: "complete", summary: "Painted" },
      ],
      Another: [{ type: "complete", summary: "Done" }],
    },
  });
  try {
    const ended = await createTicket(desk, "Another");
    await hasStatus(desk, ended, "completed");
    const ticket = await createTicket(desk, "Paint");
    await until(
      async () =>
        (await desk.call<{ questions: unknown[] }>("GET", "/questions?state=open")).questions
          .length,
      "the question",
    );
    const compact = ["admin", "compact", "--keep_events=1", `--core=${desk.core.address}`];
    execFileSync(join(kBin, "agentdesk"), compact);
    // A gateway serves what it remembers itself; a new one remembers nothing.
    await desk.gateway.end();
    await desk.gateway.start();

    const page = await openExample(desk, ticket);
    await page.locator("#state", { hasText: "running" }).waitFor();
    await answer(page, "Which colour?", "blue");
    await page.locator("#state", { hasText: "completed" }).waitFor();
    expect(await page.locator("form").count()).toBe(0);

    const other = await openExample(desk, ended);
    await other.locator("#state", { hasText: "ended" }).waitFor();
  } finally {
    await desk.end();
  }
});
