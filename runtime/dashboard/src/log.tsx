// The server's log, followed by one long poll for as long as the dashboard is open; pages look at it from here.
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";
import { ask, HttpFailure, reasonOf } from "./server";
import { useSession } from "./session";

export interface LogLine {
  messages: string[];
  level: "LOG" | "DEBUG" | "INFO" | "WARN" | "ERROR";
  timestamp: number;
  udfPath?: string;
}

interface Part {
  udfType: "Query" | "Mutation" | "Action" | "HttpAction";
  identifier: string;
  /** Seconds since the epoch. */
  timestamp: number;
  logLines: (LogLine | string)[];
  requestId: string;
  executionId: string;
  identityType: string;
  /** The token identifier of the user whose call it was, if it was one's. */
  identity: string | null;
}

export interface Completion extends Part {
  kind: "Completion";
  cachedResult: boolean;
  /** Seconds. */
  executionTime: number;
  error: string | null;
  success: { status: string } | null;
  caller: string;
  returnBytes: number | null;
  usageStats?: Record<string, number>;
  occInfo?: { tableName?: string | null; retryCount?: number } | null;
}

export interface Progress extends Part {
  kind: "Progress";
}

export type Entry = (Completion | Progress) & { key: number };

interface Log {
  /** Oldest first. */
  entries: Entry[];
  failure: string | null;
}

/** Entries that are kept; as many as the server keeps. */
const KEPT_MAX = 1000;
/** How long to wait after a failure. */
const AGAIN_MS = 2000;

const LogContext = createContext<Log>({ entries: [], failure: null });

export function useLog(): Log {
  return useContext(LogContext);
}

export function LogFollower({ children }: { children: ReactNode }) {
  const { adminKey } = useSession();
  const [log, setLog] = useState<Log>({ entries: [], failure: null });
  useEffect(() => {
    const over = new AbortController();
    void followLog(adminKey, over.signal, setLog);
    return () => over.abort();
  }, [adminKey]);
  return <LogContext value={log}>{children}</LogContext>;
}

async function followLog(adminKey: string, over: AbortSignal, set: (change: (log: Log) => Log) => void) {
  let cursor = 0;
  let keys = 0;
  while (!over.aborted) {
    await untilShown();
    try {
      const path = `/api/stream_function_logs?cursor=${cursor}`;
      const signal = AbortSignal.any([over, untilHidden()]);
      const answer = await ask<{ entries: (Completion | Progress)[]; newCursor: number }>(path, adminKey, { signal });
      cursor = answer.newCursor;
      const fresh = answer.entries.map((entry) => ({ ...entry, key: keys++ }));
      set(({ entries }) => ({ entries: [...entries, ...fresh].slice(-KEPT_MAX), failure: null }));
    } catch (error) {
      if (over.aborted) return;
      if (document.hidden) continue;
      set(({ entries }) => ({ entries, failure: reasonOf(error) }));
      // Nothing heals a request that is wrong.
      if (error instanceof HttpFailure && error.status < 500) return;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

// A browser opens few connections to one server, so tabs that nobody looks at must not keep one each.

async function untilShown(): Promise<void> {
  while (document.hidden) {
    await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  }
}

function untilHidden(): AbortSignal {
  const hidden = new AbortController();
  document.addEventListener("visibilitychange", () => hidden.abort(), { once: true });
  return hidden.signal;
}

export function levelOf(line: LogLine | string): LogLine["level"] {
  if (typeof line !== "string") return line.level;
  return (/^\[(LOG|DEBUG|INFO|WARN|ERROR)\]/.exec(line)?.[1] ?? "LOG") as LogLine["level"];
}

export function textOf(line: LogLine | string): string {
  return typeof line === "string" ? line.replace(/^\[[A-Z]+\]\s*/, "") : line.messages.join(" ");
}

export function failureOf(entry: Entry): string | null {
  return entry.kind === "Completion" ? entry.error : null;
}

const identityNames: Record<string, string> = {
  unknown: "nobody",
  user: "a user",
  instance_admin: "an administrator",
  member_acting_user: "an administrator, acting as a user",
  system: "the server",
};

/** Whose call it was: the user, or what kind of caller; and when an administrator acted as the user, that too. */
export function identityOf({ identity, identityType }: Entry): string {
  const kind = identityNames[identityType] ?? identityType;
  if (identity === null) return kind;
  return identityType === "user" ? identity : `${identity} (${kind})`;
}

/** The same where there is little room: users by what tells those of one issuer apart, their id there. */
export function shortIdentityOf(entry: Entry): string {
  return entry.identity?.slice(entry.identity.indexOf("|") + 1) || identityOf(entry);
}

/** Whether an entry is about the server's own functions, this dashboard's among them. */
export function isSystem(entry: Entry): boolean {
  return entry.identifier.startsWith("_system/");
}
