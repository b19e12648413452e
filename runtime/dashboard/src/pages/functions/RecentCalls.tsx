// The latest calls of one function, or of all, from the log.
import { addressOf, follow } from "../../route";
import { failureOf, identityOf, isSystem, shortIdentityOf, useLog, type Completion, type Entry } from "../../log";
import { clockOf, msOf } from "../../time";

/** Calls that are shown; the logs have the others. */
const SHOWN_MAX = 20;

export function RecentCalls({ path }: { path: string | null }) {
  const { entries, failure } = useLog();
  const isWanted = (entry: Entry): entry is Completion & { key: number } =>
    entry.kind === "Completion" && (path === null ? !isSystem(entry) : entry.identifier === path);
  const calls = entries.filter(isWanted).slice(-SHOWN_MAX).reverse();
  return (
    <section className="panel" aria-label="Recent calls">
      <header className="panel-head">
        <h2>Recent calls</h2>
        <a href={addressOf("logs", null, path === null ? {} : { function: path })} onClick={follow}>
          In the logs
        </a>
      </header>
      {calls.length === 0 ? (
        <p className="soft pad">{failure ?? "None yet. They appear here as they end."}</p>
      ) : (
        <ul className="calls">
          {calls.map((call) => (
            <li key={call.key} data-failed={call.error !== null}>
              <time>{clockOf(call.timestamp * 1000)}</time>
              {path === null && <span className="call-path cut">{call.identifier}</span>}
              <span className="call-took">{call.cachedResult ? "cached" : msOf(call.executionTime * 1000)}</span>
              <span className="soft cut" title={identityOf(call)}>
                {shortIdentityOf(call)}
              </span>
              <span className="call-end cut">{failureOf(call) ?? "ok"}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
