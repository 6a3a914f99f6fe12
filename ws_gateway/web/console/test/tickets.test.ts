/** Tickets in the browser: brought, cancelled, tried again, found; and text that means harm. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Desk } from "../../client/test/programs.js";
import {
  createTicket,
  expectSound,
  hasStatus,
  kPhone,
  open,
  pageErrors,
  screenshot,
  startBrowser,
  startDesk,
} from "./browser.js";
import type { Parts } from "./browser.js";

const kRightToLeft = "\u202e";
/** Markup, a turned reading order, another script, emoji, and one word as long as a line is not. */
const kHostile =
  `<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>&lt;b&gt; ` +
  `${kRightToLeft}gnp.exe مرحبا 👩‍👩‍👧‍👦 `;
const kWord = "w".repeat(400);
const kName = `${kHostile}${kWord}`.slice(0, 500);
const kChoice = kHostile.slice(0, 60);
const kParts: Parts = {
  [kName]: [
    { type: "message", content: `said ${kHostile}${kWord}` },
    {
      type: "tool_call",
      tool_name: kChoice,
      title: kHostile,
      content: `tool ${kHostile}${kWord}`,
      output_type: kChoice,
    },
    {
      type: "question",
      key: "q",
      content: `asked ${kHostile}${kWord}`,
      choices: [{ value: "one", label: kChoice + kWord, description: kHostile }, kChoice],
      free_text: true,
      details: { [kHostile]: `${kHostile}${kWord}`, amount: 7 },
      default: kHostile,
      expires_in_s: 600,
    },
    { await: "answer" },
    { type: "complete", summary: `did ${kHostile}`, result: { [kHostile]: kHostile } },
  ],
  "Fails at first": [{ type: "fail", error: kHostile, retryable: false }],
  Lasts: [{ type: "message", content: "working" }, { await: "answer" }],
};

let browser: Browser;
let desk: Desk;

beforeAll(async () => {
  browser = await startBrowser();
  desk = await startDesk({ parts: kParts });
});

afterAll(async () => {
  await browser?.close();
  await desk?.end();
});

const status = (page: Page) => page.locator(".title .status");

test("a ticket is brought, cancelled and tried again", async () => {
  const page = await open(browser, desk);
  await page.getByRole("link", { name: "New ticket" }).click();
  const create = page.getByRole("button", { name: "Create ticket" });
  await page.getByLabel("What is to be done?").fill("x".repeat(501));
  await create.click();
  await page.getByRole("alert").getByText("at most 500 characters").waitFor();
  expect(await page.getByLabel("What is to be done?").getAttribute("aria-invalid")).toBe("true");
  await page.getByLabel("What is to be done?").fill("Lasts");
  await page.getByLabel("Description").fill("until it is cancelled");
  await page.getByLabel("Priority").fill("9");
  await create.click();
  await page.getByText("working").waitFor();
  await page.getByText("priority 9").waitFor();
  expect(await page.title()).toBe("Lasts · AgentDesk");
  await expect.poll(() => status(page).innerText()).toBe("running");
  await page.getByLabel("Message to the agent").fill("hurry up");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".user_message").getByText("hurry up").waitFor();
  await page.getByRole("button", { name: "Cancel ticket" }).click();
  await expect.poll(() => status(page).innerText()).toBe("cancelled");
  await page.getByText("Cancel asked for by guest-").waitFor();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("Tried again by guest-").waitFor();
  await expect.poll(() => status(page).innerText()).toBe("running");
  await page.getByText("Attempt 2 began").waitFor();
  await page.getByRole("button", { name: "Cancel ticket" }).click();
  await expect.poll(() => status(page).innerText()).toBe("cancelled");
  expect(pageErrors()).toEqual([]);
  await page.context().close();
});

test("a ticket that had ended before the page was opened can be found, read and tried again", async () => {
  const id = await createTicket(desk, "Fails at first", { labels: { area: "search" } });
  await hasStatus(desk, id, "failed");
  const page = await open(browser, desk, "#/tickets");
  const search = page.getByLabel("Search tickets");
  await search.fill("area=sea");
  await page.getByRole("link", { name: "Fails at first" }).waitFor();
  expect(await page.locator(".row").count()).toBe(1);
  await page.getByLabel("with open questions").check();
  await expect.poll(() => page.locator(".row").count()).toBe(0);
  await page.getByLabel("with open questions").uncheck();
  await page.getByRole("link", { name: "Fails at first" }).click();
  await page.locator(".agent_error").waitFor();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("Attempt 2 began").waitFor();
  await expect.poll(() => status(page).innerText()).toBe("failed");
  expect(pageErrors()).toEqual([]);
  await page.context().close();
});

test("older tickets are there for the asking", async () => {
  const bring = async (index: number): Promise<void> => {
    const id = await createTicket(desk, `Long ago ${index}`, { queue: "nobody" });
    await desk.call("POST", `/tickets/${id}/cancel`, {});
  };
  await Promise.all(Array.from({ length: 220 }, (_, index) => bring(index)));
  const page = await open(browser, desk, "#/tickets");
  await page.getByLabel("Search tickets").fill("long ago");
  const ended = page.getByRole("region", { name: "Ended" }).locator(".count");
  await expect.poll(() => ended.innerText()).toBe("200");
  await page.getByRole("button", { name: "Older ones" }).click();
  await expect.poll(() => ended.innerText()).toBe("220");
  expect(await page.getByRole("button", { name: "Older ones" }).count()).toBe(0);
  await page.context().close();
});

test("the events can be held still", async () => {
  const page = await open(browser, desk, "#/events");
  await createTicket(desk, "Before", { queue: "nobody" });
  await page.locator(".line", { hasText: "Before" }).waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await createTicket(desk, "Meanwhile", { queue: "nobody" });
  await page.getByText("1 new since it was paused").waitFor();
  expect(await page.locator(".line", { hasText: "Meanwhile" }).count()).toBe(0);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.locator(".line", { hasText: "Meanwhile" }).waitFor();
  await page.context().close();
});

test("hostile text is text in every field", async () => {
  const id = await createTicket(desk, kName, {
    description: `to do ${kHostile}${kWord}`,
    labels: { area: kHostile },
  });
  const page = await open(browser, desk, "#/", kPhone);
  const harmless = async (): Promise<void> => {
    const { harmed, foreign } = await page.evaluate(() => ({
      harmed: "harmed" in window,
      foreign: document.querySelectorAll("main img, main script, main b b").length,
    }));
    expect(harmed).toBe(false);
    expect(foreign).toBe(0);
    await expectSound(page);
  };
  const shows = async (selector: string, text: string): Promise<void> => {
    await expect
      .poll(() => page.locator(selector).evaluateAll((all) => all.map((one) => one.textContent)))
      .toContain(text);
  };
  await shows(".question header .text", kName);
  await shows(".question h3 .text", `asked ${kHostile}${kWord}`);
  await shows(".choices button span > .text", kChoice + kWord);
  await shows(".choices small .text", kHostile);
  await shows(".question .quiet .text", kHostile);
  const details = await page.locator(".question pre").textContent();
  expect(details, "nothing turns the order in which details are read").not.toContain(kRightToLeft);
  expect(JSON.parse(details!)).toEqual({ [kHostile]: `${kHostile}${kWord}`, amount: 7 });
  await harmless();
  await screenshot(page, "hostile-questions-phone");

  await page.goto(`${desk.pageUrl}#/tickets`);
  await shows(".row .text", kName);
  await harmless();

  await page.goto(`${desk.pageUrl}#/tickets/${id}`);
  await shows("h2 .text", kName);
  await shows(".description .text", `to do ${kHostile}${kWord}`);
  await shows(".facts .text", kHostile);
  await shows(".agent_message .text", `said ${kHostile}${kWord}`);
  await shows(".tool_call code .text", kChoice);
  await page.locator(".tool_call summary").click();
  await shows(".tool_call pre .text", `tool ${kHostile}${kWord}`);
  await harmless();
  await screenshot(page, "hostile-ticket-phone");

  await page.getByLabel("Message to the agent").fill(kHostile);
  await page.getByRole("button", { name: "Send" }).click();
  await shows(".user_message .text", kHostile);
  await page.getByLabel("Your answer").fill(kHostile + kWord);
  await page.getByRole("button", { name: "Answer" }).click();
  await shows(".question_answered .text", kHostile + kWord);
  await shows(".agent_complete .text", `did ${kHostile}`);
  await harmless();

  await page.goto(`${desk.pageUrl}#/events`);
  await shows(".line .text", `did ${kHostile}`.replace(/^/, "completed "));
  await harmless();
  expect(pageErrors()).toEqual([]);
  await page.context().close();
});
