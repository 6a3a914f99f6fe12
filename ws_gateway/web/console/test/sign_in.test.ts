/** A desk that wants to know who its users are, in a real browser. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { kBin } from "../../client/test/programs.js";
import type { Desk } from "../../client/test/programs.js";
import { expectSound, isLive, pageErrors, screenshot, startBrowser, startDesk } from "./browser.js";

const kScopes = ["tickets:read", "tickets:write", "sessions:read", "answers:write", "events:read"];

let browser: Browser;
let folder: string;
let desk: Desk;

function agentdesk(...flags: string[]): string {
  return execFileSync(join(kBin, "agentdesk"), ["token", ...flags], { encoding: "utf8" }).trim();
}
function token(subject: string, expiresIn = "1h", scopes = kScopes): string {
  return agentdesk(
    "create",
    `--signing_key=${join(folder, "signing.pem")}`,
    "--issuer=i",
    "--audience=a",
    `--subject=${subject}`,
    `--expires_in=${expiresIn}`,
    ...scopes.map((scope) => `--scope=${scope}`),
  );
}

beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(() => browser?.close());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "agentdesk-sign-in-"));
  const keys = join(folder, "keys.json");
  agentdesk("key", "--alg=ES256", `--signing_key=${join(folder, "signing.pem")}`, `--keys=${keys}`);
  const issuer = { issuer: "i", audiences: ["a"], algorithms: ["ES256"], keys_file: keys };
  const auth = join(folder, "auth.json");
  writeFileSync(
    auth,
    JSON.stringify({ issuers: [issuer], gateways: ["gateway"], clock_skew_s: 0 }),
  );
  writeFileSync(join(folder, "gateway.token"), token("gateway"));
  desk = await startDesk({
    core: [`--auth_config=${auth}`],
    gateway: [`--auth_config=${auth}`, `--core_token_file=${join(folder, "gateway.token")}`],
  });
});
afterEach(async () => {
  await desk.end();
  rmSync(folder, { recursive: true, force: true });
});

async function openPage(): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => expect.fail(String(error)));
  await page.goto(desk.pageUrl);
  await form(page).waitFor();
  return page;
}
const form = (page: Page) => page.getByRole("heading", { name: "Sign in" });
async function signIn(page: Page, text: string): Promise<void> {
  await page.getByLabel("Token").fill(text);
  await page.getByRole("button", { name: "Sign in" }).click();
}

test("nothing is shown before a token is, and what is wrong with one is said", async () => {
  const page = await openPage();
  await page.locator(".connection", { hasText: "You are not signed in" }).waitFor();
  await expectSound(page);
  await screenshot(page, "sign-in");
  for (const [text, words] of [
    ["nonsense", "token"],
    [token("alice", "1h").slice(0, -4), "signature"],
    ["ä ö", ""],
  ] as const) {
    await signIn(page, text);
    await page.getByRole("alert").filter({ hasText: words }).waitFor();
  }
  await signIn(page, ` ${token("alice")}\n`);
  await isLive(page);
  await page.locator(".connection", { hasText: "Live, as alice" }).waitFor();
  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: "Strict" });
  expect(await page.evaluate(() => document.cookie)).toBe("");

  await page.getByRole("link", { name: "New ticket" }).click();
  await page.getByLabel("What is to be done?").fill("Mine");
  await page.getByRole("button", { name: "Create ticket" }).click();
  await page.getByRole("heading", { name: "Mine" }).waitFor();
  await page.reload();
  await isLive(page);
  await page.getByRole("heading", { name: "Mine" }).waitFor();

  await page.getByRole("button", { name: "Sign out" }).click();
  await form(page).waitFor();
  expect(await page.context().cookies()).toEqual([]);
  expect(await page.getByText("Mine").count()).toBe(0);
  expect(pageErrors()).toEqual([]);
  await page.context().close();
});

test("a token that runs out asks for another, and the page goes on where it was", async () => {
  const page = await openPage();
  await signIn(page, token("alice", "5s"));
  await isLive(page);
  await page.evaluate(() => Object.assign(window, { marked: true }));
  await form(page).waitFor();
  await signIn(page, token("alice"));
  await isLive(page);
  expect(await page.evaluate(() => "marked" in window)).toBe(true);
  await page.context().close();
});

test("a user who may not follow is told so, and may be somebody else", async () => {
  const page = await openPage();
  await signIn(page, token("bob", "1h", ["tickets:read"]));
  await page.locator('.connection[data-state="closed"]', { hasText: "events:read" }).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await form(page).waitFor();
  await signIn(page, token("alice"));
  await isLive(page);
  await page.context().close();
});

/** What a script of the page gets who opens a socket: who it is there, or how it ended. */
function viaSocket(page: Page, protocols: string[]): Promise<string> {
  return page.evaluate(
    ([url, protocols]) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(url, protocols);
        socket.onmessage = ({ data }) => {
          resolve(`is ${(JSON.parse(String(data)) as { user: string }).user}`);
          socket.close();
        };
        socket.onclose = ({ code }) => resolve(`closed ${code}`);
      }),
    [desk.socketUrl, protocols] as const,
  );
}
/** The same over HTTP, with the cookies that the browser has for the gateway. */
function viaHttp(page: Page, type: string): Promise<string> {
  return page.evaluate(
    async ([url, type]) => {
      try {
        const answer = await fetch(url, {
          method: "POST",
          credentials: "include",
          headers: { "Content-Type": type },
          body: '{"ticket_name":"Forged"}',
        });
        return `answered ${answer.status}`;
      } catch {
        return "refused";
      }
    },
    [`${desk.pageUrl}tickets/create`, type] as const,
  );
}

test("a page of another origin opens no socket with the cookie of who is signed in", async () => {
  const cookies: (string | undefined)[] = [];
  const server = createServer(({ headers }, response) => {
    cookies.push(headers.cookie);
    response.setHeader("Content-Type", "text/html");
    response.end("<title>elsewhere</title>");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  const own = await openPage();
  await signIn(own, token("alice"));
  await isLive(own);
  expect(await viaSocket(own, ["agentdesk.v1"])).toBe("is alice");

  // Another port of the same host is another origin of the same site: there the browser sends the
  // cookie, whatever SameSite says, and only the gateway's look at the origin keeps the page out.
  const other = await own.context().newPage();
  await other.goto(`http://127.0.0.1:${port}/`);
  expect(cookies[0]).toMatch(/^agentdesk_token=/);
  for (const protocols of [["agentdesk.v1"], []]) {
    expect(await viaSocket(other, protocols)).toBe("closed 1006");
  }
  for (const type of ["application/json", "text/plain"]) {
    expect(await viaHttp(other, type)).toBe("refused");
  }
  // That origin may open sockets, without the cookie: it is the cookie that does not count.
  const stranger = await (await browser.newContext()).newPage();
  await stranger.goto(`http://127.0.0.1:${port}/`);
  expect(await viaSocket(stranger, ["agentdesk.v1"])).toBe("closed 4401");

  // Another site does not even have the cookie sent.
  await other.goto(`http://elsewhere.localhost:${port}/`);
  expect(await viaSocket(other, ["agentdesk.v1"])).toBe("closed 1006");
  expect(await viaHttp(other, "text/plain")).toBe("refused");

  expect(await viaSocket(own, ["agentdesk.v1"])).toBe("is alice");
  const tickets = await own.evaluate(async () => (await fetch("/tickets")).json() as unknown);
  expect(tickets).toMatchObject({ tickets: [] });
  await stranger.context().close();
  await own.context().close();
  server.close();
});
