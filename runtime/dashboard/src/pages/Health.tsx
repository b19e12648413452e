// Health: how much the server does, how fast, and what goes wrong; with the last minutes as they were seen here.
import { useCallback, useState } from "react";
import { Fact, PageHead, Problem } from "../parts/small";
import { usePolled, type Health, type Kind } from "../server";
import { useSession } from "../session";
import { bytesOf, countOf, msOf, spanOf } from "../time";

const EVERY_MS = 1000;
/** Points of a line. */
const KEPT = 120;

const kinds: [Kind, string][] = [
  ["query", "Queries"],
  ["mutation", "Mutations"],
  ["action", "Actions"],
  ["http", "HTTP actions"],
];

interface Point {
  at: number;
  health: Health;
}

export function HealthPage() {
  const { adminKey } = useSession();
  const [points, setPoints] = useState<Point[]>([]);
  const heard = useCallback((health: Health) => setPoints((now) => [...now, { at: performance.now(), health }].slice(-KEPT)), []);
  const { answer, failure } = usePolled<Health>("/api/syncline/health", adminKey, EVERY_MS, heard);
  return (
    <>
      <PageHead title="Health">{answer !== null && <span className="soft">up for {spanOf(answer.uptimeSeconds)}</span>}</PageHead>
      {failure !== null && <Problem title="The server could not be asked">{failure}</Problem>}
      {answer !== null && (
        <div className="health" data-testid="health">
          <Tiles health={answer} points={points} />
          <Calls health={answer} />
          <Store health={answer} />
        </div>
      )}
    </>
  );
}

function sum(counts: Record<Kind, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** A duration, or a dash where there was nothing to measure. */
function measured(ms: number | null | undefined): string {
  return ms == null ? "–" : msOf(ms);
}

function Tiles({ health, points }: { health: Health; points: Point[] }) {
  const calls = rates(points, ({ calls }) => sum(calls));
  const errors = rates(points, ({ errors }) => sum(errors));
  const commits = rates(points, ({ commits }) => commits);
  return (
    <div className="tiles">
      <Tile name="Calls" value={countOf(sum(health.calls))} line={calls} unit="a second" />
      <Tile name="Failures" value={countOf(sum(health.errors))} line={errors} unit="a second" isBad={errors.some((rate) => rate > 0)} />
      <Tile name="Commits" value={countOf(health.commits)} line={commits} unit="a second" />
      <Tile name="Sessions" value={countOf(health.sessions)} line={points.map((point) => point.health.sessions)} unit="" />
      <Tile name="Live queries" value={countOf(health.liveQueries)} line={points.map((point) => point.health.liveQueries)} unit="" />
      <Tile name="Sync to disk, median" value={measured(health.syncMs.p50)} line={points.map((point) => point.health.syncMs.p50 ?? 0)} unit="ms" />
    </div>
  );
}

/** What a counter rose by in a second, from one point to the next. A server that started anew counts from nothing. */
function rates(points: Point[], count: (health: Health) => number): number[] {
  return points.slice(1).map((point, at) => {
    const before = points[at];
    if (before === undefined) return 0;
    const seconds = (point.at - before.at) / 1000;
    return Math.max(0, count(point.health) - count(before.health)) / Math.max(seconds, 0.001);
  });
}

function Tile(props: { name: string; value: string; line: number[]; unit: string; isBad?: boolean }) {
  const { name, value, line, unit, isBad = false } = props;
  const last = line.at(-1) ?? 0;
  return (
    <section className="tile panel" aria-label={name}>
      <h2>{name}</h2>
      <p className="tile-value" data-bad={isBad}>
        {value}
      </p>
      <p className="soft">{unit === "a second" ? `${last < 10 ? last.toFixed(1) : countOf(Math.round(last))} a second` : "\u00a0"}</p>
      <Spark line={line} />
    </section>
  );
}

/** A line of the last minutes; the newest value at its right end. */
function Spark({ line }: { line: number[] }) {
  const top = Math.max(...line, 0) * 1.1 || 1;
  const x = (at: number) => 100 - (line.length - 1 - at) * (100 / (KEPT - 1));
  const points = line.map((value, at) => `${x(at).toFixed(2)},${(29 - (value / top) * 27).toFixed(2)}`);
  return (
    <svg className="spark" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">
      {points.length > 1 && (
        <>
          <polygon points={`${x(0).toFixed(2)},30 ${points.join(" ")} 100,30`} />
          <polyline points={points.join(" ")} />
        </>
      )}
    </svg>
  );
}

function Calls({ health }: { health: Health }) {
  return (
    <section className="panel" aria-labelledby="calls">
      <header className="panel-head">
        <h2 id="calls">Calls</h2>
      </header>
      <div className="table-scroll">
        <table className="numbers">
          <thead>
            <tr>
              <th scope="col">Kind</th>
              <th scope="col">Calls</th>
              <th scope="col">Failed</th>
              <th scope="col">p50</th>
              <th scope="col">p90</th>
              <th scope="col">p99</th>
            </tr>
          </thead>
          <tbody>
            {kinds.map(([kind, name]) => {
              const latency = health.latencyMs[kind];
              return (
                <tr key={kind}>
                  <th scope="row">{name}</th>
                  <td>{countOf(health.calls[kind])}</td>
                  <td className={health.errors[kind] > 0 ? "bad" : ""}>{countOf(health.errors[kind])}</td>
                  {(["p50", "p90", "p99"] as const).map((part) => (
                    <td key={part}>{measured(latency?.[part])}</td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Store({ health }: { health: Health }) {
  const facts: [string, string | null][] = [
    ["Commits", countOf(health.commits)],
    ["Conflicts, run again", countOf(health.conflicts)],
    ["Sync to disk, p50", measured(health.syncMs.p50)],
    ["Sync to disk, p99", measured(health.syncMs.p99)],
    ["Memory", health.memoryBytes === null ? null : bytesOf(health.memoryBytes)],
    ["Log", health.logBytes == null ? null : bytesOf(health.logBytes)],
    ["Store", health.storeBytes == null ? null : bytesOf(health.storeBytes)],
  ];
  return (
    <section className="panel" aria-labelledby="store">
      <header className="panel-head">
        <h2 id="store">Store</h2>
      </header>
      <dl className="facts columns">
        {facts.map(
          ([name, value]) =>
            value !== null && (
              <Fact key={name} name={name}>
                {value}
              </Fact>
            ),
        )}
      </dl>
    </section>
  );
}
