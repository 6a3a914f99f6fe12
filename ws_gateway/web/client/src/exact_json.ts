/**
 * JSON whose numbers are what was sent. JavaScript rounds 12345678901234567890; what an agent asks
 * approval for must be shown as it is, so a number that cannot be held comes as its text.
 */

/** A string, or a number as JSON writes it (RFC 8259): neither is looked for within the other. */
const kTokens = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** A double holds every decimal number of so many digits. */
const kSafeDigits = 15;

export function parseExactJson(text: string): unknown {
  return JSON.parse(text.replace(kTokens, (token) => (isHeld(token) ? token : `"${token}"`)));
}

function isHeld(token: string): boolean {
  if (token.startsWith('"')) return true;
  const value = Number(token);
  if (!Number.isFinite(value)) return false;
  const digits = token
    .replace(/[eE].*$/, "")
    .replace(/[-.]/g, "")
    .replace(/^0+/, "");
  return digits.length <= kSafeDigits || String(value) === token;
}
