// Deleting a document, after a question.
import { useState } from "react";
import { useMutation } from "convex/react";
import { tidy } from "../../answers";
import { Dialog } from "../../parts/Dialog";
import { Problem } from "../../parts/small";
import { reasonOf } from "../../server";
import { root, system, type Doc } from "../../system";
import { printFields } from "../../values";

export function DeleteQuestion({ table, doc, close }: { table: string; doc: Doc; close: () => void }) {
  const remove = useMutation(system.remove);
  const [deleting, setDeleting] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);
  const confirm = async () => {
    setDeleting(true);
    try {
      const changed = await remove({ ...root, toDelete: [{ id: doc._id, tableName: table }] });
      if (!changed.success) throw new Error(changed.error);
      close();
    } catch (error) {
      setRefusal(tidy(reasonOf(error)));
      setDeleting(false);
    }
  };
  return (
    <Dialog title="Delete this document?" kind="small" close={close}>
      <pre className="preview">{printFields(doc)}</pre>
      <p className="soft">It is gone for everybody at once, and there is no way back.</p>
      {refusal !== null && <Problem title="It was not deleted">{refusal}</Problem>}
      <div className="button-row">
        <button type="button" className="button danger" data-first disabled={deleting} onClick={() => void confirm()}>
          {deleting ? "Deleting…" : "Delete"}
        </button>
        <button type="button" className="button" onClick={close}>
          Keep it
        </button>
      </div>
    </Dialog>
  );
}
