// Data: the tables, and the documents of one of them as they are this moment.
import { useEffect, useState } from "react";
import { useAsked, useLive } from "../answers";
import { Empty, PageHead, Problem } from "../parts/small";
import { addressOf, follow, go, replace, useRoute } from "../route";
import { root, system, type Counted } from "../system";
import { countOf } from "../time";
import { validatorOf, type Validator } from "../validators";
import { useRowKeys } from "../keyboard";
import { Documents } from "./data/Documents";

/** More tables than this are not listed. */
const TABLES_MAX = 1000;
/** Larger tables are counted now and then. */
const LIVE_COUNT_MAX = 500;
const COUNT_EVERY_MS = 3000;

export interface TableInfo {
  name: string;
  /** What its documents look like, system fields left out. */
  document: Validator;
}

export function DataPage() {
  const { subject } = useRoute();
  const { tables, failure } = useTables();
  const first = tables?.[0]?.name;
  useEffect(() => {
    if (subject === null && first !== undefined) replace(addressOf("data", first));
  }, [subject, first]);

  if (failure !== null) return <Problem title="The tables could not be read">{failure}</Problem>;
  if (tables === undefined) return <PageHead title="Data" />;
  if (tables.length === 0) {
    return (
      <>
        <PageHead title="Data" />
        <Empty title="This application has no tables">
          Declare one with <code>#[derive(Table)]</code> and name it in <code>schema![…]</code>.
        </Empty>
      </>
    );
  }
  const table = tables.find(({ name }) => name === (subject ?? first));
  return (
    <div className="split">
      <TableList tables={tables} current={table?.name} />
      <div className="split-main">
        {table === undefined ? (
          <>
            <PageHead title={subject} />
            <Empty title={`There is no table ${subject ?? ""}`}>Choose one of those that are.</Empty>
          </>
        ) : (
          <Documents key={table.name} table={table} />
        )}
      </div>
    </div>
  );
}

function useTables(): { tables: TableInfo[] | undefined; failure: string | null } {
  const listed = useLive(system.tables, { paginationOpts: { cursor: null, numItems: TABLES_MAX } });
  const schemas = useLive(system.schemas, root);
  const failure = listed.failure ?? schemas.failure;
  if (listed.value === undefined || schemas.value === undefined) return { tables: undefined, failure };
  const declared = parseSchema(schemas.value.active);
  const names = new Set([...declared.keys(), ...listed.value.page.map(({ name }) => name)]);
  const tables = [...names].sort().map((name) => ({ name, document: declared.get(name) ?? ({ type: "any" } as const) }));
  return { tables, failure };
}

/** The declared tables with what their documents look like. */
function parseSchema(text: string | undefined): Map<string, Validator> {
  if (text === undefined) return new Map();
  const schema = JSON.parse(text) as { tables: { tableName: string; documentType: unknown }[] };
  return new Map(schema.tables.map(({ tableName, documentType }) => [tableName, validatorOf(documentType)]));
}

function TableList({ tables, current }: { tables: TableInfo[]; current: string | undefined }) {
  const [words, setWords] = useState("");
  const { ref, onKeyDown } = useRowKeys<HTMLElement>();
  const shown = tables.filter(({ name }) => name.toLowerCase().includes(words.toLowerCase()));
  return (
    <nav className="split-list" aria-label="Tables" ref={ref} onKeyDown={onKeyDown}>
      <label className="only-narrow select-row">
        <span className="unseen">Table</span>
        <select value={current ?? ""} onChange={(event) => go(addressOf("data", event.target.value))}>
          {current === undefined && <option value="">Choose a table</option>}
          {tables.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <div className="only-wide">
        <p className="list-title">Tables</p>
        {tables.length > 12 && (
          <input aria-label="Find a table" placeholder="Find a table" value={words} onChange={(event) => setWords(event.target.value)} />
        )}
        <ul>
          {shown.map(({ name }) => (
            <li key={name}>
              <a data-row href={addressOf("data", name)} onClick={follow} aria-current={name === current ? "page" : undefined}>
                <span className="cut">{name}</span>
                <TableSize name={name} />
              </a>
            </li>
          ))}
        </ul>
      </div>
    </nav>
  );
}

/** Live as long as it costs next to nothing: the server counts again after each change, and reads what it counts. */
export function TableSize({ name }: { name: string }) {
  const args = { tableName: name };
  const [value, setValue] = useState<Counted | undefined>(undefined);
  const isLarge = value !== undefined && value.documents > LIVE_COUNT_MAX;
  const live = useLive(system.tableSize, isLarge ? "skip" : args);
  const asked = useAsked(system.tableSize, isLarge ? args : "skip", COUNT_EVERY_MS);
  const newest = isLarge ? asked : live.value;
  useEffect(() => {
    if (newest !== undefined) setValue(newest);
  }, [newest]);
  if (value === undefined) return <span className="count" />;
  return <span className="count">{value.isAll ? countOf(value.documents) : `${countOf(value.documents)}+`}</span>;
}
