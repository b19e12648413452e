// Times as people read them.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const shortDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export function timeOf(milliseconds: number): string {
  return clock.format(milliseconds);
}

export function isSameDay(a: number, b: number): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString();
}

export function dayOf(milliseconds: number): string {
  return isSameDay(milliseconds, Date.now()) ? "Today" : day.format(milliseconds);
}

/** The time for today, the date for any other day. */
export function shortly(milliseconds: number): string {
  return isSameDay(milliseconds, Date.now()) ? clock.format(milliseconds) : shortDay.format(milliseconds);
}
