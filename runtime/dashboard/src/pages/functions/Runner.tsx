// Runs a function with arguments, as anybody. A query stays live: its result changes as the data does.
import { useEffect, useRef, useState } from "react";
import type { ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { ConvexError, type Value } from "convex/values";
import { tidy } from "../../answers";
import { Choice, Copy, Problem } from "../../parts/small";
import { TextEditor, useValueText } from "../../parts/TextEditor";
import { explainToken, reasonOf } from "../../server";
import { adminClient, newClient, useSession } from "../../session";
import { clockOf, msOf } from "../../time";
import { print, printFields } from "../../values";
import { draft, type Validator } from "../../validators";
import type { FunctionInfo } from "../Functions";

type As = "admin" | "user" | "token" | "nobody";

const choices = [
  ["admin", "Administrator"],
  ["user", "A user"],
  ["token", "A token"],
  ["nobody", "Nobody"],
] as const;

const anyObject: Validator = { type: "record", keys: { type: "string" }, values: { fieldType: { type: "any" }, optional: false } };

interface Result {
  value?: Value;
  failure?: string;
  /** What the application gave with its error. */
  data?: Value;
  at: number;
  tookMs: number;
  /** How many results there were so far. */
  results: number;
}

type State = { step: "idle" } | { step: "running" } | { step: "done"; result: Result; isLive: boolean };

export function Runner({ info }: { info: FunctionInfo }) {
  const args = useValueText(firstArgs(info.args), info.args);
  const [as, setAs] = useState<As>("admin");
  const user = useValueText(printFields({ subject: "user_1", issuer: "https://example.test", name: "Ada" }), anyObject);
  const [token, setToken] = useState("");
  const { state, run, stop } = useRun(info);
  const ready = args.faults.length === 0 && (as !== "user" || user.faults.length === 0) && (as !== "token" || token.trim() !== "");
  const submit = () => {
    if (ready && args.value !== undefined) run(args.value as Record<string, Value>, { as, user: user.value, token: token.trim() });
  };
  const verb = info.type === "Query" ? "Watch" : "Run";

  return (
    <section className="panel runner" aria-label="Run">
      <div className="runner-in">
        <TextEditor label="Arguments" text={args} submit={submit} />
        <div className="field">
          <span className="field-name">As</span>
          <Choice label="As whom" choices={choices} value={as} choose={setAs} />
        </div>
        {as === "user" && <TextEditor label="The user's identity" text={user} submit={submit} />}
        {as === "token" && (
          <label className="field">
            <span className="field-name">Token</span>
            <textarea className="token" rows={3} spellCheck={false} autoComplete="off" value={token} onChange={(event) => setToken(event.target.value)} />
          </label>
        )}
        <div className="button-row">
          <button type="button" className="button primary" disabled={!ready} onClick={submit}>
            {verb}
          </button>
          {state.step === "done" && state.isLive && (
            <button type="button" className="button" onClick={stop}>
              Stop watching
            </button>
          )}
          <span className="soft only-wide">Ctrl Enter</span>
        </div>
      </div>
      <Outcome state={state} />
    </section>
  );
}

function Outcome({ state }: { state: State }) {
  if (state.step === "idle") return <div className="runner-out soft">The result is shown here.</div>;
  if (state.step === "running") return <div className="runner-out soft">Running…</div>;
  const { result, isLive } = state;
  const text = result.failure === undefined ? print(result.value) : null;
  return (
    <div className="runner-out" data-testid="result" aria-live="polite">
      <p className="runner-about">
        {isLive && (
          <span className="connection" data-state="good">
            <span className="dot" />
            Live
          </span>
        )}
        <span>
          {clockOf(result.at)}
          {result.results === 1 && `, after ${msOf(result.tookMs)}`}
          {result.results > 1 && `, result ${result.results}`}
        </span>
        {text !== null && <Copy text={text} what="result" />}
      </p>
      {text !== null && <pre className="result">{text}</pre>}
      {result.failure !== undefined && <Problem title="It failed">{result.failure}</Problem>}
      {result.data !== undefined && <pre className="result">{print(result.data)}</pre>}
    </div>
  );
}

interface Caller {
  as: As;
  user: Value | undefined;
  token: string;
}

/** One run at a time, each over a connection of its own, which is closed with it. */
function useRun(info: FunctionInfo) {
  const { adminKey } = useSession();
  const [state, setState] = useState<State>({ step: "idle" });
  const end = useRef<() => void>(() => undefined);
  useEffect(() => () => end.current(), []);

  const stop = () => {
    end.current();
    end.current = () => undefined;
    setState((now) => (now.step === "done" ? { ...now, isLive: false } : { step: "idle" }));
  };
  const run = (args: Record<string, Value>, caller: Caller) => {
    end.current();
    setState({ step: "running" });
    let over = false;
    let results = 0;
    const began = performance.now();
    const told = (told: Pick<Result, "value" | "failure" | "data">, isLive: boolean) => {
      if (over) return;
      results += 1;
      const result = { ...told, at: Date.now(), tookMs: performance.now() - began, results };
      setState({ step: "done", result, isLive });
    };
    let unwatch = () => undefined as void;
    const begin = () => {
      if (!over) unwatch = start(client, info, args, told);
    };
    const refused = (why: string) => {
      told({ failure: why }, false);
      end.current();
    };
    const client = clientFor(caller, adminKey, refused);
    if (caller.as === "token") {
      // The token is tried first: when it is refused, the call is not to be made as nobody.
      const tried = (isAccepted: boolean) => {
        if (isAccepted) begin();
        else if (!over) void whyRefused(caller.token, adminKey).then(refused);
      };
      client.setAuth(() => Promise.resolve(caller.token), tried);
    } else begin();
    end.current = () => {
      over = true;
      unwatch();
      void client.close();
    };
  };
  return { state, run, stop };
}

function clientFor({ as, user }: Caller, adminKey: string, refused: (why: string) => void): ConvexReactClient {
  if (as === "admin") return adminClient(adminKey, refused);
  if (as === "user") return adminClient(adminKey, refused, withIdentifier(user as Record<string, unknown>));
  return newClient(refused);
}

/** The parts that every identity has, from those that were given. */
function withIdentifier(user: Record<string, unknown>): Record<string, unknown> {
  const { issuer = "https://example.test", subject = "user_1" } = user;
  return { tokenIdentifier: `${String(issuer)}|${String(subject)}`, issuer, subject, ...user };
}

/** The client only tells that its token was refused; the server says why. */
async function whyRefused(token: string, adminKey: string): Promise<string> {
  try {
    const { sentence, remedy } = await explainToken(token, adminKey);
    return [sentence, remedy].filter(Boolean).join("\n");
  } catch (error) {
    return `the token was refused, and why cannot be told: ${reasonOf(error)}`;
  }
}

function start(
  client: ConvexReactClient,
  info: FunctionInfo,
  args: Record<string, Value>,
  told: (told: Pick<Result, "value" | "failure" | "data">, isLive: boolean) => void,
): () => void {
  if (info.type === "Query") {
    const watch = client.watchQuery(makeFunctionReference<"query">(info.path), args);
    const look = () => {
      try {
        const value = watch.localQueryResult() as Value | undefined;
        if (value !== undefined) told({ value }, true);
      } catch (error) {
        told(failed(error), true);
      }
    };
    const unsubscribe = watch.onUpdate(look);
    look();
    return unsubscribe;
  }
  const call =
    info.type === "Mutation"
      ? client.mutation(makeFunctionReference<"mutation">(info.path), args)
      : client.action(makeFunctionReference<"action">(info.path), args);
  call.then(
    (value) => told({ value: value as Value }, false),
    (error: unknown) => told(failed(error), false),
  );
  return () => undefined;
}

function failed(error: unknown): Pick<Result, "failure" | "data"> {
  const failure = tidy(reasonOf(error));
  return error instanceof ConvexError ? { failure, data: error.data as Value } : { failure };
}

function firstArgs(args: Validator): string {
  const value = draft(args);
  return printFields(typeof value === "object" && value !== null ? (value as Record<string, Value>) : {});
}
