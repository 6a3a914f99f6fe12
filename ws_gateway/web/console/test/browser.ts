/** Debian's Chromium, a desk with agents that play given parts, and what tests ask of a page. */
import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import AxeSource from "axe-core";
import { chromium } from "playwright-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";
import { Desk, until } from "../../client/test/programs.js";

const kHere = dirname(fileURLToPath(import.meta.url));
const kBuild = join(kHere, "../../../../build");
const kScreenshots = join(kBuild, "web/screenshots");

export const kPhone: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  isMobile: true,
  hasTouch: true,
};

export async function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env["AGENTDESK_CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

export interface Line {
  readonly [field: string]: unknown;
}
/** What each agent says, by its ticket's name; `*` for any other. */
export type Parts = Readonly<Record<string, readonly Line[]>>;

interface DeskOptions {
  readonly parts?: Parts;
  readonly core?: readonly string[];
  readonly gateway?: readonly string[];
}

/** A desk whose gateway serves the page that was built, and a worker whose agents play `parts`. */
export async function startDesk({ parts, core = [], gateway = [] }: DeskOptions): Promise<Desk> {
  const web = `--web_root=${join(kBuild, "web/console")}`;
  const desk = await new Desk(core, [web, ...gateway]).start();
  if (parts) {
    const file = join(desk.folder, "parts.json");
    writeFileSync(file, JSON.stringify(parts));
    const agent = `'${process.execPath}' '${join(kHere, "agent.mjs")}' '${file}'`;
    await desk.work(agent, "--concurrency=8", "--name=worker-1");
  }
  return desk;
}

export async function createTicket(desk: Desk, name: string, more: object = {}): Promise<string> {
  const body = { ticket_name: name, request_id: randomUUID(), ...more };
  return (await desk.call<{ ticket_id: string }>("POST", "/tickets/create", body)).ticket_id;
}

export async function hasStatus(desk: Desk, id: string, status: string): Promise<void> {
  await until(
    async () => (await desk.call<{ status: string }>("GET", `/tickets/${id}`)).status === status,
    `${id} ${status}`,
  );
}

/** Opens a view in a window of its own. */
export async function open(
  browser: Browser,
  desk: Desk,
  view = "#/",
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => trouble.push(String(error.stack ?? error)));
  page.on("console", (message) => {
    // What cannot be had is told on the console by the browser itself.
    const text = `${message.text()} (${message.location().url})`;
    if (message.type() === "error" && !/ERR_|WebSocket|status of (503|401)/.test(text)) {
      trouble.push(text);
    }
  });
  await page.goto(`${desk.pageUrl}${view}`);
  await isLive(page);
  return page;
}

const trouble: string[] = [];
/** Errors of all pages since this was asked last. */
export function pageErrors(): string[] {
  return trouble.splice(0);
}

export async function isLive(page: Page): Promise<void> {
  await page.locator('.connection[data-state="live"]').waitFor();
}

export async function screenshot(page: Page, name: string): Promise<void> {
  mkdirSync(kScreenshots, { recursive: true });
  await page.screenshot({ path: join(kScreenshots, `${name}.png`) });
}

/** No sideways scrolling, and nothing that axe takes for serious. */
export async function expectSound(page: Page): Promise<void> {
  const { width, content } = await page.evaluate(() => ({
    width: document.documentElement.clientWidth,
    content: document.documentElement.scrollWidth,
  }));
  expect(content, "the page is no wider than the window").toBeLessThanOrEqual(width);
  await page.evaluate(AxeSource.source);
  const found = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: typeof AxeSource };
    const { violations } = await axe.run(document);
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(" ")}`);
  });
  expect(found).toEqual([]);
}
