// Live answers of the server's own functions, as states rather than exceptions.
import { useEffect, useMemo, useRef, useState } from "react";
import { useConvex, useQueries, type RequestForQueries } from "convex/react";
import type { FunctionArgs, FunctionReference, FunctionReturnType } from "convex/server";

export interface Live<Result> {
  /** Undefined until the first answer; while other arguments are being answered, the answer for the earlier ones. */
  value: Result | undefined;
  /** Why there is no answer. */
  failure: string | null;
  /** Whether the value is an answer for earlier arguments. */
  isStale: boolean;
}

/** Subscribes to a query; "skip" for none. */
export function useLive<Query extends FunctionReference<"query">>(
  query: Query,
  args: FunctionArgs<Query> | "skip",
): Live<FunctionReturnType<Query>> {
  const key = args === "skip" ? "" : JSON.stringify(args);
  // The key stands for the arguments, which are others with each render.
  const queries = useMemo((): RequestForQueries => (args === "skip" ? {} : { it: { query, args } }), [query, key]);
  const answer: unknown = useQueries(queries).it;
  const last = useRef<FunctionReturnType<Query> | undefined>(undefined);
  if (args === "skip") return { value: undefined, failure: null, isStale: false };
  if (answer instanceof Error) return { value: undefined, failure: tidy(answer.message), isStale: false };
  if (answer !== undefined) last.current = answer as FunctionReturnType<Query>;
  return { value: last.current, failure: null, isStale: answer === undefined };
}

/**
 * Asks a query again and again while somebody looks at the page; "skip" for not at all. For what costs the server too
 * much to be told after each change. While there is no answer the last one stands: the connection says what is wrong.
 */
export function useAsked<Query extends FunctionReference<"query">>(
  query: Query,
  args: FunctionArgs<Query> | "skip",
  everyMs: number,
): FunctionReturnType<Query> | undefined {
  const client = useConvex();
  const [value, setValue] = useState<FunctionReturnType<Query> | undefined>(undefined);
  const key = args === "skip" ? "" : JSON.stringify(args);
  useEffect(() => {
    if (args === "skip") return setValue(undefined);
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      const answer = document.hidden ? undefined : await client.query(query, args).catch(() => undefined);
      if (isOver) return;
      if (answer !== undefined) setValue(answer);
      timer = setTimeout(() => void ask(), everyMs);
    };
    void ask();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
    // The key stands for the arguments, which are others with each render.
  }, [client, query, key, everyMs]);
  return value;
}

/** An error of a function without what the client and the protocol put around it. */
export function tidy(message: string): string {
  return message
    .replace(/^\[CONVEX [^\]]*\]\s*/, "")
    .replace(/^\[Request ID: [^\]]*\]\s*/, "")
    .replace(/^Server Error\n/, "")
    .replace(/^Uncaught (Error: )?/, "")
    .replace(/\n\s*Called by client\s*$/, "")
    .trim();
}
