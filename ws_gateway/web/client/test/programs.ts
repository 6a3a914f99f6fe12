/** The real programs, on free ports, started and killed as a test asks. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const kRoot = join(dirname(fileURLToPath(import.meta.url)), "../../../..");
export const kBin = process.env["AGENTDESK_BIN"] ?? join(kRoot, "build/release/bin");

interface LogLine {
  readonly message?: string;
  readonly address?: string;
}

/** One process; started again, it listens where it did before. */
export class Program {
  address = "";
  #process: ChildProcess | undefined;

  constructor(
    private readonly name: string,
    private readonly flags: () => readonly string[],
    private readonly listens = true,
  ) {}

  get running(): boolean {
    return this.#process !== undefined && this.#process.exitCode === null;
  }

  async start(): Promise<void> {
    const listen = this.listens ? [`--listen=${this.address || "127.0.0.1:0"}`] : [];
    const child = spawn(join(kBin, this.name), [...listen, ...this.flags()], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process = child;
    await once(child, "spawn"); // or its error: there is no such program
    const lines = createInterface({ input: child.stderr! });
    if (!this.listens) {
      lines.on("line", () => {});
      return;
    }
    this.address = await new Promise((resolve, reject) => {
      const said: string[] = [];
      lines.on("line", (text) => {
        if (said.length < 50) said.push(text);
        const line = (text.startsWith("{") ? JSON.parse(text) : {}) as LogLine;
        if (line.message === "listening" && line.address) resolve(line.address);
      });
      child.once("exit", () => reject(new Error(`${this.name} ended:\n${said.join("\n")}`)));
    });
  }

  /** Such as SIGSTOP, which it does not end by. */
  signal(signal: NodeJS.Signals): void {
    this.#process!.kill(signal);
  }

  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }
}

/** A core and a gateway on a new data directory. */
export class Desk {
  readonly folder = mkdtempSync(join(tmpdir(), "agentdesk-web-"));
  readonly core: Program;
  readonly gateway: Program;
  readonly #workers: Program[] = [];
  /** Behind it the desk can be another one, by `data`. */
  data = "data";

  constructor(coreFlags: readonly string[] = [], gatewayFlags: readonly string[] = []) {
    this.core = new Program("agentdesk-core", () => [
      "--admin_listen=127.0.0.1:0",
      `--data_dir=${join(this.folder, this.data)}`,
      ...coreFlags,
    ]);
    this.gateway = new Program("agentdesk-gateway", () => [
      `--core=${this.core.address}`,
      ...gatewayFlags,
    ]);
  }

  async start(): Promise<this> {
    await this.core.start();
    await this.gateway.start();
    return this;
  }

  async work(agent: string, ...flags: readonly string[]): Promise<Program> {
    const worker = new Program(
      "agentdesk-worker",
      () => [`--core=${this.core.address}`, `--agent=${agent}`, ...flags],
      false,
    );
    this.#workers.push(worker);
    await worker.start();
    return worker;
  }

  get socketUrl(): string {
    return `ws://${this.gateway.address}/ws`;
  }
  get pageUrl(): string {
    return `http://${this.gateway.address}/`;
  }

  /** An HTTP call of the gateway, made again under its id until it is answered. */
  async call<T>(method: "GET" | "POST", path: string, body?: object): Promise<T> {
    return until(async () => {
      try {
        const response = await fetch(`http://${this.gateway.address}${path}`, {
          method,
          ...(body && {
            body: JSON.stringify(body),
            headers: { "Content-Type": "application/json" },
          }),
        });
        if (response.status === 503) return undefined;
        const text = await response.text();
        const said = JSON.parse(text) as T & { error?: { code: string } };
        if (response.ok) return said;
        throw new Refused(said.error?.code ?? "", `${method} ${path}: ${response.status} ${text}`);
      } catch (error) {
        if (error instanceof Refused) throw error;
        return undefined; // the gateway is away
      }
    }, `${method} ${path}`);
  }

  async end(): Promise<void> {
    for (const worker of this.#workers) await worker.end();
    await this.gateway.end();
    await this.core.end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** An answer of the gateway's that repeating does not change. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Waits for the first defined, true value. */
export async function until<T>(
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  what: string,
  seconds = 60,
): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`in ${seconds} s there was no: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Numbers by chance, the same for the same seed (mulberry32). */
export function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
