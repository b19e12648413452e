// What the Convex client says to its logger, with the reason of a refused sign-in picked out:
// the client reports it there and nowhere else.
import { useSyncExternalStore } from "react";

/** The client's word on a token the server refused. */
export interface Refusal {
  /** The server's own text, for example `NoAuthProvider: …`. */
  reason: string;
  /** True when the client has given up; until then it tries again with a fresh token. */
  final: boolean;
}

const REFUSED_FOR_GOOD = /^Failed to authenticate: "([\s\S]*)", check your server auth config$/;
const REFUSED_FOR_NOW = /^attempting to reauthenticate: ([\s\S]*?)(?: \[v\d+\])?$/;

let refusal: Refusal | null = null;
const listeners = new Set<() => void>();

function setRefusal(next: Refusal | null) {
  refusal = next;
  for (const listener of listeners) listener();
}

/** Forgets the last refusal: somebody else tries, or the server has agreed. */
export function clearRefusal() {
  if (refusal !== null) setRefusal(null);
}

export function useRefusal(): Refusal | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => refusal,
  );
}

/** The `logger` of the client: the console, as without it, and a listener for refusals. */
export const clientLogger = {
  logVerbose(...args: unknown[]) {
    const reason = match(REFUSED_FOR_NOW, args);
    if (reason !== null) setRefusal({ reason, final: false });
  },
  log: (...args: unknown[]) => console.log(...args),
  warn: (...args: unknown[]) => console.warn(...args),
  error(...args: unknown[]) {
    const reason = match(REFUSED_FOR_GOOD, args);
    if (reason !== null) setRefusal({ reason, final: true });
    console.error(...args);
  },
};

function match(pattern: RegExp, args: unknown[]): string | null {
  const text = args[0];
  return typeof text === "string" ? (pattern.exec(text)?.[1] ?? null) : null;
}
