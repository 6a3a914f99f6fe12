/** What others install: the packed package, in plain Node, on the real programs. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Desk } from "./programs.js";

const kPackage = join(dirname(fileURLToPath(import.meta.url)), "..");
const kProgram = `
import { DeskClient } from "@agentdesk/client";
import { WebSocket } from "ws";
const desk = new DeskClient({ url: process.argv[2], WebSocket }).connect();
const events = desk.events();
const { ticket_id } = await desk.createTicket({ ticket_name: "From plain Node" });
const { value } = await events.next();
console.log(value.type, value.ticket_id === ticket_id, desk.store.tickets.get(ticket_id).ticket_name);
desk.close();
`;

test("the packed package works in plain Node, and lets it end", async () => {
  const folder = mkdtempSync(join(tmpdir(), "agentdesk-package-"));
  const desk = await new Desk().start();
  try {
    const run = (program: string, args: string[], cwd: string): string =>
      execFileSync(program, args, { cwd, encoding: "utf8", timeout: 60_000 });
    const packed = run("npm", ["pack", "--silent", "--pack-destination", folder], kPackage).trim();
    run("tar", ["-xf", packed], folder);
    const { name } = JSON.parse(readFileSync(join(folder, "package/package.json"), "utf8")) as {
      name: string;
    };
    mkdirSync(join(folder, "node_modules", dirname(name)), { recursive: true });
    symlinkSync(join(folder, "package"), join(folder, "node_modules", name));
    symlinkSync(join(kPackage, "../node_modules/ws"), join(folder, "node_modules/ws"));
    writeFileSync(join(folder, "main.mjs"), kProgram);
    const said = run(process.execPath, ["main.mjs", desk.socketUrl], folder);
    expect(said).toBe("ticket_created true From plain Node\n");
  } finally {
    await desk.end();
    rmSync(folder, { recursive: true });
  }
});
