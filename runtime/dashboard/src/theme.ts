// Light or dark: as the system says, unless the reader has said otherwise.
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "syncline-theme";
const themes: Theme[] = ["system", "light", "dark"];
const listeners = new Set<() => void>();

function chosen(): Theme {
  const stored = localStorage.getItem(KEY);
  return themes.find((theme) => theme === stored) ?? "system";
}

/** Puts the chosen theme on the document, where the styles look for it. */
export function applyTheme() {
  document.documentElement.dataset.theme = chosen();
}

/** The chosen theme, and the way to the next one. */
export function useTheme(): { theme: Theme; next: () => void } {
  const theme = useSyncExternalStore((changed) => {
    listeners.add(changed);
    return () => listeners.delete(changed);
  }, chosen);
  const next = () => {
    localStorage.setItem(KEY, themes[(themes.indexOf(theme) + 1) % themes.length] ?? "system");
    applyTheme();
    for (const changed of listeners) changed();
  };
  return { theme, next };
}
