/** The page that a gateway has in itself, for where the other one was not built. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { kBin, Program } from "../../client/test/programs.js";
import type { Desk } from "../../client/test/programs.js";
import { createTicket, startBrowser, startDesk } from "./browser.js";

let browser: Browser;
let folder: string;
let desk: Desk;
let gateway: Program;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "agentdesk-plain-page-"));
  // A gateway looks for the built page beside itself.
  copyFileSync(join(kBin, "agentdesk-gateway"), join(folder, "agentdesk-gateway"));
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(async () => {
  await gateway.end();
  await desk.end();
});

async function startGateway(...flags: string[]): Promise<void> {
  const program = relative(kBin, join(folder, "agentdesk-gateway"));
  gateway = new Program(program, () => [`--core=${desk.core.address}`, ...flags]);
  await gateway.start();
}
async function newPage(): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  return page;
}
const state = (page: Page, text: string) => page.locator("#state", { hasText: text });

test("every open question is shown, however many there are", async () => {
  const keys = Array.from({ length: 70 }, (_, index) => `${index}`);
  const questions = keys.map((key) => ({ type: "question", key, content: `Question ${key}?` }));
  desk = await startDesk({ parts: { "*": [...questions, { await: "answer" }] } });
  await startGateway();
  for (const name of ["One", "Two", "Three"]) await createTicket(desk, name);
  const page = await newPage();
  await page.goto(`http://${gateway.address}/`);
  await page.locator(".question").nth(209).waitFor();
  await page.reload();
  await state(page, "connected").waitFor();
  expect(await page.locator(".question").count()).toBe(210);
});

test("a close says why, and whether to come back", async () => {
  desk = await startDesk({});
  await startGateway();
  const page = await newPage();
  const closes: [number, string][] = [
    [4503, "this user may not"],
    [4429, "too many, for now"],
  ];
  await page.routeWebSocket(/\/ws$/, async (socket) => {
    const [code, reason] = closes.pop()!;
    await socket.close({ code, reason });
  });
  await page.goto(`http://${gateway.address}/`);
  await state(page, "too many, for now; trying again").waitFor();
  await state(page, "this user may not").waitFor();
  expect(await page.locator("#state").textContent()).toBe("this user may not");
});

test("where a token is wanted it says that it has no form for one", async () => {
  const file = (name: string) => join(folder, name);
  const sign = [`--signing_key=${file("signing.pem")}`];
  const token = (...flags: string[]) =>
    execFileSync(join(kBin, "agentdesk"), ["token", ...flags, ...sign], { encoding: "utf8" });
  token("key", "--alg=ES256", `--keys=${file("keys.json")}`);
  const issuer = { issuer: "i", audiences: ["a"], algorithms: ["ES256"], keys_file: "keys.json" };
  writeFileSync(file("auth.json"), JSON.stringify({ issuers: [issuer], gateways: ["gateway"] }));
  writeFileSync(
    file("token"),
    token("create", "--issuer=i", "--audience=a", "--subject=gateway", "--scope=events:read"),
  );
  const auth = [`--auth_config=${file("auth.json")}`];
  const flags = [...auth, `--core_token_file=${file("token")}`];
  desk = await startDesk({ core: auth, gateway: flags });
  await startGateway(...flags);
  const page = await newPage();
  await page.goto(`http://${gateway.address}/`);
  await state(page, "sign-in needs the built page").waitFor();
  expect(await page.locator("#state").textContent()).not.toContain("trying again");
});
