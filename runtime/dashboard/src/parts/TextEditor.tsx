// A box for a value as text, with what is wrong with it said below, each thing with the way to its place.
import { useId, useMemo, useRef, useState } from "react";
import type { Value } from "convex/values";
import { lineOf, parse, ParseFailure } from "../values";
import { check, type Validator } from "../validators";

interface PlacedFault {
  message: string;
  from: number;
  to: number;
}

export interface ValueText {
  text: string;
  set: (text: string) => void;
  /** Undefined while the text is no value. */
  value: Value | undefined;
  faults: PlacedFault[];
}

/** A text that stands for a value of this shape. */
export function useValueText(initially: string, shape: Validator): ValueText {
  const [text, set] = useState(initially);
  const read = useMemo(() => readText(text, shape), [text, shape]);
  return { text, set, ...read };
}

function readText(text: string, shape: Validator): Pick<ValueText, "value" | "faults"> {
  try {
    const { value, places } = parse(text);
    const faults = check(shape, value).map(({ path, message }) => {
      const { from, to } = places.get(path) ?? { from: 0, to: text.length };
      return { message: path === "" ? message : `${path}: ${message}`, from, to };
    });
    return { value, faults };
  } catch (error) {
    if (!(error instanceof ParseFailure)) throw error;
    return { value: undefined, faults: [{ message: error.message, from: error.at, to: error.at + 1 }] };
  }
}

export function TextEditor(props: { label: string; text: ValueText; submit: () => void; isFirst?: boolean }) {
  const { label, text, submit, isFirst } = props;
  const area = useRef<HTMLTextAreaElement>(null);
  const id = useId();
  const goTo = ({ from, to }: PlacedFault) => {
    area.current?.focus();
    area.current?.setSelectionRange(from, to);
  };
  return (
    <div className="text-editor">
      <label htmlFor={id}>{label}</label>
      <textarea
        id={id}
        ref={area}
        spellCheck={false}
        autoCapitalize="off"
        data-first={isFirst}
        aria-invalid={text.faults.length > 0}
        aria-describedby={`${id}-faults`}
        value={text.text}
        onChange={(event) => text.set(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          submit();
        }}
      />
      <ul className="faults" id={`${id}-faults`} aria-live="polite">
        {text.faults.map((fault) => (
          <li key={`${fault.from} ${fault.message}`}>
            <button type="button" className="fault-place" onClick={() => goTo(fault)}>
              line {lineOf(text.text, fault.from).line}
            </button>
            <span>{fault.message}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
