/** A busy desk in one tab: the page must stay one that people can use. */
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Desk } from "../../client/test/programs.js";
import { until } from "../../client/test/programs.js";
import { createTicket, open, pageErrors, screenshot, startBrowser, startDesk } from "./browser.js";

/** What a person would call frozen, on the slowest machine that runs this. */
const kFrozenMs = 3000;

let browser: Browser;
let desk: Desk;

beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(() => browser?.close());
afterEach(() => desk.end());

interface LongTasks {
  readonly count: number;
  readonly longest: number;
  readonly total: number;
}

/** Has the browser note every task that keeps the page from answering for 50 ms. */
async function watchLongTasks(page: Page): Promise<void> {
  await page.evaluate(() => {
    const tasks: number[] = [];
    Object.assign(window, { tasks });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) tasks.push(duration);
    }).observe({ type: "longtask", buffered: true });
  });
}
async function longTasks(page: Page): Promise<LongTasks> {
  const tasks = await page.evaluate(() =>
    (window as unknown as { tasks: number[] }).tasks.splice(0),
  );
  const total = tasks.reduce((sum, one) => sum + one, 0);
  return { count: tasks.length, longest: Math.max(0, ...tasks), total };
}
function words({ count, longest, total }: LongTasks): string {
  return `${count} long tasks, the longest ${longest} ms, ${total} ms in all`;
}

test("a tab that follows 1,000 events a second stays responsive", async () => {
  const kEvents = 20_000;
  const burst = Array.from({ length: 20 }, (_, index) => ({
    type: "message",
    content: `line ${index}: ${"work ".repeat(20)}`,
  }));
  desk = await startDesk({
    parts: {
      Talks: [
        { repeat: burst, times: kEvents / burst.length, pause_ms: 15 },
        { type: "complete", summary: "said all" },
      ],
    },
  });
  const page = await open(browser, desk, "#/events");
  await watchLongTasks(page);
  const id = await createTicket(desk, "Talks");
  const head = async (): Promise<number> =>
    Number((await page.locator(".line .quiet").first().innerText()).replace(/\D/g, ""));
  await page.locator(".line").first().waitFor();
  const begin = performance.now();
  const from = await head();
  const views: string[] = [];
  for (const [name, path, events] of [
    ["events", "#/events", kEvents * 0.3],
    ["transcript", `#/tickets/${id}`, kEvents * 0.6],
    ["tickets", "#/tickets", kEvents * 0.9],
  ] as const) {
    await page.goto(`${desk.pageUrl}${path}`);
    await until(async () => {
      const { sequence } = await desk.call<{ sequence: number }>("GET", "/tickets?page_size=1");
      return sequence >= events;
    }, `${events} events`);
    // It answers a press while they come.
    const pressed = performance.now();
    await page.getByRole("link", { name: "New ticket" }).click();
    await page.getByLabel("What is to be done?").waitFor();
    const answered = Math.round(performance.now() - pressed);
    const tasks = await longTasks(page);
    views.push(`${name}: ${words(tasks)}; a press was answered after ${answered} ms`);
    expect(tasks.longest).toBeLessThan(kFrozenMs);
  }
  await page.goto(`${desk.pageUrl}#/tickets/${id}`);
  await page.getByText("said all").waitFor();
  await expect
    .poll(() => page.locator("#transcript-title .count").innerText())
    .toBe(`${kEvents + 3}`);
  await page.goto(`${desk.pageUrl}#/events`);
  await expect.poll(head).toBe(kEvents + 3);
  const seconds = (performance.now() - begin) / 1000;
  console.log(`${Math.round((kEvents - from) / seconds)} events a second\n${views.join("\n")}`);
  expect(pageErrors()).toEqual([]);
  await page.context().close();
});

test("ten thousand tickets do not slow the page", async () => {
  desk = await startDesk({});
  const names = Array.from({ length: 10_000 }, (_, index) => `Ticket number ${index}`);
  const create = async (): Promise<void> => {
    for (let name = names.pop(); name; name = names.pop()) await createTicket(desk, name);
  };
  await Promise.all(Array.from({ length: 32 }, create));
  const page = await open(browser, desk, "#/tickets");
  await watchLongTasks(page);
  const count = page.locator(".column .count").first();
  await expect.poll(() => count.innerText()).toBe("10000");
  const opened = await longTasks(page);
  const queued = page.getByRole("group", { name: "Queued tickets" });
  await queued.evaluate((list) => list.scrollTo(0, list.scrollHeight));
  await page
    .getByRole("link", { name: /Ticket number/ })
    .first()
    .waitFor();
  expect(await page.locator(".row").count(), "only what is in sight").toBeLessThan(100);
  await screenshot(page, "ten-thousand-tickets");
  await page.getByLabel("Search tickets").pressSequentially("number 4711");
  await page.getByRole("link", { name: "Ticket number 4711" }).waitFor();
  expect(await page.locator(".row").count()).toBe(1);
  await createTicket(desk, "Ticket number 4711 again");
  await page.getByRole("link", { name: "Ticket number 4711 again" }).waitFor();
  const used = await longTasks(page);
  console.log(`10,000 tickets: opened with ${words(opened)}; searched with ${words(used)}`);
  expect(Math.max(opened.longest, used.longest)).toBeLessThan(kFrozenMs);
  expect(pageErrors()).toEqual([]);
  await page.context().close();
});
