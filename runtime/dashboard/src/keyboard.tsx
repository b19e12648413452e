// The keyboard: `g` and a letter goes to a page, `/` to its filter, `?` tells all of this.
import { useEffect, useRef, type KeyboardEvent as ReactKeyboardEvent, type RefObject } from "react";
import { addressOf, go, type PageName } from "./route";
import { Dialog } from "./parts/Dialog";

export const pageKeys: Record<string, PageName> = {
  d: "data",
  f: "functions",
  l: "logs",
  a: "auth",
  q: "queries",
  h: "health",
};

/** How long a `g` waits for its letter. */
const CHORD_MS = 1500;

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Listens for the keys that work on every page. */
export function usePageKeys(showHelp: () => void) {
  const chordAt = useRef(-Infinity);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector("dialog[open]") !== null) return;
      const page = pageKeys[event.key];
      if (event.timeStamp - chordAt.current < CHORD_MS && page !== undefined) {
        chordAt.current = -Infinity;
        event.preventDefault();
        go(addressOf(page));
      } else if (event.key === "g") {
        chordAt.current = event.timeStamp;
      } else if (event.key === "/") {
        const filter = document.querySelector<HTMLElement>("main [data-filter]");
        if (filter === null) return;
        event.preventDefault();
        filter.focus();
        if (filter instanceof HTMLInputElement) filter.select();
      } else if (event.key === "n") {
        const add = document.querySelector<HTMLElement>("main [data-new]");
        if (add === null) return;
        event.preventDefault();
        add.click();
      } else if (event.key === "?") {
        event.preventDefault();
        showHelp();
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [showHelp]);
}

/** Leaves a filter with Esc: empties it first. */
export function clearOnEscape(clear: () => void) {
  return (event: ReactKeyboardEvent<HTMLInputElement>) => {
    if (event.key !== "Escape") return;
    if (event.currentTarget.value === "") event.currentTarget.blur();
    else clear();
    event.stopPropagation();
  };
}

/** Arrow keys in a list: up and down between the elements marked `data-row`, Home and End to its ends. */
export function useRowKeys<List extends HTMLElement>(): {
  ref: RefObject<List | null>;
  onKeyDown: (event: ReactKeyboardEvent<List>) => void;
} {
  const ref = useRef<List>(null);
  const onKeyDown = (event: ReactKeyboardEvent<List>) => {
    if (isTyping(event.target)) return;
    const rows = [...(ref.current?.querySelectorAll<HTMLElement>("[data-row]") ?? [])];
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const next = { ArrowDown: at + 1, ArrowUp: Math.max(at - 1, 0), Home: 0, End: rows.length - 1 }[event.key];
    const row = next === undefined ? undefined : rows[Math.min(next, rows.length - 1)];
    if (row === undefined) return;
    event.preventDefault();
    row.focus();
  };
  return { ref, onKeyDown };
}

const help: [string, string][] = [
  ["g d", "Data"],
  ["g f", "Functions"],
  ["g l", "Logs"],
  ["g a", "Auth"],
  ["g q", "Live queries"],
  ["g h", "Health"],
  ["/", "To the filter of the page"],
  ["↑ ↓", "Between rows"],
  ["Enter", "Opens the row"],
  ["c", "Copies the id of the row's document"],
  ["n", "A new document"],
  ["Delete", "Deletes the row's document, after a question"],
  ["Ctrl Enter", "Saves, or runs"],
  ["Esc", "Closes, clears"],
  ["?", "This"],
];

export function Help({ close }: { close: () => void }) {
  return (
    <Dialog title="Keyboard" close={close} kind="small">
      <dl className="help">
        {help.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
