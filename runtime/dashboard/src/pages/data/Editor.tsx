// A document as text: read, changed and added. What is wrong with it is said while it is written; the server decides.
import { useRef, useState } from "react";
import { useMutation } from "convex/react";
import type { Value } from "convex/values";
import { tidy, useLive } from "../../answers";
import { Dialog } from "../../parts/Dialog";
import { Copy, Empty, Problem } from "../../parts/small";
import { TextEditor, useValueText } from "../../parts/TextEditor";
import { reasonOf } from "../../server";
import { root, system, type Changed, type Doc } from "../../system";
import { fullOf } from "../../time";
import { printFields } from "../../values";
import { describe, draft } from "../../validators";
import type { TableInfo } from "../Data";

interface EditorProps {
  table: TableInfo;
  /** Null for a new document. */
  id: string | null;
  close: () => void;
  remove?: (doc: Doc) => void;
}

export function Editor({ table, id, close, remove }: EditorProps) {
  const { value, failure } = useLive(system.byId, id === null ? "skip" : { ...root, ids: [{ id, tableName: table.name }] });
  const doc = value?.[0];
  if (id === null) return <Form table={table} doc={null} close={close} />;
  if (doc != null) return <Form table={table} doc={doc} close={close} remove={remove} />;
  if (value === undefined && failure === null) return null;
  return (
    <Dialog title="Document" kind="side" close={close}>
      {failure !== null && <Problem title="The document could not be read">{failure}</Problem>}
      {value !== undefined && (
        <Empty title="There is no such document">
          <code>{id}</code> was deleted, or never was in {table.name}.
        </Empty>
      )}
    </Dialog>
  );
}

interface FormProps {
  table: TableInfo;
  /** As the server has it this moment. */
  doc: Doc | null;
  close: () => void;
  remove?: (doc: Doc) => void;
}

function Form({ table, doc, close, remove }: FormProps) {
  const stored = doc === null ? firstDraft(table) : printFields(fieldsOf(doc));
  // What the text was made of; the server may have something newer by now.
  const [base, setBase] = useState(stored);
  const text = useValueText(stored, table.document);
  const [saving, setSaving] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);
  const add = useMutation(system.add);
  const replace = useMutation(system.replace);
  const touched = text.text !== base;
  const saved = useRef(false);

  // Nobody has typed: the text follows the document.
  if (stored !== base && !touched) {
    setBase(stored);
    text.set(stored);
  }
  const save = async () => {
    if (saving || text.value === undefined || text.faults.length > 0) return;
    setSaving(true);
    setRefusal(null);
    try {
      const fields = text.value as Record<string, Value>;
      const changed: Changed =
        doc === null
          ? await add({ ...root, table: table.name, documents: [fields] })
          : await replace({ ...root, id: doc._id, document: { _id: doc._id, _creationTime: doc._creationTime, ...fields } });
      if (!changed.success) throw new Error(changed.error);
      saved.current = true;
      close();
    } catch (error) {
      setRefusal(tidy(reasonOf(error)));
      setSaving(false);
    }
  };
  const mayClose = () => saved.current || !touched || window.confirm("Leave without saving what you have written?");

  return (
    <Dialog title={doc === null ? `New document in ${table.name}` : `Document in ${table.name}`} kind="side" close={() => mayClose() && close()} mayClose={mayClose}>
      {doc !== null && (
        <dl className="facts">
          <div>
            <dt>_id</dt>
            <dd>
              <Copy text={doc._id} what="id">
                <code>{doc._id}</code>
              </Copy>
            </dd>
          </div>
          <div>
            <dt>_creationTime</dt>
            <dd>
              {fullOf(doc._creationTime)} <span className="soft">({doc._creationTime})</span>
            </dd>
          </div>
        </dl>
      )}
      {stored !== base && touched && (
        <div className="notice" role="status">
          <span>The document has changed since you began.</span>
          <button
            type="button"
            className="button"
            onClick={() => {
              setBase(stored);
              text.set(stored);
            }}
          >
            Show the new one
          </button>
        </div>
      )}
      <TextEditor label="Fields" text={text} submit={() => void save()} isFirst />
      {refusal !== null && <Problem title="The server did not save it">{refusal}</Problem>}
      <div className="button-row">
        <button
          type="button"
          className="button primary"
          disabled={saving || text.value === undefined || text.faults.length > 0 || (doc !== null && !touched)}
          onClick={() => void save()}
        >
          {saving ? "Saving…" : doc === null ? "Add" : "Save"}
        </button>
        <button type="button" className="button" onClick={() => mayClose() && close()}>
          Cancel
        </button>
        {doc !== null && (
          <button type="button" className="button danger last" onClick={() => remove?.(doc)}>
            Delete…
          </button>
        )}
      </div>
      <details className="shape">
        <summary>What a document of {table.name} looks like</summary>
        <pre>{describe(table.document)}</pre>
        <p className="soft">
          <code>5n</code> is an int64, <code>bytes("aGk=")</code> are bytes in base64. Fields in their encoded form, such as{" "}
          <code>{'{"$integer": "BQAAAAAAAAA="}'}</code>, are taken too.
        </p>
      </details>
    </Dialog>
  );
}

function firstDraft(table: TableInfo): string {
  const value = draft(table.document);
  return printFields(typeof value === "object" && value !== null ? (value as Record<string, Value>) : {});
}

function fieldsOf(doc: Doc): Record<string, Value> {
  const { _id, _creationTime, ...fields } = doc;
  return fields;
}
