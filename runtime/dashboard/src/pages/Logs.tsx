// Logs: every call as it ends, with what it said.
import { useEffect, useState } from "react";
import { clearOnEscape, useRowKeys } from "../keyboard";
import { failureOf, identityOf, isSystem, levelOf, shortIdentityOf, textOf, useLog, type Entry } from "../log";
import { Choice, Copy, Empty, Fact, KindBadge, PageHead, Problem } from "../parts/small";
import { addressOf, follow, go, useRoute } from "../route";
import { bytesOf, clockOf, msOf } from "../time";

const levels = [
  ["all", "All"],
  ["said", "With lines"],
  ["warn", "Warnings"],
  ["error", "Failures"],
] as const;
type Level = (typeof levels)[number][0];

interface Wanted {
  words: string;
  level: Level;
  identity: string;
  system: boolean;
}

/** Rows in the page at once; older ones are asked for. */
const ROWS = 150;

export function LogsPage() {
  const { entries, failure } = useLog();
  const { search } = useRoute();
  const address = search.get("function") ?? search.get("request") ?? "";
  const [wanted, setWanted] = useState<Wanted>({ words: address, level: "all", identity: "", system: false });
  const [held, setHeld] = useState<Entry[] | null>(null);
  const [rows, setRows] = useState(ROWS);
  const { ref, onKeyDown } = useRowKeys<HTMLOListElement>();
  useEffect(() => setWanted((now) => ({ ...now, words: address })), [address]);

  const all = held ?? entries;
  const shown = all.filter((entry) => fits(entry, wanted)).reverse();
  const identities = [...new Set(entries.map(identityOf).filter(Boolean))].sort();
  const change = (part: Partial<Wanted>) => setWanted((now) => ({ ...now, ...part }));
  const fresh = held === null ? 0 : entries.filter((entry) => entry.key > (held.at(-1)?.key ?? -1) && fits(entry, wanted)).length;

  return (
    <>
      <PageHead title="Logs">
        <button type="button" className="button" aria-pressed={held !== null} onClick={() => setHeld(held === null ? entries : null)}>
          {held === null ? "Hold" : fresh > 0 ? `Go on (${fresh} new)` : "Go on"}
        </button>
      </PageHead>
      <div className="filter-bar" role="search" aria-label="Which calls">
        <input
          data-filter
          type="search"
          aria-label="Function, request or text"
          placeholder="Function, request, text…"
          className="wide"
          spellCheck={false}
          value={wanted.words}
          onChange={(event) => change({ words: event.target.value })}
          onKeyDown={clearOnEscape(() => {
            change({ words: "" });
            go(addressOf("logs"));
          })}
        />
        <Choice label="Level" choices={levels} value={wanted.level} choose={(level) => change({ level })} />
        <label>
          <span>As</span>
          <input
            type="search"
            list="identities"
            placeholder="anybody"
            spellCheck={false}
            value={wanted.identity}
            onChange={(event) => change({ identity: event.target.value })}
            onKeyDown={clearOnEscape(() => change({ identity: "" }))}
          />
        </label>
        <datalist id="identities">
          {identities.map((identity) => (
            <option key={identity} value={identity} />
          ))}
        </datalist>
        <label className="tick">
          <input type="checkbox" checked={wanted.system} onChange={(event) => change({ system: event.target.checked })} />
          <span>The server's own</span>
        </label>
      </div>
      {failure !== null && <Problem title="The log cannot be followed">{failure}</Problem>}
      <div className="panel grow">
        {shown.length === 0 ? (
          <Empty title={all.length === 0 ? "Nothing has been called yet" : "No call fits"}>They appear here at the moment they end.</Empty>
        ) : (
          <ol className="log" ref={ref} onKeyDown={onKeyDown} data-testid="log">
            {shown.slice(0, rows).map((entry, at) => (
              <Row key={entry.key} entry={entry} isFirst={at === 0} />
            ))}
          </ol>
        )}
        {shown.length > rows && (
          <button type="button" className="button more" onClick={() => setRows(rows + ROWS)}>
            {shown.length - rows} older
          </button>
        )}
      </div>
    </>
  );
}

function fits(entry: Entry, { words, level, identity, system }: Wanted): boolean {
  if (!system && isSystem(entry)) return false;
  if (!identityOf(entry).toLowerCase().includes(identity.trim().toLowerCase())) return false;
  if (level === "said" && entry.logLines.length === 0) return false;
  if (level === "warn" && failureOf(entry) === null && !entry.logLines.some((line) => ["WARN", "ERROR"].includes(levelOf(line)))) return false;
  if (level === "error" && failureOf(entry) === null) return false;
  const wanted = words.trim().toLowerCase();
  if (wanted === "") return true;
  const texts = [entry.identifier, entry.requestId, failureOf(entry) ?? "", ...entry.logLines.map(textOf)];
  return texts.some((text) => text.toLowerCase().includes(wanted));
}

function Row({ entry, isFirst }: { entry: Entry; isFirst: boolean }) {
  const [isOpen, setOpen] = useState(false);
  const failure = failureOf(entry);
  const took = entry.kind === "Progress" ? "…" : entry.cachedResult ? "cached" : msOf(entry.executionTime * 1000);
  return (
    <li className="log-entry" data-failed={failure !== null} data-open={isOpen}>
      <button type="button" className="log-row" data-row tabIndex={isFirst ? 0 : -1} aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        <time>{clockOf(entry.timestamp * 1000)}</time>
        <KindBadge kind={entry.udfType} />
        <span className="log-path cut">{entry.identifier}</span>
        <span className="log-took">{took}</span>
        <span className="log-text cut">
          {failure !== null ? (
            <span className="bad">{failure.split("\n")[0]}</span>
          ) : (
            entry.logLines.map(textOf).join("  ·  ") || <span className="soft">{shortIdentityOf(entry)}</span>
          )}
        </span>
      </button>
      {isOpen && <Detail entry={entry} failure={failure} />}
    </li>
  );
}

function Detail({ entry, failure }: { entry: Entry; failure: string | null }) {
  return (
    <div className="log-detail">
      {failure !== null && <pre className="bad">{failure}</pre>}
      {entry.logLines.length > 0 && (
        <ul className="log-lines">
          {entry.logLines.map((line, at) => (
            <li key={at} data-level={levelOf(line)}>
              <span className="level">{levelOf(line)}</span>
              <span>{textOf(line)}</span>
            </li>
          ))}
        </ul>
      )}
      <dl className="facts">
        <Fact name="Function">
          <a href={addressOf("functions", entry.identifier)} onClick={follow}>
            {entry.identifier}
          </a>
        </Fact>
        <Fact name="Request">
          <a href={addressOf("logs", null, { request: entry.requestId })} onClick={follow}>
            {entry.requestId}
          </a>{" "}
          <Copy text={entry.requestId} what="request id" />
        </Fact>
        {entry.kind === "Completion" && (
          <>
            <Fact name="As">{identityOf(entry)}</Fact>
            <Fact name="Called by">{entry.caller}</Fact>
            {entry.returnBytes !== null && <Fact name="Result">{bytesOf(entry.returnBytes)}</Fact>}
            <Usage stats={entry.usageStats} />
            {entry.occInfo != null && <Fact name="Conflict">{`${entry.occInfo.tableName ?? "?"}, ${entry.occInfo.retryCount ?? 0} retries`}</Fact>}
          </>
        )}
      </dl>
    </div>
  );
}

function Usage({ stats = {} }: { stats: Record<string, number> | undefined }) {
  const read = stats.databaseReadDocuments;
  const written = stats.databaseWriteDocuments;
  return (
    <>
      {read !== undefined && read > 0 && <Fact name="Read">{`${read} documents, ${bytesOf(stats.databaseReadBytes ?? 0)}`}</Fact>}
      {written !== undefined && written > 0 && <Fact name="Wrote">{`${written} documents, ${bytesOf(stats.databaseWriteBytes ?? 0)}`}</Fact>}
    </>
  );
}
