/** Who the page's user is, where the desk wants to know: the form, and what the gateway says of it. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

interface SignedIn {
  /** The form is to be shown. */
  readonly isWanted: boolean;
  readonly user?: string;
}
let current: SignedIn = { isWanted: false };
const onChange = new Set<() => void>();
const waiting = new Set<() => void>();

function set(next: SignedIn): void {
  const wasWanted = current.isWanted;
  current = next;
  for (const tell of [...onChange]) tell();
  if (!wasWanted || next.isWanted) return;
  for (const go of [...waiting]) go();
}

/** Runs `task` each time that the user has signed in; the result ends that. */
export function onSignIn(task: () => void): () => void {
  waiting.add(task);
  return () => waiting.delete(task);
}

export function useSignedIn(): SignedIn {
  const [signedIn, draw] = useState(current);
  useEffect(() => {
    const look = (): void => draw(current);
    onChange.add(look);
    look();
    return () => void onChange.delete(look);
  }, []);
  return signedIn;
}

/**
 * Before each connection: asks who the cookie says we are, and waits until it says somebody. A socket
 * without one would be told only after 10 s.
 */
export async function untilSignedIn(): Promise<undefined> {
  try {
    const response = await fetch("/login");
    if (response.status === 401) {
      set({ isWanted: true });
      await new Promise<void>((go) => {
        const off = onSignIn(() => {
          off();
          go();
        });
      });
    } else if (response.ok) {
      const said = (await response.json()) as { user: string; token_expires_at?: string };
      set({ isWanted: false, ...(said.token_expires_at && { user: said.user }) });
    }
  } catch {
    // The gateway is away, which the connection tells of.
  }
}

/** Says what was wrong; nothing where the user is signed in. */
async function signIn(token: string): Promise<string | undefined> {
  try {
    const response = await fetch("/login", {
      method: "POST",
      headers: { Authorization: `Bearer ${token}` },
    });
    const body = (await response.json()) as { user: string; error?: { message: string } };
    if (!response.ok) return body.error?.message ?? `The gateway answered ${response.status}`;
    set({ isWanted: false, user: body.user });
    return undefined;
  } catch (error) {
    // What no header can carry is refused by the browser itself.
    return (error as Error).message;
  }
}

export async function signOut(): Promise<void> {
  await fetch("/logout", { method: "POST" });
  location.reload(); // nothing that was shown stays
}

export function SignIn(): JSX.Element {
  const [trouble, setTrouble] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (isBusy) return;
    const token = String(
      new FormData(event.currentTarget as HTMLFormElement).get("token") ?? "",
    ).trim();
    setBusy(true);
    const wrong = await signIn(token);
    setBusy(false);
    setTrouble(wrong);
    if (wrong) field.current?.focus();
  };
  return (
    <section class="sign-in" aria-labelledby="sign-in-title">
      <h2 id="sign-in-title">Sign in</h2>
      <form class="card stack" onSubmit={(event) => void submit(event)}>
        <p>This desk wants to know who you are.</p>
        <label>
          Token
          <input
            name="token"
            type="password"
            required
            autocomplete="off"
            spellcheck={false}
            ref={field}
            {...(trouble ? { "aria-invalid": true, "aria-describedby": "sign-in-trouble" } : {})}
          />
        </label>
        {trouble && (
          <p role="alert" id="sign-in-trouble">
            {trouble}
          </p>
        )}
        <button class="primary" {...(isBusy ? { "aria-disabled": true } : {})}>
          {isBusy ? "Signing in…" : "Sign in"}
        </button>
      </form>
    </section>
  );
}
