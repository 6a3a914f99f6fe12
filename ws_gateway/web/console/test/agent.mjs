/**
 * An agent that plays the part that a file holds under its ticket's name:
 * `node agent.mjs PARTS.json` with {"NAME": [line, ...], "*": [line, ...]}. A line is what an agent
 * says, or one of {"await":"answer"} (any input of that type), {"repeat":[lines],"times":N,"pause_ms":M}.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function receive(type) {
  for (;;) {
    const { value, done } = await lines.next();
    if (done) process.exit(4);
    const message = JSON.parse(value);
    if (message.type === "cancel") process.exit(0);
    if (message.type === type) return message;
  }
}

async function play(part) {
  for (const line of part) {
    if (line.await) {
      await receive(line.await);
    } else if (line.repeat) {
      for (let round = 0; round < line.times; ++round) {
        await play(line.repeat);
        if (line.pause_ms) await pause(line.pause_ms);
      }
    } else if (!process.stdout.write(`${JSON.stringify(line)}\n`)) {
      await new Promise((resolve) => process.stdout.once("drain", resolve));
    }
  }
}

const { ticket } = await receive("start");
const parts = JSON.parse(readFileSync(process.argv[2], "utf8"));
await play(parts[ticket.ticket_name] ?? parts["*"]);
process.stdin.destroy();
