// The bar on top: the name, how the connection and the sign-in stand, and the way out.
import type { FocusEvent, ReactNode } from "react";
import { useConvexAuth, useConvexConnectionState } from "convex/react";
import { Avatar } from "./Avatar";
import { useRefusal } from "./client-log";
import { useDevClerk } from "./dev-clerk";

export function TopBar() {
  return (
    <header className="top-bar">
      <a className="brand" href="/">
        <img src="/icon.svg" alt="" width="28" height="28" />
        <span>
          Syncline <em>chat</em>
        </span>
      </a>
      <Status />
      <Account />
    </header>
  );
}

function Status() {
  const connection = useConvexConnectionState();
  const auth = useConvexAuth();
  const { person } = useDevClerk();
  const refused = useRefusal()?.final ?? false;
  const word = wordOf(auth, person !== null && !refused);
  const line = lineOf(connection);
  const pending = connection.inflightMutations + connection.inflightActions;

  return (
    <details className="status" onBlur={closeWhenLeft}>
      <summary>
        <span className="chip" data-state={line.state} data-testid="connection">
          <span className="dot" />
          {line.text}
        </span>
        <span className="chip" data-testid="auth" data-state={auth.isAuthenticated ? "good" : "idle"}>
          {word}
        </span>
      </summary>
      <dl className="facts" tabIndex={-1}>
        <Fact name="Server">{window.location.host}</Fact>
        <Fact name="Socket">{connection.isWebSocketConnected ? "open" : "closed"}</Fact>
        <Fact name="Connections made">{connection.connectionCount}</Fact>
        <Fact name="Retries under way">{connection.connectionRetries}</Fact>
        <Fact name="Waiting for an answer">{pending}</Fact>
        <Fact name="Provider says">{person === null ? "signed out" : `signed in, ${person.subject}`}</Fact>
        <Fact name="Server says">{refused ? "refused" : word.toLowerCase()}</Fact>
      </dl>
    </details>
  );
}

function closeWhenLeft(event: FocusEvent<HTMLDetailsElement>) {
  if (!event.currentTarget.contains(event.relatedTarget)) event.currentTarget.open = false;
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function lineOf(connection: ReturnType<typeof useConvexConnectionState>): { state: string; text: string } {
  if (connection.isWebSocketConnected) return { state: "good", text: "Live" };
  if (!connection.hasEverConnected && connection.connectionRetries === 0) return { state: "wait", text: "Connecting…" };
  return { state: "bad", text: "Reconnecting…" };
}

function wordOf(auth: ReturnType<typeof useConvexAuth>, isExpected: boolean): string {
  if (auth.isRefreshing) return "Renewing…";
  if (auth.isAuthenticated) return "Signed in";
  return auth.isLoading || isExpected ? "Signing in…" : "Signed out";
}

function Account() {
  const { person, signOut } = useDevClerk();
  if (person === null) return <span className="account" />;
  return (
    <div className="account">
      <Avatar name={person.name} />
      <span className="account-name">{person.name}</span>
      <button type="button" className="button" onClick={signOut}>
        Sign out
      </button>
    </div>
  );
}
