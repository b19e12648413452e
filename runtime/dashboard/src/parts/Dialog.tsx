// What stands over the page: at its side for documents, in the middle for short things. The browser's own dialog keeps
// the focus inside, gives it back, and closes on Esc.
import { useId, useLayoutEffect, useRef, type ReactNode } from "react";

interface DialogProps {
  title: ReactNode;
  kind: "side" | "small";
  close: () => void;
  /** Asked before Esc or a click beside it closes the dialog. */
  mayClose?: () => boolean;
  children: ReactNode;
}

export function Dialog({ title, kind, close, mayClose = () => true, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  // Before the element goes: closed in the document it gives the focus back.
  useLayoutEffect(() => {
    const element = dialog.current;
    if (element !== null && !element.open) element.showModal();
    element?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className={`dialog ${kind}`}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        if (mayClose()) close();
      }}
      onPointerDown={(event) => {
        if (event.target === dialog.current && mayClose()) close();
      }}
    >
      <div className="dialog-inside">
        <header className="dialog-head">
          <h2 id={titleId}>{title}</h2>
          <button type="button" className="button plain icon" aria-label="Close" onClick={close}>
            ✕
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
