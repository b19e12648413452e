// Which documents, and in what order: an index, equal values for its first fields, then a range of the next.
import { useEffect, useState } from "react";
import type { Value } from "convex/values";
import { useLive } from "../../answers";
import { clearOnEscape } from "../../keyboard";
import { system, type IndexSpec } from "../../system";
import type { Validator } from "../../validators";
import { encode, parse, ParseFailure } from "../../values";
import type { TableInfo } from "../Data";

export type Op = "eq" | "gt" | "gte" | "lt" | "lte";

export interface Clause {
  op: Op;
  value: Value;
}

export interface Filter {
  index: string;
  clauses: Clause[];
  order: "asc" | "desc";
}

const BY_CREATION_TIME = "by_creation_time";
const BY_ID = "by_id";
export const noFilter: Filter = { index: BY_CREATION_TIME, clauses: [], order: "desc" };

const opNames: [Op, string][] = [
  ["eq", "="],
  ["gt", ">"],
  ["gte", "≥"],
  ["lt", "<"],
  ["lte", "≤"],
];

/** A filter as the server takes it: base64 of JSON; null when everything is wanted, newest first. */
export function encodeFilter(filter: Filter): string | null {
  if (filter === noFilter) return null;
  const clauses = filter.clauses.map(({ op, value }) => {
    const encoded = encode(value);
    if (op === "eq") return { type: "indexEq", enabled: true, value: encoded };
    const range = op === "gt" || op === "gte" ? { lowerOp: op, lowerValue: encoded } : { upperOp: op, upperValue: encoded };
    return { type: "indexRange", enabled: true, ...range };
  });
  const json = JSON.stringify({ clauses: [], order: filter.order, index: { name: filter.index, clauses } });
  return btoa(Array.from(new TextEncoder().encode(json), (byte) => String.fromCharCode(byte)).join(""));
}

interface Draft {
  op: Op;
  text: string;
}

export function FilterBar({ table, filter, change }: { table: TableInfo; filter: Filter; change: (filter: Filter) => void }) {
  const { value: indexes } = useLive(system.indexes, { tableName: table.name, tableNamespace: null });
  const usable = (indexes ?? []).filter(isUsable);
  const [drafts, setDrafts] = useState<Draft[]>([]);
  const index = usable.find(({ name }) => name === filter.index);
  const fields = index?.fields ?? [filter.index === BY_ID ? "_id" : "_creationTime"];
  const { clauses, problem } = read(table.document, fields, drafts);
  const wanted = JSON.stringify(clauses.map(({ op, value }) => [op, encode(value)]));

  useEffect(() => {
    if (problem === null && wanted !== JSON.stringify(filter.clauses.map(({ op, value }) => [op, encode(value)]))) {
      apply({ ...filter, clauses });
    }
    // What is wanted stands for the clauses, which are others with each render.
  }, [wanted, problem]);

  const apply = (next: Filter) => {
    const isNone = next.index === noFilter.index && next.order === noFilter.order && next.clauses.length === 0;
    change(isNone ? noFilter : next);
  };
  const set = (at: number, draft: Draft) => setDrafts(fields.map((_, place) => (place === at ? draft : (drafts[place] ?? empty))));
  const names = [...new Set([BY_CREATION_TIME, BY_ID, ...usable.map(({ name }) => name)])];
  // A field comes into play when those before it are equal to something.
  const inPlay = fields.filter((_, at) => drafts.slice(0, at).every(({ op, text }) => op === "eq" && text.trim() !== "") && drafts.length >= at);

  return (
    <div className="filter-bar" role="search" aria-label="Which documents">
      <label>
        <span>Index</span>
        <select
          value={filter.index}
          onChange={(event) => {
            setDrafts([]);
            apply({ ...filter, index: event.target.value, clauses: [] });
          }}
        >
          {names.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      {inPlay.map((field, at) => {
        const draft = drafts[at] ?? empty;
        return (
          <div className="clause" key={`${filter.index} ${field}`}>
            <label htmlFor={`clause-${at}`}>{field}</label>
            <select aria-label={`How ${field} compares`} value={draft.op} onChange={(event) => set(at, { ...draft, op: event.target.value as Op })}>
              {opNames.map(([op, sign]) => (
                <option key={op} value={op}>
                  {sign}
                </option>
              ))}
            </select>
            <input
              id={`clause-${at}`}
              data-filter
              placeholder="anything"
              spellCheck={false}
              autoComplete="off"
              aria-invalid={problem?.at === at}
              value={draft.text}
              onChange={(event) => set(at, { ...draft, text: event.target.value })}
              onKeyDown={clearOnEscape(() => set(at, empty))}
            />
          </div>
        );
      })}
      <label>
        <span>Order</span>
        <select value={filter.order} onChange={(event) => apply({ ...filter, order: event.target.value as Filter["order"] })}>
          <option value="desc">descending</option>
          <option value="asc">ascending</option>
        </select>
      </label>
      {filter !== noFilter && (
        <button
          type="button"
          className="button plain"
          onClick={() => {
            setDrafts([]);
            change(noFilter);
          }}
        >
          Clear
        </button>
      )}
      {problem !== null && (
        <p className="problem-line" role="alert">
          {problem.message}
        </p>
      )}
    </div>
  );
}

const empty: Draft = { op: "eq", text: "" };

function isUsable(index: IndexSpec): index is IndexSpec & { fields: string[] } {
  return !index.staged && Array.isArray(index.fields) && index.backfill.state === "done";
}

/** The drafts as clauses, up to the first empty one or the first range. */
function read(document: Validator, fields: string[], drafts: Draft[]): { clauses: Clause[]; problem: { at: number; message: string } | null } {
  const clauses: Clause[] = [];
  for (const [at, { op, text }] of drafts.entries()) {
    if (text.trim() === "" || at >= fields.length) break;
    const field = fields[at] ?? "";
    const value = valueOf(text, typeOfField(document, field));
    if (value instanceof ParseFailure) return { clauses, problem: { at, message: `${field}: ${value.message}` } };
    clauses.push({ op, value });
    if (op !== "eq") break;
  }
  return { clauses, problem: null };
}

function typeOfField(document: Validator, field: string): Validator {
  if (field === "_creationTime") return { type: "number" };
  if (field === "_id") return { type: "string" };
  const declared = document.type === "object" ? document.value[field] : undefined;
  return declared?.fieldType ?? { type: "any" };
}

/** A value as people write it: text without its quotes, whole numbers without their `n`, where the field is of that type. */
function valueOf(text: string, type: Validator): Value | ParseFailure {
  const isText = type.type === "string" || type.type === "id";
  if (isText && !/^\s*["']/.test(text)) return text.trim();
  try {
    const { value } = parse(text);
    return type.type === "bigint" && typeof value === "number" && Number.isInteger(value) ? BigInt(value) : value;
  } catch (error) {
    if (error instanceof ParseFailure) return error;
    throw error;
  }
}
