// The people of this demonstration, and how a name and an address become one.

/** Who signs in. The development issuer mints tokens for anyone it is told of. */
export interface Person {
  /** Who it is, for good: the token's `sub`. */
  subject: string;
  name: string;
  email?: string;
  /** Claims that replace those of the token, to see what a server says to an unfitting one. */
  claims?: Record<string, unknown>;
}

export const people: readonly Person[] = [
  { subject: "user_ada", name: "Ada Lovelace", email: "ada@example.test" },
  { subject: "user_grace", name: "Grace Hopper", email: "grace@example.test" },
  { subject: "user_linus", name: "Linus Torvalds", email: "linus@example.test" },
  { subject: "user_barbara", name: "Barbara Liskov", email: "barbara@example.test" },
];

/** Carries a token that was made for another application: every server refuses it, and says why. */
export const stranger: Person = {
  subject: "user_mallory",
  name: "Mallory",
  email: "mallory@example.test",
  claims: { aud: "another-app" },
};

/** The same address (or name, without one) is the same person again, in any tab and on any day. */
export function personOf(name: string, email: string): Person {
  const address = email.trim().toLowerCase();
  const known = people.find((person) => person.email === address);
  const subject = known?.subject ?? `user_${address || name.trim().toLowerCase()}`;
  return address ? { subject, name: name.trim(), email: address } : { subject, name: name.trim() };
}
