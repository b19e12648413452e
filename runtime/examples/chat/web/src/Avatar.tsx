// A round with somebody's initials, in a colour that is always theirs.
import type { CSSProperties } from "react";

/** Decoration: the name stands beside it wherever it is used. */
export function Avatar({ name }: { name: string }) {
  return (
    <span className="avatar" style={{ "--hue": hueOf(name) } as CSSProperties} aria-hidden="true">
      {initialsOf(name)}
    </span>
  );
}

function initialsOf(name: string): string {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return letters.map((word) => [...(word ?? "")][0] ?? "").join("").toUpperCase() || "?";
}

/** FNV-1a, turned into a hue. */
function hueOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193) >>> 0;
  return hash % 360;
}
