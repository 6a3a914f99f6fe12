/** Everything that this library throws or rejects with. `code` is for programs. */
export class DeskError extends Error {
  override readonly name: string = "DeskError";
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** A command that was refused; nothing has changed. */
export class CommandError extends DeskError {
  override readonly name = "CommandError";
  constructor(
    code: string,
    message: string,
    /** The field at fault, where there is one. */
    readonly field?: string,
  ) {
    super(code, message);
  }
}

/**
 * A command given up before its answer came, with the code `aborted` or `closed`. Where `sent`, its
 * outcome is unknown: the same command under the same request id tells it.
 */
export class UnansweredError extends DeskError {
  override readonly name = "UnansweredError";
  constructor(
    code: "aborted" | "closed",
    message: string,
    readonly requestId: string,
    readonly sent: boolean,
  ) {
    super(code, message);
  }
}

/** The connection has ended for good: the gateway closed it with a code after which none comes back. */
export class TerminalCloseError extends DeskError {
  override readonly name = "TerminalCloseError";
  constructor(
    readonly closeCode: number,
    readonly reason: string,
  ) {
    super("terminal_close", `closed with ${closeCode}${reason && `: ${reason}`}`);
  }
}
