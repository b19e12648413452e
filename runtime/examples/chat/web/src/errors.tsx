// Errors, shown where they happen.
import { Component, type ReactNode } from "react";
import { ConvexError } from "convex/values";

/** The data of the `ConvexError`s that the server's functions throw. */
export interface AppErrorData {
  code: "UNAUTHENTICATED" | "FORBIDDEN" | "UNKNOWN_USER" | "INVALID";
  message: string;
}

/** What to tell a person: the application's own words where it sent some, else the server's. */
export function reasonOf(error: unknown): string {
  if (error instanceof ConvexError) {
    const data = error.data as Partial<AppErrorData> | string | null;
    if (typeof data === "string") return data;
    if (typeof data?.message === "string") return data.message;
  }
  if (!(error instanceof Error)) return String(error);
  // The client wraps the server's text: `[CONVEX M(messages:send)] [Request ID: …] Server Error\n… Called by client`.
  const lines = error.message.split("\n").filter((line) => !/^\s+(at |Called by client)/.test(line));
  return lines.join("\n").replace(/^\[CONVEX [^\]]*\] /, "").trim();
}

export function ErrorNote({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="error-note" role="alert">
      <strong>{title}</strong>
      <span className="error-reason">{children}</span>
    </div>
  );
}

/** A query that fails throws in `useQuery`: its panel tells of it, and the rest of the page goes on. */
export class ErrorPanel extends Component<{ title: string; children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <div className="panel-failed">
        <ErrorNote title={this.props.title}>{reasonOf(this.state.error)}</ErrorNote>
        <button type="button" className="button" onClick={() => this.setState({ error: null })}>
          Try again
        </button>
      </div>
    );
  }
}
