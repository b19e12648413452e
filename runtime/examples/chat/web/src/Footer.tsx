// What stands under the messages: the way in, or the place to write.
import { Authenticated, AuthLoading, Unauthenticated } from "convex/react";
import { useRefusal } from "./client-log";
import { Composer } from "./Composer";
import { useDevClerk } from "./dev-clerk";
import { ErrorNote } from "./errors";
import { SignIn } from "./SignIn";
import { useStoredUser } from "./user-sync";

export function Footer() {
  return (
    <footer className="footer">
      <AuthLoading>
        <SigningIn />
      </AuthLoading>
      <Unauthenticated>
        <SignedOut />
      </Unauthenticated>
      <Authenticated>
        <SignedIn />
      </Authenticated>
    </footer>
  );
}

function SigningIn() {
  const { person } = useDevClerk();
  const refusal = useRefusal();
  return (
    <div className="waiting" role="status">
      <span className="spinner" />
      <span>{person === null ? "Looking for the provider…" : `Signing in as ${person.name}…`}</span>
      {refusal !== null && <span className="error-reason">{refusal.reason}</span>}
    </div>
  );
}

function SignedOut() {
  const { person, issuerError, issuerAvailable } = useDevClerk();
  const refusal = useRefusal();
  if (!issuerAvailable) {
    return (
      <ErrorNote title="Nobody can sign in here">
        This server has no development issuer: it runs in production, has a provider of its own, or does not listen on
        loopback.
      </ErrorNote>
    );
  }
  if (person === null) return <SignIn />;
  if (issuerError !== null) return <Refused title={`There is no token for ${person.name}`} reason={issuerError} />;
  if (refusal?.final) return <Refused title={`The server refused ${person.name}`} reason={refusal.reason} />;
  // The provider has signed the person in; the server has not answered yet.
  return <SigningIn />;
}

function Refused({ title, reason }: { title: string; reason: string }) {
  const { tryAgain, signOut } = useDevClerk();
  return (
    <div className="refused" data-testid="refused">
      <ErrorNote title={title}>{reason}</ErrorNote>
      <div className="button-row">
        <button type="button" className="button" onClick={tryAgain}>
          Try again
        </button>
        <button type="button" className="button" onClick={signOut}>
          Be somebody else
        </button>
      </div>
    </div>
  );
}

function SignedIn() {
  const { error } = useStoredUser();
  return error === null ? <Composer /> : <ErrorNote title="Your profile could not be stored">{error}</ErrorNote>;
}
