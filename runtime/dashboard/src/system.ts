// The functions of the server that the dashboard calls over the sync protocol, and what they answer.
// Source: tests/spec/http-and-cli.md, sections 6 and 12.3.
import { makeFunctionReference } from "convex/server";
import type { Value } from "convex/values";

export type Doc = { _id: string; _creationTime: number } & Record<string, Value>;

export interface PageOf<Item> {
  page: Item[];
  isDone: boolean;
  continueCursor: string;
}

interface PaginationOpts {
  numItems: number;
  cursor: string | null;
  /** Means nothing to the server: it tells queries apart that are otherwise the same. */
  id?: number;
}

/** One function as the server describes it. */
export interface FunctionSpec {
  /** `dir/module.js:name`. */
  identifier?: string;
  functionType: "Query" | "Mutation" | "Action" | "HttpAction";
  visibility?: { kind: "public" | "internal" };
  args?: unknown;
  returns?: unknown;
  method?: string;
  path?: string;
}

export interface IndexSpec {
  name: string;
  /** Declared, and not yet to be used. */
  staged: boolean;
  fields: string[] | Record<string, unknown>;
  backfill: { state: string };
}

/** Documents of a table; there may be more. */
export interface Counted {
  documents: number;
  isAll: boolean;
}

/** What a mutation of documents says: a refusal is an answer, not an error. */
export type Changed = { success: true } | { success: false; error: string };

type None = Record<string, never>;
const none: { componentId: null } = { componentId: null };
/** An application has no components here; every function takes the argument all the same. */
export const root = none;
type Root = typeof none;

export const system = {
  functions: makeFunctionReference<"query", None, FunctionSpec[]>("_system/cli/modules:apiSpec"),
  tables: makeFunctionReference<"query", { paginationOpts: PaginationOpts }, PageOf<{ name: string }>>("_system/cli/tables"),
  schemas: makeFunctionReference<"query", Root, { active?: string; inProgress?: string }>("_system/frontend/getSchemas"),
  documents: makeFunctionReference<
    "query",
    Root & { table: string; filters: string | null; paginationOpts: PaginationOpts },
    PageOf<Doc | { error: string; filter: number }>
  >("_system/frontend/paginatedTableDocuments"),
  tableSize: makeFunctionReference<"query", { tableName: string }, Counted>("_system/syncline/tableSize"),
  indexes: makeFunctionReference<"query", { tableName: string; tableNamespace: null }, IndexSpec[]>("_system/frontend/indexes"),
  byId: makeFunctionReference<"query", Root & { ids: { id: string; tableName: string }[] }, (Doc | null)[]>(
    "_system/frontend/listById",
  ),
  add: makeFunctionReference<"mutation", Root & { table: string; documents: Record<string, Value>[] }, Changed>(
    "_system/frontend/addDocument",
  ),
  replace: makeFunctionReference<"mutation", Root & { id: string; document: Record<string, Value> }, Changed>(
    "_system/frontend/replaceDocument",
  ),
  remove: makeFunctionReference<"mutation", Root & { toDelete: { id: string; tableName: string }[] }, Changed>(
    "_system/frontend/deleteDocuments",
  ),
};
