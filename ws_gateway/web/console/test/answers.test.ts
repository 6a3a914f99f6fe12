/** Questions in the browser: who wins, what is too late, and the keyboard alone. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Desk } from "../../client/test/programs.js";
import {
  createTicket,
  expectSound,
  hasStatus,
  open,
  pageErrors,
  screenshot,
  startBrowser,
  startDesk,
} from "./browser.js";
import type { Parts } from "./browser.js";

const kDone = [{ await: "answer" }, { type: "complete", summary: "done" }];
const kParts: Parts = {
  Race: [
    { type: "question", key: "q", content: "Red or blue?", choices: ["red", "blue"] },
    ...kDone,
  ],
  Choose: [
    {
      type: "question",
      key: "q",
      content: "Press one",
      choices: ["this", "that"],
      expires_in_s: 300,
    },
    ...kDone,
  ],
  Tick: [
    {
      type: "question",
      key: "q",
      content: "Tick some",
      choices: ["a", "b", "c"],
      multiple: true,
      expires_in_s: 600,
    },
    ...kDone,
  ],
  Write: [{ type: "question", key: "q", content: "Write something", expires_in_s: 900 }, ...kDone],
  Hurry: [
    {
      type: "question",
      key: "q",
      content: "Quick: yes or no?",
      choices: ["yes", "no"],
      expires_in_s: 8,
      default: "no",
    },
    { await: "expired" },
    { type: "complete", summary: "went on without" },
  ],
  Quiet: [{ type: "complete", summary: "nothing to ask" }],
  Secret: [{ type: "question", key: "q", content: "The password?", sensitive: true }, ...kDone],
};

let browser: Browser;
let desk: Desk;

beforeAll(async () => {
  browser = await startBrowser();
  desk = await startDesk({ parts: kParts, core: ["--expiry_hold=0s"] });
});

afterAll(async () => {
  await browser?.close();
  await desk?.end();
});

/** The label by which others know this window. */
async function guest(page: Page): Promise<string> {
  const said = await page.locator(".connection").innerText();
  return /guest-[0-9a-f]{4}/.exec(said)![0];
}

function card(page: Page, content: string) {
  return page.locator("article", { has: page.getByRole("heading", { name: content }) });
}

test("of two windows that answer at the same time one wins, and the other is told who", async () => {
  const [one, two] = [await open(browser, desk), await open(browser, desk)];
  await createTicket(desk, "Race");
  const [red, blue] = await Promise.all([
    one.getByRole("button", { name: "red" }).elementHandle(),
    two.getByRole("button", { name: "blue" }).elementHandle(),
  ]);
  const at = Date.now() + 500;
  const press = (button: typeof red): Promise<void> =>
    button!.evaluate(
      (element, at) =>
        new Promise<void>((resolve) =>
          setTimeout(() => {
            (element as HTMLElement).click();
            resolve();
          }, at - Date.now()),
        ),
      at,
    );
  await Promise.all([press(red), press(blue)]);
  const fates = await Promise.all(
    [one, two].map((page) =>
      page.locator(".fate:not(:empty)", { hasNotText: "Sending" }).innerText(),
    ),
  );
  const first = fates[0]!.startsWith("Your answer counts") ? 0 : 1;
  const [winner, loser] = first === 0 ? [one, two] : [two, one];
  const answer = first === 0 ? "red" : "blue";
  expect(fates[first]).toBe(`Your answer counts: ${answer}`);
  expect(fates[1 - first]).toBe(`${await guest(winner)} was faster: ${answer}`);
  await screenshot(loser, "too-late");
  await expectSound(loser);
  await loser.getByRole("button", { name: "Done" }).click();
  await loser.getByText("No agent waits for an answer.").waitFor();
  expect(pageErrors()).toEqual([]);
  await one.context().close();
  await two.context().close();
});

test("the time runs out: the question goes, and a press that was under way is told so", async () => {
  const page = await open(browser, desk);
  const id = await createTicket(desk, "Hurry");
  const yes = await card(page, "Quick").getByRole("button", { name: "yes" }).elementHandle();
  await expect.poll(() => page.title()).toBe("(1) AgentDesk");
  expect(await card(page, "Quick").getByRole("timer").innerText()).toMatch(
    /^\d s left$|^time is up$/,
  );
  await hasStatus(desk, id, "completed");
  await page.getByText("No agent waits for an answer.").waitFor();
  await expect.poll(() => page.title()).toBe("AgentDesk");
  await yes!.evaluate((element) => (element as HTMLElement).click());
  await page.getByText("Too late: the time was up.").waitFor();
  await page.goto(`${desk.pageUrl}#/tickets/${id}`);
  await page.getByText("The time for an answer was up; the agent goes on with no").waitFor();
  expect(pageErrors()).toEqual([]);
  await page.context().close();
});

test("the keyboard alone suffices", async () => {
  const page = await open(browser, desk);
  for (const name of ["Choose", "Tick", "Write"]) await createTicket(desk, name);
  for (const content of ["Press one", "Tick some", "Write something"]) {
    await card(page, content).waitFor();
  }
  const focused = (): Promise<string> =>
    page.evaluate(() => {
      const element = document.activeElement as HTMLElement | null;
      return element?.innerText?.trim() || element?.getAttribute("aria-label") || element?.id || "";
    });
  const tabTo = async (name: string): Promise<void> => {
    const passed: string[] = [];
    while ((await focused()) !== name) {
      passed.push(await focused());
      expect(passed.length, `no way to ${name}: ${passed.join(" > ")}`).toBeLessThan(30);
      await page.keyboard.press("Tab");
    }
  };
  await page.keyboard.press("Tab");
  expect(await focused()).toBe("Skip to content");
  await page.keyboard.press("Enter");
  await tabTo("that");
  await page.keyboard.press("Enter");
  await page.getByText("Your answer counts: that").waitFor();
  await expect.poll(focused).toBe("Done");
  await page.keyboard.press("Enter");
  // The next question has the keyboard at once: its first control is a box.
  await expect
    .poll(() => page.evaluate(() => (document.activeElement as HTMLInputElement).type))
    .toBe("checkbox");
  await page.keyboard.press("Space");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  await tabTo("Answer");
  await page.keyboard.press("Enter");
  await page.getByText("Your answer counts: a, c").waitFor();
  await expect.poll(focused).toBe("Done");
  await page.keyboard.press("Enter");
  await expect.poll(focused).toBe("Your answer");
  await page.keyboard.type("so be it");
  await page.keyboard.press("Enter");
  await page.getByText("Your answer counts: so be it").waitFor();
  await page.goto(`${desk.pageUrl}#/new`);
  await expect
    .poll(() => page.evaluate(() => document.activeElement!.getAttribute("name")))
    .toBe("ticket_name");
  await page.keyboard.type("Quiet");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Quiet" }).waitFor();
  expect(pageErrors()).toEqual([]);
  await page.context().close();
});

test("a secret is shown nowhere, not even to who gave it", async () => {
  const page = await open(browser, desk);
  await createTicket(desk, "Secret");
  const question = card(page, "The password?");
  await question.getByRole("textbox").fill("hunter2");
  await question.getByRole("button", { name: "Answer" }).click();
  await page.getByText("Your answer counts", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Secret" }).click();
  await page.getByText("(kept from view)").waitFor();
  expect(await page.content()).not.toContain("hunter2");
  await page.context().close();
});

test("who looks elsewhere is called: by the title, and by a notification where that is allowed", async () => {
  const page = await open(browser, desk);
  await page.evaluate(() => {
    const shown: string[] = [];
    class Recorded {
      static permission = "granted";
      constructor(title: string, { body }: { body: string }) {
        shown.push(`${title}: ${body}`);
      }
    }
    Object.assign(window, { Notification: Recorded, shown });
    Object.defineProperty(document, "hidden", { value: true });
  });
  await createTicket(desk, "Race");
  await expect
    .poll(() => page.evaluate(() => (window as unknown as { shown: string[] }).shown))
    .toEqual(["Race: Red or blue?"]);
  await expect.poll(() => page.title()).toBe("(1) AgentDesk");
  await page.context().close();
});

test("what has just moved cannot be pressed", async () => {
  const page = await open(browser, desk);
  await card(page, "Red or blue?").waitFor(); // without a deadline: the least urgent
  // A press that meant the old card meets the new one, in the moment in which it takes its place.
  const pressed = page.evaluate(
    () =>
      new Promise<void>((resolve) => {
        const seen = new MutationObserver(() => {
          const first = document.querySelector("article")!;
          if (!first.textContent!.includes("Press one")) return;
          seen.disconnect();
          const press = new MouseEvent("click", { bubbles: true, cancelable: true, detail: 1 });
          first.querySelector(".choices button")!.dispatchEvent(press);
          resolve();
        });
        seen.observe(document.body, { childList: true, subtree: true });
      }),
  );
  const id = await createTicket(desk, "Choose");
  await pressed;
  await card(page, "Press one").getByRole("button", { name: "that" }).click();
  await page.getByText("Your answer counts: that").waitFor();
  await hasStatus(desk, id, "completed");
  await page.context().close();
});
