// Where the reader is: one path below /dashboard, kept by the browser's history.
import { useSyncExternalStore, type MouseEvent } from "react";

export type PageName = "data" | "functions" | "logs" | "auth" | "queries" | "health";

export interface Route {
  page: PageName;
  /** What is looked at on the page: a table, a function. */
  subject: string | null;
  search: URLSearchParams;
}

const BASE = "/dashboard";
const pageNames: PageName[] = ["data", "functions", "logs", "auth", "queries", "health"];
const listeners = new Set<() => void>();

function subscribe(changed: () => void) {
  listeners.add(changed);
  window.addEventListener("popstate", changed);
  return () => {
    listeners.delete(changed);
    window.removeEventListener("popstate", changed);
  };
}

export function useRoute(): Route {
  return parse(useSyncExternalStore(subscribe, () => window.location.pathname + window.location.search));
}

function parse(address: string): Route {
  const url = new URL(address, window.location.origin);
  const [page, ...rest] = url.pathname.slice(BASE.length).split("/").filter(Boolean).map(decodeURIComponent);
  return {
    page: pageNames.find((name) => name === page) ?? "data",
    subject: rest.length > 0 ? rest.join("/") : null,
    search: url.searchParams,
  };
}

export function addressOf(page: PageName, subject?: string | null, search?: Record<string, string>): string {
  const below = subject == null ? "" : `/${encodeURIComponent(subject).replaceAll("%3A", ":").replaceAll("%2F", "/")}`;
  const query = new URLSearchParams(search).toString();
  return `${BASE}/${page}${below}${query === "" ? "" : `?${query}`}`;
}

/** Goes to an address of the dashboard; going back leads to where the reader was. */
export function go(address: string) {
  window.history.pushState(null, "", address);
  for (const changed of listeners) changed();
}

/** Corrects the address without a step to go back over. */
export function replace(address: string) {
  if (window.location.pathname + window.location.search === address) return;
  window.history.replaceState(null, "", address);
  for (const changed of listeners) changed();
}

/** For links: a plain click stays on this page, everything else is the browser's. */
export function follow(event: MouseEvent<HTMLAnchorElement>) {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const { pathname, search } = event.currentTarget;
  go(pathname + search);
}
