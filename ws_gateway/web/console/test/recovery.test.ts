/** What the page does when the gateway or the core goes away, and whom the gateway lets in. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { WebSocket as NodeSocket } from "ws";
import { DeskClient } from "../../client/src/index.js";
import { Desk, until } from "../../client/test/programs.js";
import {
  createTicket,
  isLive,
  open,
  pageErrors,
  screenshot,
  startBrowser,
  startDesk,
} from "./browser.js";
import type { Parts } from "./browser.js";

const kParts: Parts = {
  Asks: [
    { type: "question", key: "q", content: "Go on?", choices: ["yes", "no"] },
    { await: "answer" },
    { type: "complete", summary: "went on" },
  ],
};

let browser: Browser;
let desk: Desk;

beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  desk = await startDesk({ parts: kParts });
});
afterEach(() => desk.end());

/** Something that does not outlive a reload. */
async function mark(page: Page): Promise<void> {
  await page.evaluate(() => Object.assign(window, { marked: true }));
}
async function isMarked(page: Page): Promise<boolean> {
  return page.evaluate(() => "marked" in window);
}
const state = (page: Page, name: string) => page.locator(`.connection[data-state="${name}"]`);

test("the gateway is killed and comes back: the page goes on, and an answer given meanwhile counts", async () => {
  const page = await open(browser, desk);
  await mark(page);
  await createTicket(desk, "Asks");
  await page.getByRole("heading", { name: "Go on?" }).waitFor();
  await desk.gateway.end("SIGKILL");
  await state(page, "waiting").getByText("Connection lost").waitFor();
  await page.getByRole("button", { name: "yes" }).click();
  await page.getByText("Your answer is kept, and sent when the connection is back.").waitFor();
  await state(page, "waiting").getByText("1 to be sent").waitFor();
  await screenshot(page, "connection-lost");
  await desk.gateway.start();
  await page.getByText("Your answer counts: yes").waitFor();
  await isLive(page);
  await page.getByRole("link", { name: "Asks" }).click();
  await page.locator(".agent_complete", { hasText: "went on" }).waitFor();
  expect(await page.locator(".question_answered").count()).toBe(1);
  expect(await isMarked(page)).toBe(true);
  expect(pageErrors()).toEqual([]);
  await page.context().close();
});

test("nobody has to wait for the next try", async () => {
  const page = await open(browser, desk);
  await desk.gateway.end("SIGKILL");
  await state(page, "waiting").waitFor();
  await desk.gateway.start();
  await page
    .getByRole("button", { name: "Try now" })
    .click({ timeout: 1000 })
    .catch(() => {}); // it may have come back by itself meanwhile
  await isLive(page);
  await page.context().close();
});

test("the core is killed: the page says so, and shows what came when it is back", async () => {
  const page = await open(browser, desk, "#/tickets");
  await mark(page);
  await desk.core.end("SIGKILL");
  await page.getByText("The desk's core is away").waitFor();
  await desk.core.start();
  await createTicket(desk, "After the core came back", { queue: "nobody" });
  await page.getByRole("link", { name: "After the core came back" }).waitFor();
  await isLive(page);
  expect(await isMarked(page)).toBe(true);
  await page.context().close();
});

test("a part of a transcript that could not be read is read again", async () => {
  const page = await open(browser, desk);
  let refused = 0;
  await page.route("**/sessions/*?*", async (route) => {
    if (++refused > 1) return route.continue();
    const error = { code: "overloaded", message: "too many reads wait; repeat in a moment" };
    return route.fulfill({ status: 503, json: { error } });
  });
  await createTicket(desk, "Asks");
  await page.getByRole("heading", { name: "Go on?" }).waitFor();
  await page.getByRole("link", { name: "Asks" }).click();
  await page.getByRole("alert").getByText("too many reads wait").waitFor();
  await page.locator(".agent_question", { hasText: "Go on?" }).waitFor();
  await page.getByRole("button", { name: "yes" }).click();
  await page.locator(".agent_complete", { hasText: "went on" }).waitFor();
  expect(await page.locator(".agent_question").count()).toBe(1);
  expect(await page.getByRole("alert").count()).toBe(0);
  expect(pageErrors()).toEqual([]);
  await page.context().close();
});

test("500 clients and three windows leave a gateway that stops, and all are back", async () => {
  const pages = await Promise.all([
    open(browser, desk),
    open(browser, desk, "#/tickets"),
    open(browser, desk, "#/events"),
  ]);
  for (const page of pages) await mark(page);
  /** By client, the close that the drain made; while nothing listens there are more. */
  const closes = new Map<DeskClient, { code: number; at: number }>();
  const seen = new Map<DeskClient, number[]>();
  const clients = Array.from({ length: 500 }, () => {
    const client = new DeskClient({
      url: desk.socketUrl,
      WebSocket: NodeSocket,
      from: "live",
    });
    const sequences: number[] = [];
    seen.set(client, sequences);
    client.on("event", ({ sequence }) => sequences.push(sequence));
    return client.connect();
  });
  const areLive = (): boolean => clients.every((client) => client.state.kind === "live");
  await until(areLive, "500 connections");
  await createTicket(desk, "Before", { queue: "nobody" });
  await until(() => [...seen.values()].every(({ length }) => length === 1), "the first event");
  for (const client of clients) {
    client.on("state", (now) => {
      if (now.kind !== "waiting" || closes.has(client)) return;
      closes.set(client, { code: now.closeCode, at: performance.now() });
    });
  }
  const stopped = performance.now();
  await desk.gateway.end("SIGTERM");
  const ended = performance.now();
  await desk.gateway.start();
  await createTicket(desk, "After", { queue: "nobody" });
  await until(areLive, "500 connections again");
  await until(() => [...seen.values()].every(({ length }) => length === 2), "the second event");
  const back = performance.now();
  for (const sequences of seen.values()) expect(sequences).toEqual([1, 2]);
  expect([...closes.values()].filter(({ code }) => code === 1012).length).toBe(500);
  for (const page of pages) await isLive(page);
  await pages[1]!.getByRole("link", { name: "After" }).waitFor();
  const rows = await pages[2]!.locator(".line .quiet").allInnerTexts();
  expect(rows).toEqual(["2", "1"]);
  for (const page of pages) expect(await isMarked(page)).toBe(true);
  const lastClose = Math.max(...[...closes.values()].map(({ at }) => at));
  const ms = (time: number): string => `${Math.round(time - stopped)} ms`;
  console.log(
    `500 clients, 3 windows: last close after ${ms(lastClose)}, ` +
      `gateway gone after ${ms(ended)}, all back after ${ms(back)}`,
  );
  for (const client of clients) client.close();
  for (const page of pages) await page.context().close();
});

test("a page from elsewhere gets neither a connection nor a ticket", async () => {
  await desk.end();
  desk = await startDesk({ gateway: ["--allowed_origins=http://127.0.0.1:1"] });
  const server = createServer((_request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end("<title>elsewhere</title>");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const page = await (await browser.newContext()).newPage();
  /** What a script of that page can do with the gateway. */
  const attack = (socketUrl: string, createUrl: string): Promise<string[]> =>
    page.evaluate(
      async ([socketUrl, createUrl]) => {
        const viaSocket = (protocols: string[]): Promise<string> =>
          new Promise((resolve) => {
            const socket = new WebSocket(socketUrl, protocols);
            socket.onopen = () => resolve("opened");
            socket.onclose = ({ code }) => resolve(`closed ${code}`);
          });
        const viaHttp = async (type: string): Promise<string> => {
          try {
            const request = {
              method: "POST",
              headers: { "Content-Type": type },
              body: '{"ticket_name":"Forged"}',
            };
            return `answered ${(await fetch(createUrl, request)).status}`;
          } catch {
            return "refused";
          }
        };
        /** A frame without an origin of its own: it says `null`. */
        const viaNullOrigin = (): Promise<string> =>
          new Promise((resolve) => {
            const frame = document.createElement("iframe");
            frame.setAttribute("sandbox", "allow-scripts");
            frame.srcdoc = `<script>
              const socket = new WebSocket(${JSON.stringify(socketUrl)}, ["agentdesk.v1"]);
              socket.onopen = () => parent.postMessage("opened", "*");
              socket.onclose = ({ code }) => parent.postMessage("closed " + code, "*");
            </script>`;
            window.onmessage = ({ data }) => resolve(String(data));
            document.body.append(frame);
          });
        return [
          await viaSocket(["agentdesk.v1"]),
          await viaSocket([]),
          await viaHttp("application/json"),
          await viaHttp("text/plain"),
          await viaNullOrigin(),
        ];
      },
      [socketUrl, createUrl] as const,
    );
  // Another port, and a name that the browser takes to the same machine, are other origins.
  for (const host of ["127.0.0.1", "elsewhere.localhost"]) {
    await page.goto(`http://${host}:${port}/`);
    expect(await attack(desk.socketUrl, `${desk.pageUrl}tickets/create`), host).toEqual([
      "closed 1006",
      "closed 1006",
      "refused",
      "refused",
      "closed 1006",
    ]);
  }
  expect((await desk.call<{ tickets: object[] }>("GET", "/tickets")).tickets).toEqual([]);
  const own = await open(browser, desk); // the gateway's own page may
  await own.context().close();
  await page.context().close();
  server.close();
});
