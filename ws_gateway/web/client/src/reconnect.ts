/** When to come back after a close, by its code. Pure. */

export type AfterClose =
  | { readonly kind: "never" }
  /** Wait a random part of `withinMs`, and before it `atLeastMs`. */
  | { readonly kind: "again"; readonly atLeastMs: number; readonly withinMs: number };

const kFirstMs = 500;
const kMostMs = 15_000;
/** A drain or a slow read is no failure: the place to go on from is there at once. */
const kAtOnceMs = 1_000;

const kTerminal = new Set([1002, 1003, 1007, 1008, 1009]);

/**
 * `failures` counts the closes since a connection last did its work, this one not included. The
 * reason of a refusal for load says when to come back, as `retry in 5 s`.
 */
export function afterClose(code: number, reason: string, failures: number): AfterClose {
  if (kTerminal.has(code) || (code >= 4500 && code < 5000)) return { kind: "never" };
  const withinMs = Math.min(kMostMs, kFirstMs * 2 ** Math.min(failures, 10));
  if (code === 1013 || code === 4429) {
    const asked = /retry in (\d+) s/.exec(reason);
    const atLeastMs = asked ? Number(asked[1]) * 1000 : kMostMs / 3;
    return { kind: "again", atLeastMs, withinMs: Math.max(withinMs, atLeastMs) };
  }
  if (failures === 0 && (code === 1012 || code === 4430)) {
    return { kind: "again", atLeastMs: 0, withinMs: kAtOnceMs };
  }
  return { kind: "again", atLeastMs: 0, withinMs };
}
