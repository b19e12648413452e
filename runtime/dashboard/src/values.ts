// Values as people write and read them: JSON, and besides `5n` for an int64, `bytes("…")` for bytes, and the numbers
// that JSON has no word for. Keys need quotes only where they are no names.
import { convexToJson, jsonToConvex, type Value } from "convex/values";

/** Where and why a text is no value. */
export class ParseFailure extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

export interface Parsed {
  value: Value;
  /** Where in the text each part stands, by its path as the checks name it (`tags[0].name`). */
  places: Map<string, { from: number; to: number }>;
}

/** What is longer stands on several lines. */
const LINE_CHARS_MAX = 44;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** Reads a text. Throws a [ParseFailure] that says what was expected where. */
export function parse(text: string): Parsed {
  const reader = new Reader(text);
  const value = reader.value("");
  reader.end();
  return { value, places: reader.places };
}

class Reader {
  readonly places: Parsed["places"] = new Map();
  private at = 0;

  constructor(private readonly text: string) {}

  end() {
    this.space();
    if (this.at < this.text.length) this.fail("nothing more was expected here");
  }

  value(path: string): Value {
    this.space();
    const from = this.at;
    const value = this.bare(path);
    this.places.set(path, { from, to: this.at });
    return value;
  }

  private bare(path: string): Value {
    const next = this.text[this.at];
    if (next === undefined) this.fail("a value was expected, and the text ends");
    if (next === "{") return this.object(path);
    if (next === "[") return this.array(path);
    if (next === '"' || next === "'") return this.string();
    const number = /^[-+]?(?:Infinity|NaN|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)(n?)/.exec(this.text.slice(this.at, this.at + 400));
    if (number !== null) return this.number(number[0], number[1] === "n");
    const word = this.name();
    if (word === "true") return true;
    if (word === "false") return false;
    if (word === "null") return null;
    if (word === "bytes" || word === "Bytes") return this.bytes();
    this.at -= word?.length ?? 0;
    this.fail(word === null ? "a value was expected" : `${word} is no value; text stands in quotes`);
  }

  private number(text: string, isInt64: boolean): Value {
    const from = this.at;
    this.at += text.length;
    if (/[A-Za-z0-9_]/.test(this.text[this.at] ?? "")) this.fail("a number does not go on like this");
    if (!isInt64) return Number(text);
    const digits = text.slice(0, -1);
    if (!/^[-+]?\d+$/.test(digits)) this.fail("an int64 (…n) is a whole number", from);
    const value = BigInt(digits.replace(/^\+/, ""));
    if (value < INT64_MIN || value > INT64_MAX) this.fail("an int64 (…n) has 64 bits: this number is too large", from);
    return value;
  }

  private string(): string {
    const quote = this.text[this.at];
    const from = this.at;
    let inside = "";
    for (this.at += 1; ; this.at++) {
      const c = this.text[this.at];
      if (c === undefined || c === "\n") this.fail("a text must end with its quote, on the same line (\\n is a new line)", from);
      if (c === quote) break;
      if (c === "\\") {
        const escaped = this.text[++this.at];
        if (escaped === "'") inside += "'";
        else inside += `\\${escaped ?? ""}`;
      } else inside += c === '"' ? '\\"' : c;
    }
    this.at += 1;
    try {
      return JSON.parse(`"${inside.replaceAll("\t", "\\t")}"`) as string;
    } catch {
      return this.fail("this text has an escape that JSON does not know", from);
    }
  }

  private bytes(): ArrayBuffer {
    const from = this.at;
    this.expect("(");
    this.space();
    if (this.text[this.at] !== '"' && this.text[this.at] !== "'") this.fail('bytes are written as bytes("…"), in base64');
    const text = this.string();
    this.expect(")");
    try {
      return Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
    } catch {
      return this.fail("this is not base64", from);
    }
  }

  private array(path: string): Value[] {
    const items: Value[] = [];
    this.at += 1;
    for (this.space(); this.text[this.at] !== "]"; this.space()) {
      items.push(this.value(`${path}[${items.length}]`));
      this.comma("]");
    }
    this.at += 1;
    return items;
  }

  private object(path: string): Value {
    const from = this.at;
    const fields: Record<string, Value> = {};
    this.at += 1;
    for (this.space(); this.text[this.at] !== "}"; this.space()) {
      const keyAt = this.at;
      const c = this.text[this.at];
      const key = c === '"' || c === "'" ? this.string() : this.name();
      if (key === null) this.fail("the name of a field was expected");
      if (Object.hasOwn(fields, key)) this.fail(`the field ${key} stands here twice`, keyAt);
      this.expect(":");
      // Not by assignment, which takes `__proto__` for something else.
      const value = this.value(path === "" ? key : `${path}.${key}`);
      Object.defineProperty(fields, key, { value, enumerable: true, configurable: true, writable: true });
      this.comma("}");
    }
    this.at += 1;
    return this.encoded(fields, from);
  }

  /** The encoded forms (`{"$integer": …}`) mean what they mean on the wire. */
  private encoded(fields: Record<string, Value>, from: number): Value {
    const [key, ...others] = Object.keys(fields);
    if (key === undefined || others.length > 0 || !key.startsWith("$")) return fields;
    try {
      return jsonToConvex(fields as never);
    } catch {
      return this.fail(`${key} is no encoded value: $integer, $float and $bytes hold text in base64`, from);
    }
  }

  private comma(end: string) {
    this.space();
    if (this.text[this.at] === ",") this.at += 1;
    else if (this.text[this.at] !== end) this.fail(`a comma or ${end} was expected`);
  }

  private expect(sign: string) {
    this.space();
    if (this.text[this.at] !== sign) this.fail(`${sign} was expected`);
    this.at += 1;
  }

  private name(): string | null {
    const name = /^[A-Za-z_$][A-Za-z0-9_$]*/.exec(this.text.slice(this.at, this.at + 1100))?.[0] ?? null;
    this.at += name?.length ?? 0;
    return name;
  }

  private space() {
    while (/\s/.test(this.text[this.at] ?? "")) this.at += 1;
  }

  private fail(message: string, at = this.at): never {
    throw new ParseFailure(message, Math.min(at, this.text.length));
  }
}

/** A value as text that [parse] reads; over several lines where it is long. */
export function print(value: Value | undefined, indent = ""): string {
  const line = printLine(value);
  if (line.length + indent.length <= LINE_CHARS_MAX || !isComposite(value)) return line;
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    return `[\n${value.map((item) => `${deeper}${print(item, deeper)}`).join(",\n")}\n${indent}]`;
  }
  const fields = Object.entries(value).map(([key, item]) => `${deeper}${printKey(key)}: ${print(item, deeper)}`);
  return `{\n${fields.join(",\n")}\n${indent}}`;
}

/** An object over several lines, however short it is: what stands in an editor. */
export function printFields(fields: Record<string, Value | undefined>): string {
  const lines = Object.entries(fields).map(([key, value]) => `  ${printKey(key)}: ${print(value, "  ")}`);
  return lines.length === 0 ? "{}" : `{\n${lines.join(",\n")}\n}`;
}

/** A value on one line. */
export function printLine(value: Value | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  if (value instanceof ArrayBuffer) return `bytes("${base64(value)}")`;
  if (Array.isArray(value)) return `[${value.map(printLine).join(", ")}]`;
  if (isComposite(value)) {
    const fields = Object.entries(value).map(([key, item]) => `${printKey(key)}: ${printLine(item)}`);
    return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
  }
  return JSON.stringify(value);
}

function isComposite(value: Value | undefined): value is Value[] | Record<string, Value> {
  return typeof value === "object" && value !== null && !(value instanceof ArrayBuffer);
}

function printKey(key: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(key) ? key : JSON.stringify(key);
}

function base64(bytes: ArrayBuffer): string {
  return btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(""));
}

/** The word for a value's type, as validators have it. */
export function typeOf(value: Value | undefined): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (typeof value === "bigint") return "bigint";
  if (value instanceof ArrayBuffer) return "bytes";
  if (Array.isArray(value)) return "array";
  return typeof value;
}

/** The encoded JSON of a value, as filters carry it. */
export function encode(value: Value): unknown {
  return convexToJson(value);
}

/** Line and column, from 1, of a place in a text. */
export function lineOf(text: string, at: number): { line: number; column: number } {
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
