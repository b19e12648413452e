// The way in: the admin key, and the client that goes with it. The key stays in this tab's session storage.
import { createContext, useContext, useEffect, useMemo, useState, type FormEvent, type ReactNode } from "react";
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { ask, HttpFailure, reasonOf } from "./server";
import { Brand } from "./parts/Brand";

const KEY = "syncline-admin-key";

/** Of the client's methods the one that its types keep to themselves. */
interface AdminClient {
  setAdminAuth(adminKey: string, actingAs?: Record<string, unknown>): void;
}

/** A client that shows the server an admin key, and acts as a user when told whom. */
export function adminClient(adminKey: string, refused: (why: string) => void, actingAs?: Record<string, unknown>): ConvexReactClient {
  const client = newClient(refused);
  (client as unknown as AdminClient).setAdminAuth(adminKey, actingAs);
  return client;
}

/** What a client prints when the server takes neither its key nor its token: nothing else tells of it. */
const REFUSALS = [/^\[CONVEX FATAL ERROR\] (.*)$/s, /^Failed to authenticate: "(.*)", check your server auth config$/s];

/** A client of this page's own server. What it would print is the page's to show. */
export function newClient(refused: (why: string) => void): ConvexReactClient {
  const silent = () => undefined;
  const error = (text: unknown) => {
    const why = REFUSALS.map((refusal) => refusal.exec(String(text))?.[1]).find((found) => found !== undefined);
    if (why !== undefined) refused(why);
  };
  const logger = { logVerbose: silent, log: silent, warn: silent, error };
  // A warning about leaving the page would be about nothing: what was sent is shown as it is answered.
  return new ConvexReactClient(window.location.origin, { logger, unsavedChangesWarning: false });
}

interface Session {
  adminKey: string;
  instance: string;
  /** Forgets the key. */
  leave: () => void;
}

const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error("only below <SessionGate>");
  return session;
}

type Step = { at: "looking" } | { at: "asking"; why: string | null } | { at: "in"; adminKey: string; instance: string };

/** Shows its children to an administrator, and the form for the key to everybody else. */
export function SessionGate({ children }: { children: ReactNode }) {
  const [step, setStep] = useState<Step>({ at: "looking" });

  useEffect(() => {
    let over = false;
    void enter().then((next) => {
      if (!over) setStep(next);
    });
    return () => {
      over = true;
    };
  }, []);

  if (step.at === "looking") return <p className="gate-wait">Connecting…</p>;
  if (step.at === "asking") return <KeyForm why={step.why} entered={setStep} />;
  const leave = (why: string | null) => {
    sessionStorage.removeItem(KEY);
    setStep({ at: "asking", why });
  };
  return (
    <Inside key={step.adminKey} adminKey={step.adminKey} instance={step.instance} leave={leave}>
      {children}
    </Inside>
  );
}

function Inside(props: { adminKey: string; instance: string; leave: (why: string | null) => void; children: ReactNode }) {
  const { adminKey, instance, leave, children } = props;
  const [client, setClient] = useState<ConvexReactClient | null>(null);
  useEffect(() => {
    const opened = adminClient(adminKey, leave);
    setClient(opened);
    return () => void opened.close();
  }, [adminKey]);
  const session = useMemo(() => ({ adminKey, instance, leave: () => leave(null) }), [adminKey, instance]);
  if (client === null) return null;
  return (
    <SessionContext.Provider value={session}>
      <ConvexProvider client={client}>{children}</ConvexProvider>
    </SessionContext.Provider>
  );
}

/** The key of this tab, or the one that a development server gives to its own machine. */
async function enter(): Promise<Step> {
  const kept = sessionStorage.getItem(KEY);
  if (kept !== null) {
    const step = await check(kept);
    // One that is taken no more, of a server that was here before, does not stand in the way of the right one.
    if (step.at === "in" || sessionStorage.getItem(KEY) !== null) return step;
  }
  try {
    const response = await fetch("/dashboard/key", { headers: { Accept: "application/json" } });
    if (response.ok && response.headers.get("Content-Type")?.includes("json")) {
      const { adminKey } = (await response.json()) as { adminKey: string };
      return await check(adminKey);
    }
  } catch (error) {
    return { at: "asking", why: reasonOf(error) };
  }
  return { at: "asking", why: null };
}

async function check(adminKey: string): Promise<Step> {
  try {
    await ask("/api/check_admin_key", adminKey);
    const instance = await fetch("/instance_name").then((response) => (response.ok ? response.text() : ""));
    sessionStorage.setItem(KEY, adminKey);
    return { at: "in", adminKey, instance };
  } catch (error) {
    if (error instanceof HttpFailure) sessionStorage.removeItem(KEY);
    return { at: "asking", why: reasonOf(error) };
  }
}

function KeyForm({ why, entered }: { why: string | null; entered: (step: Step) => void }) {
  const [key, setKey] = useState("");
  const [checking, setChecking] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setChecking(true);
    entered(await check(key.trim()));
    setChecking(false);
  };
  return (
    <main className="gate">
      <form className="gate-card" onSubmit={(event) => void submit(event)}>
        <Brand />
        <label htmlFor="admin-key">Admin key</label>
        <input
          id="admin-key"
          type="password"
          autoComplete="off"
          spellCheck={false}
          autoFocus
          required
          placeholder="name|0123…"
          aria-invalid={why !== null}
          aria-describedby="admin-key-hint"
          value={key}
          onChange={(event) => setKey(event.target.value)}
        />
        {why !== null && (
          <p className="problem" role="alert">
            {why}
          </p>
        )}
        <p id="admin-key-hint" className="soft">
          The server's command <code>keygen --data DIR</code> prints one. It is kept in this tab only.
        </p>
        <button type="submit" className="button primary" disabled={checking}>
          {checking ? "Checking…" : "Open the dashboard"}
        </button>
      </form>
    </main>
  );
}
