/** A desk that wants to know who its users are, in a real browser. */
import { execFileSync } from "node:child_process";
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
