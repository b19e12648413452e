// Live queries: what is subscribed to by how many, what it reads, and why it ran again.
import { useState } from "react";
import { clearOnEscape, useRowKeys } from "../keyboard";
import { Empty, Fact, KindBadge, PageHead, Problem } from "../parts/small";
import { addressOf, follow } from "../route";
import { usePolled, type LiveQuery } from "../server";
import { useSession } from "../session";
import { agoOf, bytesOf, countOf, msOf, useNow } from "../time";

const EVERY_MS = 1000;

export function QueriesPage() {
  const { adminKey } = useSession();
  const { answer, failure } = usePolled<{ queries: LiveQuery[] }>("/api/syncline/live_queries", adminKey, EVERY_MS);
  const [words, setWords] = useState("");
  const [system, setSystem] = useState(false);
  const { ref, onKeyDown } = useRowKeys<HTMLOListElement>();
  const all = (answer?.queries ?? []).filter(({ path }) => system || !path.startsWith("_system/"));
  const shown = all.filter((query) => fits(query, words.trim().toLowerCase()));
  const watchers = all.reduce((sum, query) => sum + query.watchers, 0);
  return (
    <>
      <PageHead title="Live queries">
        {answer !== null && (
          <span className="soft">
            {countOf(all.length)} queries, {countOf(watchers)} watchers
          </span>
        )}
      </PageHead>
      <div className="filter-bar" role="search" aria-label="Which queries">
        <input
          data-filter
          type="search"
          className="wide"
          aria-label="Function, arguments, identity or table"
          placeholder="Function, arguments, identity, table…"
          value={words}
          onChange={(event) => setWords(event.target.value)}
          onKeyDown={clearOnEscape(() => setWords(""))}
        />
        <label className="tick">
          <input type="checkbox" checked={system} onChange={(event) => setSystem(event.target.checked)} />
          <span>The server's own</span>
        </label>
      </div>
      {failure !== null && <Problem title="The live queries could not be asked for">{failure}</Problem>}
      <div className="panel grow">
        {answer !== null && shown.length === 0 && (
          <Empty title={all.length === 0 ? "Nobody is watching anything" : "No query fits"}>
            A query is listed here while a client is subscribed to it.
          </Empty>
        )}
        <ol className="queries" ref={ref} onKeyDown={onKeyDown} data-testid="queries">
          {shown.map((query, at) => (
            <Row key={`${query.path} ${query.args} ${query.identity ?? ""}`} query={query} isFirst={at === 0} />
          ))}
        </ol>
      </div>
    </>
  );
}

function fits({ path, args, identity, reads }: LiveQuery, words: string): boolean {
  return words === "" || [path, args, identity ?? "", ...reads].some((text) => text.toLowerCase().includes(words));
}

/** The arguments themselves, without the list around them. */
function inner(args: string): string {
  return /^\[(.*)\]$/s.exec(args)?.[1] ?? args;
}

function Row({ query, isFirst }: { query: LiveQuery; isFirst: boolean }) {
  const [isOpen, setOpen] = useState(false);
  const now = useNow();
  return (
    <li className="query">
      <button type="button" className="query-row" data-row tabIndex={isFirst ? 0 : -1} aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        <KindBadge kind="Query" />
        <span className="query-name">
          <strong>{query.path}</strong> <code className="cut">{inner(query.args)}</code>
        </span>
        <span className="query-number">
          <b>{countOf(query.watchers)}</b> {query.watchers === 1 ? "watcher" : "watchers"}
        </span>
        {/* Another key at each run: the animation starts anew. */}
        <span className="query-number ran" key={query.runs}>
          <b>{countOf(query.runs)}</b> {query.runs === 1 ? "run" : "runs"}
        </span>
        <span className="query-cause soft cut">
          {agoOf(query.lastRunAt, now)}: {query.cause}
        </span>
      </button>
      {isOpen && (
        <dl className="facts query-detail">
          <Fact name="Function">
            <a href={addressOf("functions", query.path)} onClick={follow}>
              {query.path}
            </a>
          </Fact>
          <Fact name="Arguments">
            <code className="break">{inner(query.args)}</code>
          </Fact>
          <Fact name="As">{query.identity ?? "anybody: the result does not depend on who asks"}</Fact>
          <Fact name="Last run">
            {agoOf(query.lastRunAt, now)}, {msOf(query.lastRunMs)}, {bytesOf(query.resultBytes)}
          </Fact>
          <Fact name="Why">{query.cause}</Fact>
          <Fact name="Reads">
            {query.reads.length === 0 ? (
              <span className="soft">nothing</span>
            ) : (
              <ul className="reads">
                {query.reads.map((range) => (
                  <li key={range}>
                    <code className="break">{range}</code>
                  </li>
                ))}
              </ul>
            )}
          </Fact>
        </dl>
      )}
    </li>
  );
}
