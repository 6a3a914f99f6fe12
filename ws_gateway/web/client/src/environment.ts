/** What the library asks of the place where it runs; all of it can be passed in. */

/** A method's type, since each WebSocket types its events in its own way. */
type Handler<E> = { handle(event: E): void }["handle"] | null;

/** The part of the standard WebSocket that is used; a browser's fits, and that of `ws`. */
export interface Socket {
  onmessage: Handler<{ readonly data: unknown }>;
  onclose: Handler<{ readonly code: number; readonly reason: string }>;
  onerror: Handler<never>;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}
export type SocketConstructor = new (url: string, protocols: string[]) => Socket;

export interface Environment {
  readonly WebSocket: SocketConstructor;
  /** Milliseconds since the epoch. */
  now(): number;
  /** From 0 up to 1. */
  random(): number;
  /** Runs `task` after a time; the result calls it off. */
  after(ms: number, task: () => void): () => void;
  /** Runs `task` whenever it is worth trying at once; the result ends that. */
  onWake(task: () => void): () => void;
  newId(): string;
}

interface Target {
  addEventListener(type: string, task: () => void): void;
  removeEventListener(type: string, task: () => void): void;
}
interface Host {
  WebSocket?: SocketConstructor;
  setTimeout(task: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  crypto: { getRandomValues(bytes: Uint8Array): Uint8Array };
  addEventListener?: Target["addEventListener"];
  removeEventListener?: Target["removeEventListener"];
  document?: Target & { readonly visibilityState: string };
}

/** The browser's, or Node's with a WebSocket constructor passed in. */
export function hostEnvironment(given: Partial<Environment> = {}): Environment {
  const host = globalThis as unknown as Host;
  const WebSocket = given.WebSocket ?? host.WebSocket;
  if (!WebSocket) throw new TypeError("WebSocket: pass a constructor, as there is none here");
  return {
    now: () => Date.now(),
    random: () => Math.random(),
    after: (ms, task) => {
      const timer = host.setTimeout(task, ms);
      return () => host.clearTimeout(timer);
    },
    onWake: (task) => onHostWake(host, task),
    newId: () => newUuid(host),
    ...given,
    WebSocket,
  };
}

function onHostWake(host: Host, task: () => void): () => void {
  const { document } = host;
  const onVisible = (): void => {
    if (document?.visibilityState === "visible") task();
  };
  host.addEventListener?.("online", task);
  document?.addEventListener("visibilitychange", onVisible);
  return () => {
    host.removeEventListener?.("online", task);
    document?.removeEventListener("visibilitychange", onVisible);
  };
}

/** A version 4 UUID (RFC 9562); `crypto.randomUUID` is missing on pages without TLS. */
function newUuid(host: Host): string {
  const bytes = host.crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}
