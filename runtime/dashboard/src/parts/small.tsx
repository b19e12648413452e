// Small things that several pages share.
import { Component, useEffect, useState, type KeyboardEvent, type ReactNode } from "react";

/** Copies a text, and says that it has. */
export function Copy({ text, what, children }: { text: string; what: string; children?: ReactNode }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1200);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => {
    void navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => undefined,
    );
  };
  return (
    <button
      type="button"
      className="copy"
      title={text}
      aria-label={copied ? "Copied" : `Copy ${what}`}
      data-copied={copied}
      onClick={(event) => {
        event.stopPropagation();
        copy();
      }}
    >
      {children}
      <svg viewBox="0 0 16 16" width="13" height="13" aria-hidden="true">
        {copied ? <path d="M3 8.5l3.2 3L13 4.5" /> : <path d="M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3" />}
      </svg>
    </button>
  );
}

export function Problem({ title, children }: { title?: string; children: ReactNode }) {
  return (
    <div className="problem" role="alert">
      {title !== undefined && <strong>{title}</strong>}
      <span className="problem-text">{children}</span>
    </div>
  );
}

/** A page, or a part of one, that has nothing to show. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children !== undefined && <p className="soft">{children}</p>}
    </div>
  );
}

export function PageHead({ title, children }: { title: ReactNode; children?: ReactNode }) {
  return (
    <header className="page-head">
      <h1>{title}</h1>
      <div className="page-actions">{children}</div>
    </header>
  );
}

/** A name and what there is to say of it, in a list of such. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

const kindNames: Record<string, string> = { Q: "Query", M: "Mutation", A: "Action", H: "HTTP action" };

/** One letter in a colour for the kind of a function. */
export function KindBadge({ kind }: { kind: string }) {
  const letter = kind.charAt(0).toUpperCase();
  return (
    <span className="kind" data-kind={letter} title={kindNames[letter] ?? kind}>
      <span aria-hidden="true">{letter}</span>
      <span className="unseen">{kindNames[letter] ?? kind}</span>
    </span>
  );
}

/** Two to four choices, of which one holds. */
export function Choice<Name extends string>(props: {
  label: string;
  choices: readonly (readonly [Name, string])[];
  value: Name;
  choose: (name: Name) => void;
}) {
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = props.choices.findIndex(([name]) => name === props.value);
    const to = (at + step + props.choices.length) % props.choices.length;
    const next = props.choices[to]?.[0];
    if (next !== undefined) props.choose(next);
    event.currentTarget.querySelectorAll("button")[to]?.focus();
  };
  return (
    <div className="choice" role="radiogroup" aria-label={props.label} onKeyDown={onKeyDown}>
      {props.choices.map(([name, text]) => (
        <button
          key={name}
          type="button"
          role="radio"
          aria-checked={name === props.value}
          tabIndex={name === props.value ? 0 : -1}
          onClick={() => props.choose(name)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

/** A part of the page that failed leaves the others alone. */
export class Boundary extends Component<{ children: ReactNode }, { failure: string | null }> {
  override state = { failure: null };

  static getDerivedStateFromError(error: unknown) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    if (this.state.failure === null) return this.props.children;
    return (
      <div className="boundary">
        <Problem title="This page could not be shown">{this.state.failure}</Problem>
        <button type="button" className="button" onClick={() => this.setState({ failure: null })}>
          Try again
        </button>
      </div>
    );
  }
}
