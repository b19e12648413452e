// Auth: who may sign people in and how their servers are, what became of the latest tokens, and why.
import { useState, type FormEvent } from "react";
import { Choice, Empty, PageHead, Problem } from "../parts/small";
import { explainToken, reasonOf, usePolled, type Explanation, type Handshake, type Provider } from "../server";
import { useSession } from "../session";
import { agoOf, fullOf, spanOf, useNow } from "../time";

const PROVIDERS_EVERY_MS = 5000;
const HANDSHAKES_EVERY_MS = 1000;

export function AuthPage() {
  return (
    <>
      <PageHead title="Auth" />
      <div className="auth">
        <Providers />
        <Explain />
        <Handshakes />
      </div>
    </>
  );
}

function Providers() {
  const { adminKey } = useSession();
  const now = useNow();
  const { answer, failure } = usePolled<{ providers: Provider[] }>("/api/syncline/providers", adminKey, PROVIDERS_EVERY_MS);
  return (
    <section className="panel" aria-labelledby="providers">
      <header className="panel-head">
        <h2 id="providers">Providers</h2>
      </header>
      {failure !== null && <Problem title="The providers could not be asked for">{failure}</Problem>}
      {answer?.providers.length === 0 && (
        <Empty title="Nobody can sign in">
          Give the server a provider: <code>.auth(Clerk::from_env())</code>, for example.
        </Empty>
      )}
      <ul className="providers">
        {answer?.providers.map((provider) => (
          <li key={`${provider.issuer} ${provider.audience ?? ""}`}>
            <span className="dot" data-state={provider.health.ok === null ? "wait" : provider.health.ok ? "good" : "bad"} />
            <div>
              <p className="break">
                <strong>{provider.issuer}</strong> <span className="tag">{provider.kind}</span>
              </p>
              <p className="soft break">{provider.audience === null ? "any audience" : `for ${provider.audience}`}</p>
              <p className={provider.health.ok === false ? "bad" : "soft"}>
                {provider.health.text}
                {provider.health.checkedAt !== null && ` (${agoOf(provider.health.checkedAt, now)})`}
              </p>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Explain() {
  const { adminKey } = useSession();
  const [token, setToken] = useState("");
  const [told, setTold] = useState<{ explanation?: Explanation; failure?: string } | null>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    try {
      setTold({ explanation: await explainToken(token.trim(), adminKey) });
    } catch (error) {
      setTold({ failure: reasonOf(error) });
    }
  };
  return (
    <section className="panel" aria-labelledby="explain">
      <header className="panel-head">
        <h2 id="explain">What does this server make of a token?</h2>
      </header>
      <form className="explain" onSubmit={(event) => void submit(event)}>
        <label className="unseen" htmlFor="token">
          Token
        </label>
        <textarea
          id="token"
          className="token"
          rows={3}
          required
          spellCheck={false}
          autoComplete="off"
          placeholder="Paste a token (eyJ…). It is checked as any client's would be, and not kept."
          value={token}
          onChange={(event) => setToken(event.target.value)}
        />
        <div className="button-row">
          <button type="submit" className="button primary">
            Explain
          </button>
          {told !== null && (
            <button
              type="button"
              className="button"
              onClick={() => {
                setToken("");
                setTold(null);
              }}
            >
              Clear
            </button>
          )}
        </div>
      </form>
      {told?.failure !== undefined && <Problem title="It could not be explained">{told.failure}</Problem>}
      {told?.explanation !== undefined && <Explained explanation={told.explanation} />}
    </section>
  );
}

function Explained({ explanation }: { explanation: Explanation }) {
  return (
    <div className="explained" data-testid="explained" role="status">
      <p className="verdict" data-accepted={explanation.accepted}>
        {explanation.sentence}
      </p>
      {explanation.remedy !== null && <p className="break">{explanation.remedy}</p>}
      <div className="table-scroll">
        <table className="checks">
          <thead>
            <tr>
              <th scope="col">Check</th>
              <th scope="col">Expected</th>
              <th scope="col">Found</th>
            </tr>
          </thead>
          <tbody>
            {explanation.checks.map(({ name, ok, expected, found }) => (
              <tr key={name} data-ok={String(ok)}>
                <th scope="row">
                  <span className="mark" aria-hidden="true">
                    {ok === null ? "·" : ok ? "✓" : "✗"}
                  </span>
                  <span className="unseen">{ok === null ? "not reached:" : ok ? "passed:" : "failed:"}</span> {name}
                </th>
                <td data-label="Expected">{expected}</td>
                <td data-label="Found">{found}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

const outcomes = [
  ["all", "All"],
  ["accepted", "Accepted"],
  ["refused", "Refused"],
] as const;

function Handshakes() {
  const { adminKey } = useSession();
  const now = useNow();
  const [wanted, setWanted] = useState<(typeof outcomes)[number][0]>("all");
  const { answer, failure } = usePolled<{ handshakes: Handshake[] }>("/api/syncline/handshakes", adminKey, HANDSHAKES_EVERY_MS);
  const shown = answer?.handshakes.filter(({ outcome }) => wanted === "all" || (outcome === "accepted") === (wanted === "accepted"));
  return (
    <section className="panel" aria-labelledby="handshakes">
      <header className="panel-head">
        <h2 id="handshakes">Recent handshakes</h2>
        <Choice label="Which handshakes" choices={outcomes} value={wanted} choose={setWanted} />
      </header>
      {failure !== null && <Problem title="The handshakes could not be asked for">{failure}</Problem>}
      {shown?.length === 0 && <Empty title="None yet">What becomes of a client's token is shown here, with the reason.</Empty>}
      <ol className="handshakes" data-testid="handshakes">
        {shown?.map((handshake, at) => (
          <HandshakeRow key={`${handshake.at} ${shown.length - at}`} handshake={handshake} now={now} />
        ))}
      </ol>
    </section>
  );
}

function HandshakeRow({ handshake, now }: { handshake: Handshake; now: number }) {
  const { outcome, subject, issuer, audience, expiresInS } = handshake;
  const states = { accepted: "good", refused: "bad", unavailable: "wait" };
  return (
    <li>
      <span className="dot" data-state={states[outcome]} />
      <div>
        <p className="handshake-head">
          <strong>{outcome}</strong>
          {handshake.reason !== null && <code className="reason">{handshake.reason}</code>}
          <time className="soft" dateTime={new Date(handshake.at).toISOString()} title={fullOf(handshake.at)}>
            {agoOf(handshake.at, now)}
          </time>
        </p>
        {handshake.text !== null && <p className="break">{handshake.text}</p>}
        {handshake.remedy !== null && <p className="remedy break">{handshake.remedy}</p>}
        <p className="soft break">
          {[
            subject !== null && `subject ${subject}`,
            issuer !== null && `issuer ${issuer}`,
            audience !== null && `audience ${audience}`,
            expiresInS !== null && (expiresInS < 0 ? `expired ${spanOf(-expiresInS)} before` : `good for ${spanOf(expiresInS)}`),
          ]
            .filter(Boolean)
            .join(", ")}
        </p>
      </div>
    </li>
  );
}
