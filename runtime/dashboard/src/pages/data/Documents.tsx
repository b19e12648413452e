// The documents of one table: a page at a time, live, by any of its indexes.
import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type MouseEvent } from "react";
import type { Value } from "convex/values";
import { useLive } from "../../answers";
import { useRowKeys } from "../../keyboard";
import { Copy, Empty, PageHead, Problem } from "../../parts/small";
import { addressOf, follow, go, replace, useRoute } from "../../route";
import { root, system, type Doc } from "../../system";
import { fullOf, momentOf } from "../../time";
import { printLine, typeOf } from "../../values";
import { TableSize, type TableInfo } from "../Data";
import { DeleteQuestion } from "./DeleteQuestion";
import { Editor } from "./Editor";
import { FilterBar, noFilter, encodeFilter, type Filter } from "./FilterBar";

/** Documents on one page. */
const PAGE_SIZE = 50;
/** More of a value is not put into a cell. */
const CELL_CHARS_MAX = 160;

type Open = { what: "nothing" } | { what: "new" } | { what: "delete"; doc: Doc };

export function Documents({ table }: { table: TableInfo }) {
  const { search } = useRoute();
  const openId = search.get("id");
  const [filter, setFilter] = useState<Filter>(noFilter);
  // The cursors of the pages up to this one.
  const [cursors, setCursors] = useState<(string | null)[]>([null]);
  const [open, setOpen] = useState<Open>({ what: "nothing" });
  const filters = useMemo(() => encodeFilter(filter), [filter]);
  const { value, failure, isStale } = usePage(table.name, filters, cursors.at(-1) ?? null);
  const page = value?.page ?? [];
  const docs = page.filter(isDoc);
  const faults = page.filter((entry) => !isDoc(entry)).map(({ error }) => error as string);

  const close = () => {
    setOpen({ what: "nothing" });
    if (openId !== null) replace(addressOf("data", table.name));
  };
  return (
    <>
      <PageHead
        title={
          <>
            <span className="cut">{table.name}</span> <TableSize key={table.name} name={table.name} />
          </>
        }
      >
        <button type="button" className="button primary" data-new onClick={() => setOpen({ what: "new" })}>
          Add document
        </button>
      </PageHead>
      <FilterBar
        table={table}
        filter={filter}
        change={(next) => {
          setFilter(next);
          setCursors([null]);
        }}
      />
      {failure !== null && <Problem title="The documents could not be read">{failure}</Problem>}
      {faults.length > 0 && <Problem title="The filter does not fit">{faults.join("\n")}</Problem>}
      <div className="panel grow">
        {value === undefined && failure === null && <p className="soft pad">Loading…</p>}
        {value !== undefined && docs.length === 0 && faults.length === 0 && (
          <Empty title={filter === noFilter ? "No documents yet" : "No document fits"}>
            {filter === noFilter ? "They appear here at the moment they are written." : "Those that come to fit appear here by themselves."}
          </Empty>
        )}
        {docs.length > 0 && (
          <DocumentTable
            table={table}
            docs={docs}
            isStale={isStale}
            openDoc={(doc) => go(addressOf("data", table.name, { id: doc._id }))}
            deleteDoc={(doc) => setOpen({ what: "delete", doc })}
          />
        )}
      </div>
      <Pager
        page={cursors.length}
        shown={docs.length}
        next={value !== undefined && !value.isDone && !isStale ? () => setCursors([...cursors, value.continueCursor]) : null}
        back={cursors.length > 1 ? () => setCursors(cursors.slice(0, -1)) : null}
      />
      {open.what === "new" && <Editor key="new" table={table} id={null} close={close} />}
      {openId !== null && open.what !== "delete" && (
        <Editor key={openId} table={table} id={openId} close={close} remove={(doc) => setOpen({ what: "delete", doc })} />
      )}
      {open.what === "delete" && <DeleteQuestion table={table.name} doc={open.doc} close={close} />}
    </>
  );
}

/**
 * A page of documents, live. The server keeps the ends of a page that is watched where they are, so the page grows and
 * shrinks with what is written into it: when it has become too long, or much too short, it is asked for anew.
 */
function usePage(table: string, filters: string | null, cursor: string | null) {
  const [round, setRound] = useState(0);
  const began = useRef({ key: "", length: 0 });
  // The id makes it another query, which does not know where the earlier one ended.
  const paginationOpts = { numItems: PAGE_SIZE, cursor, id: round };
  const live = useLive(system.documents, { ...root, table, filters, paginationOpts });
  const { value, isStale } = live;
  const key = `${filters ?? ""} ${cursor ?? ""} ${round}`;
  useEffect(() => {
    if (value === undefined || isStale) return;
    const { length } = value.page;
    // The first value seen of a page may be a later one, grown already: several that come together are shown as one.
    if (began.current.key !== key) began.current = { key, length };
    if (length > PAGE_SIZE || (!value.isDone && length < began.current.length / 2)) setRound(round + 1);
  }, [value, isStale, key, round]);
  return live;
}

function isDoc(entry: Doc | { error: string; filter: number }): entry is Doc {
  return "_id" in entry;
}

function Pager(props: { page: number; shown: number; next: (() => void) | null; back: (() => void) | null }) {
  if (props.next === null && props.back === null) return null;
  return (
    <nav className="pager" aria-label="Pages of documents">
      <button type="button" className="button" disabled={props.back === null} onClick={props.back ?? undefined}>
        ← Back
      </button>
      <span className="soft" role="status">
        Page {props.page}, {props.shown} documents
      </span>
      <button type="button" className="button" disabled={props.next === null} onClick={props.next ?? undefined}>
        Next →
      </button>
    </nav>
  );
}

interface DocumentTableProps {
  table: TableInfo;
  docs: Doc[];
  isStale: boolean;
  openDoc: (doc: Doc) => void;
  deleteDoc: (doc: Doc) => void;
}

function DocumentTable({ table, docs, isStale, openDoc, deleteDoc }: DocumentTableProps) {
  const { ref, onKeyDown } = useRowKeys<HTMLTableElement>();
  const columns = columnsOf(table, docs);
  const onRowKey = (event: KeyboardEvent, doc: Doc) => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter") openDoc(doc);
    else if (event.key === "c") void navigator.clipboard.writeText(doc._id);
    else if (event.key === "Delete" || event.key === "Backspace") deleteDoc(doc);
    else return;
    event.preventDefault();
  };
  return (
    <div className="table-scroll" data-stale={isStale}>
      <table className="documents" ref={ref} onKeyDown={onKeyDown} data-testid="documents">
        <thead>
          <tr>
            <th scope="col">_id</th>
            {columns.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
            <th scope="col">_creationTime</th>
          </tr>
        </thead>
        <tbody>
          {docs.map((doc, at) => (
            <tr
              key={doc._id}
              data-row
              data-id={doc._id}
              tabIndex={at === 0 ? 0 : -1}
              aria-label={`Document ${doc._id}`}
              onClick={() => openDoc(doc)}
              onKeyDown={(event) => onRowKey(event, doc)}
            >
              <td className="id" data-label="_id">
                <Copy text={doc._id} what="id">
                  <code>{shortId(doc._id)}</code>
                </Copy>
              </td>
              {columns.map((name) => (
                <Cell key={name} name={name} value={doc[name]} refersTo={tableOfIds(table, name)} />
              ))}
              <td className="time" data-label="_creationTime">
                <time dateTime={new Date(doc._creationTime).toISOString()} title={fullOf(doc._creationTime)}>
                  {momentOf(doc._creationTime)}
                </time>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A field of a document; an id leads to its document. */
function Cell({ name, value, refersTo }: { name: string; value: Value | undefined; refersTo: string | null }) {
  const type = typeOf(value);
  if (refersTo !== null && typeof value === "string") {
    const goThere = (event: MouseEvent<HTMLAnchorElement>) => {
      event.stopPropagation();
      follow(event);
    };
    return (
      <td data-label={name} data-type="id">
        <a href={addressOf("data", refersTo, { id: value })} title={`${value}, in ${refersTo}`} onClick={goThere}>
          <code>{shortId(value)}</code>
        </a>
      </td>
    );
  }
  const text = typeof value === "string" ? value : printLine(value);
  return (
    <td data-label={name} data-type={type}>
      <span className="cell">{text.length > CELL_CHARS_MAX ? `${text.slice(0, CELL_CHARS_MAX)}…` : text}</span>
    </td>
  );
}

/** Ids of a table begin alike: their ends tell them apart. */
function shortId(id: string): string {
  return id.length > 12 ? `…${id.slice(-8)}` : id;
}

/** The table whose ids a field holds. */
function tableOfIds(table: TableInfo, field: string): string | null {
  const type = table.document.type === "object" ? table.document.value[field]?.fieldType : undefined;
  return type?.type === "id" ? type.tableName : null;
}

/** The declared fields in their order, then whatever else the documents have. */
function columnsOf(table: TableInfo, docs: Doc[]): string[] {
  const declared = table.document.type === "object" ? Object.keys(table.document.value) : [];
  const names = new Set([...declared, ...docs.flatMap((doc) => Object.keys(doc))]);
  names.delete("_id");
  names.delete("_creationTime");
  return [...names];
}
