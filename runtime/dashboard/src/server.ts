// What the server answers over HTTP: its log, and what it keeps in memory only.
import { useEffect, useState } from "react";

/** How an answer came to be none. */
export class HttpFailure extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Asks the server something as the administrator. */
export async function ask<Answer>(path: string, adminKey: string, options: RequestInit = {}): Promise<Answer> {
  const headers = { Authorization: `Convex ${adminKey}`, "Convex-Client": "dashboard-0.0.0", ...options.headers };
  const response = await fetch(path, { ...options, headers });
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) return body as Answer;
  const { code, message } = (body ?? {}) as { code?: string; message?: string };
  throw new HttpFailure(response.status, code ?? "", message ?? `the server answered ${response.status} to ${path}`);
}

/** What the server makes of a token. */
export function explainToken(token: string, adminKey: string): Promise<Explanation> {
  const headers = { "Content-Type": "application/json" };
  return ask("/api/syncline/explain", adminKey, { method: "POST", headers, body: JSON.stringify({ token }) });
}

export interface Polled<Answer> {
  answer: Answer | null;
  /** Why the newest attempt failed; what was answered before it is kept. */
  failure: string | null;
}

/** Asks again and again while somebody looks at the page. */
export function usePolled<Answer>(path: string, adminKey: string, everyMs: number, heard?: (answer: Answer) => void): Polled<Answer> {
  const [polled, setPolled] = useState<Polled<Answer>>({ answer: null, failure: null });
  useEffect(() => {
    const over = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const poll = async () => {
      if (!document.hidden) {
        try {
          const answer = await ask<Answer>(path, adminKey, { signal: over.signal });
          setPolled({ answer, failure: null });
          heard?.(answer);
        } catch (error) {
          if (over.signal.aborted) return;
          setPolled(({ answer }) => ({ answer, failure: reasonOf(error) }));
        }
      }
      if (!over.signal.aborted) timer = setTimeout(() => void poll(), everyMs);
    };
    void poll();
    return () => {
      over.abort();
      clearTimeout(timer);
    };
  }, [path, adminKey, everyMs, heard]);
  return polled;
}

/** What went wrong, in the words of whoever noticed. */
export function reasonOf(error: unknown): string {
  if (error instanceof TypeError && /fetch|network/i.test(error.message)) return "the server cannot be reached";
  return error instanceof Error ? error.message : String(error);
}

export interface LiveQuery {
  path: string;
  /** JSON text of the list that holds them. */
  args: string;
  identity: string | null;
  watchers: number;
  runs: number;
  lastRunMs: number;
  lastRunAt: number;
  reads: string[];
  cause: string;
  resultBytes: number;
}

export type Kind = "query" | "mutation" | "action" | "http";

export interface Health {
  uptimeSeconds: number;
  sessions: number;
  liveQueries: number;
  calls: Record<Kind, number>;
  errors: Record<Kind, number>;
  /** Null where nothing was measured yet. */
  latencyMs: Partial<Record<Kind, { p50: number | null; p90: number | null; p99: number | null }>>;
  commits: number;
  conflicts: number;
  syncMs: { p50: number | null; p99: number | null };
  memoryBytes: number | null;
  logBytes?: number | null;
  storeBytes?: number | null;
}

export interface Handshake {
  at: number;
  outcome: "accepted" | "refused" | "unavailable";
  reason: string | null;
  issuer: string | null;
  audience: string | null;
  subject: string | null;
  expiresInS: number | null;
  text: string | null;
  remedy: string | null;
}

export interface Provider {
  kind: string;
  issuer: string;
  audience: string | null;
  health: { ok: boolean | null; checkedAt: number | null; text: string };
}

export interface Explanation {
  accepted: boolean;
  checks: { name: string; ok: boolean | null; expected: string | null; found: string | null }[];
  sentence: string;
  remedy: string | null;
}
