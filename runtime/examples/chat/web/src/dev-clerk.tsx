// A small stand-in for Clerk's React library, for development: the same `useAuth` and `useUser`,
// with tokens from the server's own development issuer instead of Clerk's. To use the real one, put
// `ClerkProvider` in the place of `DevClerkProvider` and import the two hooks from `@clerk/clerk-react`.
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import type { Person } from "./people";

const STORAGE_KEY = "syncline-chat:session";
const TOKEN_LIFETIME_SECONDS = 60;
const RETRY_MS = 1000;
/** A cached token is given out while it has at least this long to live. */
const TOKEN_REUSE_SECONDS = 15;

interface Session {
  sessionId: string;
  person: Person;
}

/** The part of Clerk's `useAuth` that Convex clients rely on. */
export interface DevAuth {
  isLoaded: boolean;
  isSignedIn: boolean;
  userId: string | null;
  sessionId: string | null;
  sessionClaims: Record<string, unknown> | null;
  orgId: string | null;
  orgRole: string | null;
  getToken: (options?: { template?: string; skipCache?: boolean }) => Promise<string | null>;
}

/** What only the stand-in has: it signs in whom it is told, and knows how its issuer does. */
interface DevClerk {
  auth: DevAuth;
  person: Person | null;
  signInAs: (person: Person) => void;
  /** Signs in the same person anew, after a refusal. */
  tryAgain: () => void;
  signOut: () => void;
  /** Why the issuer gave no token, when it gave none. */
  issuerError: string | null;
  /** False when the server has no development issuer: then nobody can sign in here. */
  issuerAvailable: boolean;
}

const DevClerkContext = createContext<DevClerk | null>(null);

export function DevClerkProvider({ children }: { children: ReactNode }) {
  const issuer = useIssuer();
  const [session, setSession] = useState<Session | null>(readSession);
  const [issuerError, setIssuerError] = useState<string | null>(null);
  const cached = useRef<{ sessionId: string; token: string } | null>(null);

  const change = useCallback((next: Session | null) => {
    cached.current = null;
    writeSession(next);
    setIssuerError(null);
    setSession(next);
  }, []);

  const getToken = useCallback<DevAuth["getToken"]>(
    async ({ skipCache = false } = {}) => {
      if (session === null) return null;
      const known = cached.current;
      if (!skipCache && known?.sessionId === session.sessionId && secondsLeft(known.token) > TOKEN_REUSE_SECONDS) {
        return known.token;
      }
      try {
        const token = await mint(session.person);
        cached.current = { sessionId: session.sessionId, token };
        setIssuerError(null);
        return token;
      } catch (error) {
        setIssuerError(error instanceof Error ? error.message : String(error));
        throw error;
      }
    },
    [session],
  );

  const clerk = useMemo<DevClerk>(
    () => ({
      auth: {
        isLoaded: issuer !== "unknown",
        isSignedIn: session !== null,
        userId: session?.person.subject ?? null,
        sessionId: session?.sessionId ?? null,
        // A plain session token of Clerk's carries no `aud`: that is why the `convex` template is asked for.
        sessionClaims: session && { sub: session.person.subject, sid: session.sessionId },
        orgId: null,
        orgRole: null,
        getToken,
      },
      person: session?.person ?? null,
      signInAs: (person) => change(newSession(person)),
      tryAgain: () => session && change(newSession(session.person)),
      signOut: () => change(null),
      issuerError,
      issuerAvailable: issuer !== "missing",
    }),
    [issuer, session, getToken, change, issuerError],
  );
  return <DevClerkContext value={clerk}>{children}</DevClerkContext>;
}

export function useDevClerk(): DevClerk {
  const clerk = useContext(DevClerkContext);
  if (clerk === null) throw new Error("useDevClerk needs a <DevClerkProvider> above it");
  return clerk;
}

/** Clerk's `useAuth`, as `ConvexProviderWithClerk` takes it. */
export function useAuth(): DevAuth {
  return useDevClerk().auth;
}

/** Clerk's `useUser`: whom the provider holds to be signed in, whether or not the server has agreed. */
export function useUser(): { user: Person | null } {
  return { user: useDevClerk().person };
}

/** Asks once whether the server has a development issuer. A server that is down is no answer: ask again. */
function useIssuer(): "unknown" | "available" | "missing" {
  const [issuer, setIssuer] = useState<"unknown" | "available" | "missing">("unknown");
  useEffect(() => {
    const stop = new AbortController();
    let timer: number | undefined;
    const ask = async () => {
      try {
        const response = await fetch("/dev-issuer/.well-known/openid-configuration", { signal: stop.signal });
        // Without an issuer the address is one of the page's own, and gives the page.
        const isDiscovery = response.headers.get("Content-Type")?.startsWith("application/json") ?? false;
        if (response.ok && isDiscovery) return setIssuer("available");
        if (response.ok || response.status === 404) return setIssuer("missing");
      } catch {
        if (stop.signal.aborted) return;
      }
      timer = window.setTimeout(ask, RETRY_MS);
    };
    void ask();
    return () => {
      stop.abort();
      window.clearTimeout(timer);
    };
  }, []);
  return issuer;
}

async function mint(person: Person): Promise<string> {
  const { subject, name, email, claims } = person;
  const response = await postUntilReached("/dev-issuer/token", {
    subject,
    name,
    email,
    claims,
    lifetimeSeconds: TOKEN_LIFETIME_SECONDS,
  });
  if (!response.ok) {
    throw new Error(`${response.status} ${response.statusText}: ${(await response.text()).slice(0, 300)}`);
  }
  const { token } = (await response.json()) as { token: string };
  return token;
}

/** No token at all would sign the person out: a server that is away for a while is waited for, as Clerk's own library does. */
async function postUntilReached(path: string, body: unknown): Promise<Response> {
  for (;;) {
    try {
      return await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
    } catch {
      await new Promise((resolve) => window.setTimeout(resolve, RETRY_MS));
    }
  }
}

/** By this machine's clock; only the reuse of a cached token hangs on it. */
function secondsLeft(token: string): number {
  const payload = token.split(".")[1];
  if (payload === undefined) return 0;
  const { exp } = JSON.parse(atob(payload.replace(/-/g, "+").replace(/_/g, "/"))) as { exp: number };
  return exp - Date.now() / 1000;
}

/** Each sign-in is a session of its own: its id tells the Convex provider to fetch and send a token anew. */
function newSession(person: Person): Session {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  const sessionId = `sess_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  return { sessionId, person };
}

// Session storage belongs to one tab: so two windows can be two people, and a reload stays who it was.
function readSession(): Session | null {
  try {
    const text = sessionStorage.getItem(STORAGE_KEY);
    return text === null ? null : (JSON.parse(text) as Session);
  } catch {
    return null;
  }
}

function writeSession(session: Session | null) {
  if (session === null) sessionStorage.removeItem(STORAGE_KEY);
  else sessionStorage.setItem(STORAGE_KEY, JSON.stringify(session));
}
