/** docs/example.html follows a ticket, answers its questions, and comes back. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { createTicket, hasStatus, startBrowser, startDesk } from "./browser.js";

const kExample = new URL("../../../../docs/example.html", import.meta.url);

test("one ticket in fifty lines", async () => {
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
  const server = createServer((_request, response) => {
    response.setHeader("Content-Type", "text/html").end(readFileSync(kExample));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const browser = await startBrowser();
  try {
    await createTicket(desk, "Another");
    const ticket = await createTicket(desk, "Paint");
    const page = await browser.newPage();
    page.setDefaultTimeout(30_000);
    const { port } = server.address() as AddressInfo;
    await page.goto(
      `http://localhost:${port}/example.html?ticket=${ticket}&gateway=${desk.gateway.address}`,
    );
    const answer = async (shown: string, text: string) => {
      await page.getByLabel(shown).fill(text);
      await page.getByLabel(shown).press("Enter");
    };
    await answer("<b>Which</b> colour?", "green");
    await page.locator("#state", { hasText: "choices" }).waitFor();
    await answer("<b>Which</b> colour?", "blue");
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
    await browser.close();
    server.close();
    await desk.end();
  }
});
