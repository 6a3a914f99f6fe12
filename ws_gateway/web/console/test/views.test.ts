/** Each view as people see it: on a desk, on a phone, in the dark; and sound for screen readers. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Desk } from "../../client/test/programs.js";
import { until } from "../../client/test/programs.js";
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

const kParts: Parts = {
  "Upgrade the billing service": [
    {
      type: "message",
      content: "I have read the changelog of 4.0; two calls that we use are gone.",
    },
    {
      type: "tool_call",
      tool_name: "grep",
      title: "old calls in src/",
      content: "src/invoice.py:41: client.charge_now(…)\nsrc/refund.py:17: client.reverse(…)",
      output_type: "text",
    },
    { type: "message", content: "Both can be replaced without a change for customers." },
    {
      type: "question",
      key: "deploy",
      content: "May I deploy version 4.0 to production now?",
      choices: [
        { value: "yes", label: "Deploy", description: "about two minutes, no downtime" },
        { value: "tonight", label: "Tonight at 22:00" },
        { value: "no", label: "Do not deploy" },
      ],
      details: { image: "billing:4.0.2", replicas: 6, budget: 0, build: 1234567 },
      expires_in_s: 1740,
      default: "no",
    },
    { await: "answer" },
    { type: "complete", summary: "Version 4.0 is deployed.", result: { replicas: 6 } },
  ],
  "Write to the customers of the outage": [
    { type: "message", content: "A draft of the letter is ready." },
    {
      type: "question",
      key: "tone",
      content: "In which tone shall the letter be, and who signs it?",
      free_text: true,
    },
    { await: "answer" },
    { type: "complete", summary: "Sent." },
  ],
  "Clean up old branches": [
    {
      type: "question",
      key: "which",
      content: "Which of these may go?",
      choices: ["feature/login-2019", "spike/graphql", "release/3.1"],
      multiple: true,
      expires_in_s: 7200,
    },
    { await: "answer" },
    { type: "complete", summary: "Gone." },
  ],
  "Convert the archive": [
    { type: "message", content: "Converting 12,000 files." },
    { await: "answer" },
  ],
  "Measure the cold start": [{ type: "complete", summary: "840 ms, of which 610 ms are imports." }],
  "Reindex the search": [{ type: "fail", error: "disk quota exceeded", retryable: false }],
};

let browser: Browser;
let desk: Desk;
const ids = new Map<string, string>();

async function create(name: string, more: object = {}): Promise<void> {
  ids.set(name, await createTicket(desk, name, more));
}

beforeAll(async () => {
  browser = await startBrowser();
  desk = await startDesk({ parts: kParts });
  await create("Measure the cold start");
  await create("Reindex the search");
  await create("Write to the customers of the outage", {
    labels: { team: "support" },
    description: "The outage of Tuesday, 09:10 to 09:40. Say what happened and what we changed.",
  });
  await create("Clean up old branches");
  await create("Convert the archive");
  await create("Upgrade the billing service", {
    description: "From 3.9 to 4.0. Ask before anything reaches production.",
    labels: { team: "payments", service: "billing" },
    priority: 8,
  });
  for (const name of ["Rotate the signing keys", "Translate the manual", "Try the new linter"]) {
    await create(name, { queue: "nightly" });
  }
  await until(
    async () =>
      (await desk.call<{ questions: object[] }>("GET", "/questions?state=open")).questions
        .length === 3,
    "three questions",
  );
  await hasStatus(desk, ids.get("Measure the cold start")!, "completed");
  await hasStatus(desk, ids.get("Reindex the search")!, "failed");
});

afterAll(async () => {
  await browser?.close();
  await desk?.end();
});

interface View {
  readonly name: string;
  readonly path: () => string;
  readonly ready: (page: Page) => Promise<void>;
}
const seen = (text: string) => (page: Page) => page.getByText(text).first().waitFor();
const kViews: readonly View[] = [
  { name: "questions", path: () => "#/", ready: seen("May I deploy version 4.0") },
  { name: "tickets", path: () => "#/tickets", ready: seen("Reindex the search") },
  {
    name: "ticket",
    path: () => `#/tickets/${ids.get("Upgrade the billing service")}`,
    ready: seen("old calls in src/"),
  },
  { name: "new", path: () => "#/new", ready: seen("What is to be done?") },
  { name: "events", path: () => "#/events", ready: seen("user message") },
  { name: "health", path: () => "#/health", ready: seen("ready") },
];
const kWindows = {
  desk: {},
  dark: { colorScheme: "dark" },
  phone: kPhone,
} as const;

test.each(Object.entries(kWindows))("all views are sound: %s", async (name, options) => {
  const page = await open(browser, desk, "#/", options);
  const elsewhere: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(desk.pageUrl)) elsewhere.push(request.url());
  });
  const { session_id } = await desk.call<{ session_id: string }>(
    "GET",
    `/tickets/${ids.get("Upgrade the billing service")}`,
  );
  for (const view of kViews) {
    await page.goto(`${desk.pageUrl}${view.path()}`);
    if (view.name === "events") {
      // What happens while it is looked at.
      await desk.call("POST", `/sessions/${session_id}/messages`, {
        content: "Mind the invoices.",
      });
    }
    await view.ready(page);
    await expectSound(page);
    await screenshot(page, `${view.name}-${name}`);
  }
  expect(elsewhere, "nothing comes from outside").toEqual([]);
  expect(pageErrors()).toEqual([]);
  await page.context().close();
});

test("health counts the browsers that are connected", async () => {
  const page = await open(browser, desk, "#/health");
  const chart = page.locator("figure", { hasText: "Connected browsers" });
  const questions = page.locator("figure", { hasText: "Open questions" });
  await expect.poll(() => questions.locator("b").innerText()).toBe("3");
  await expect.poll(() => chart.locator("b").innerText()).toMatch(/^[1-9]/);
  const before = Number(await chart.locator("b").innerText());
  const other = await open(browser, desk);
  await expect.poll(() => chart.locator("b").innerText()).toBe(String(before + 1));
  await other.context().close();
  await expect.poll(() => chart.locator("b").innerText()).toBe(String(before));
  await page.context().close();
});

test("health says so where a proxy keeps the gateway's figures to itself", async () => {
  const context = await browser.newContext();
  await context.route("**/metrics", (route) => route.fulfill({ status: 404 }));
  const page = await context.newPage();
  await page.goto(`${desk.pageUrl}#/health`);
  const chart = page.locator("figure", { hasText: "Connected browsers" });
  await expect.poll(() => chart.locator("b").innerText()).toBe("not reported");
  await context.close();
});

test("the page is kept by what it holds, and may load nothing but itself", async () => {
  const answer = await fetch(desk.pageUrl);
  const html = await answer.text();
  expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(answer.headers.get("cache-control")).toBe("no-cache");
  const policy = answer.headers.get("content-security-policy")!;
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain("unsafe");
  const etag = answer.headers.get("etag")!;
  const again = await fetch(desk.pageUrl, { headers: { "If-None-Match": etag } });
  expect(again.status).toBe(304);
  const assets = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path!);
  expect(assets.length).toBeGreaterThanOrEqual(2);
  for (const path of assets) {
    const asset = await fetch(`${desk.pageUrl}${path.slice(1)}`);
    expect(path).toMatch(/-[\w-]{8}\.(js|css)$/);
    expect(asset.headers.get("content-type")).toMatch(/^text\/(javascript|css)/);
    expect(asset.headers.get("cache-control")).toContain("immutable");
  }
});
