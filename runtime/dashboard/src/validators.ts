// Validators as the server describes them: in words, as a first draft of a value, and as a check before anything is sent.
import { jsonToConvex, type Value } from "convex/values";
import { printLine, typeOf } from "./values";

interface Field {
  fieldType: Validator;
  optional: boolean;
}

export type Validator =
  | { type: "null" | "number" | "bigint" | "boolean" | "string" | "bytes" | "any" }
  | { type: "literal"; value: unknown }
  | { type: "id"; tableName: string }
  | { type: "array"; value: Validator }
  | { type: "record"; keys: Validator; values: Field }
  | { type: "union"; value: Validator[] }
  | { type: "object"; value: Record<string, Field> };

/** One thing that is wrong with a value, and where. */
export interface Fault {
  path: string;
  message: string;
}

/** Reads what the server says; `any` where it says nothing. */
export function validatorOf(described: unknown): Validator {
  const parsed: unknown = typeof described === "string" ? (JSON.parse(described) as unknown) : described;
  return parsed !== null && typeof parsed === "object" && "type" in parsed ? (parsed as Validator) : { type: "any" };
}

/** As TypeScript writes the type; objects over several lines. */
export function describe(validator: Validator, indent = ""): string {
  switch (validator.type) {
    case "literal":
      return printLine(literal(validator.value));
    case "id":
      return `Id<"${validator.tableName}">`;
    case "array": {
      const item = describe(validator.value, indent);
      return validator.value.type === "union" ? `(${item})[]` : `${item}[]`;
    }
    case "record":
      return `Record<${describe(validator.keys, indent)}, ${describe(validator.values.fieldType, indent)}>`;
    case "union":
      return validator.value.map((member) => describe(member, indent)).join(" | ") || "never";
    case "object": {
      const deeper = `${indent}  `;
      const fields = Object.entries(validator.value).map(
        ([name, { fieldType, optional }]) => `${deeper}${name}${optional ? "?" : ""}: ${describe(fieldType, deeper)};`,
      );
      return fields.length === 0 ? "{}" : `{\n${fields.join("\n")}\n${indent}}`;
    }
    case "bytes":
      return "ArrayBuffer";
    case "null":
    case "number":
    case "bigint":
    case "boolean":
    case "string":
    case "any":
      return validator.type;
  }
}

/** A value to begin with: everything that has to be there, as empty as it may be. */
export function draft(validator: Validator): Value {
  switch (validator.type) {
    case "number":
      return 0;
    case "bigint":
      return 0n;
    case "boolean":
      return false;
    case "string":
    case "id":
      return "";
    case "bytes":
      return new ArrayBuffer(0);
    case "literal":
      return literal(validator.value);
    case "array":
      return [];
    case "record":
      return {};
    case "union":
      return draft(validator.value.find(({ type }) => type === "null") ?? validator.value[0] ?? { type: "null" });
    case "object": {
      if (isPaginationOpts(validator.value)) return { numItems: 10, cursor: null };
      const needed = Object.entries(validator.value).filter(([, { optional }]) => !optional);
      return Object.fromEntries(needed.map(([name, { fieldType }]) => [name, draft(fieldType)]));
    }
    case "null":
    case "any":
      return null;
  }
}

/** What paginated functions take: a first page of it is more use than an empty one. */
function isPaginationOpts(fields: Record<string, Field>): boolean {
  return fields.numItems?.fieldType.type === "number" && fields.cursor !== undefined;
}

/** Everything about the value that the validator does not allow. */
export function check(validator: Validator, value: Value, path = ""): Fault[] {
  switch (validator.type) {
    case "any":
      return [];
    case "null":
    case "number":
    case "bigint":
    case "boolean":
    case "string":
    case "bytes":
      return typeOf(value) === validator.type ? [] : [wrong(validator, value, path)];
    case "literal":
      return printLine(value) === printLine(literal(validator.value)) ? [] : [wrong(validator, value, path)];
    case "id":
      // Which table an id belongs to is for the server to say.
      if (typeof value !== "string") return [wrong(validator, value, path)];
      return value === "" ? [{ path, message: `the id of a document in ${validator.tableName} is needed here` }] : [];
    case "array":
      if (!Array.isArray(value)) return [wrong(validator, value, path)];
      return value.flatMap((item, at) => check(validator.value, item, `${path}[${at}]`));
    case "record":
      if (typeOf(value) !== "object") return [wrong(validator, value, path)];
      return Object.entries(value as Record<string, Value>).flatMap(([key, item]) =>
        check(validator.values.fieldType, item, below(path, key)),
      );
    case "union":
      return checkUnion(validator.value, value, path) ?? [wrong(validator, value, path)];
    case "object":
      return checkObject(validator.value, value, path) ?? [wrong(validator, value, path)];
  }
}

/** Null when no member comes near. */
function checkUnion(members: Validator[], value: Value, path: string): Fault[] | null {
  const attempts = members.map((member) => check(member, value, path));
  if (attempts.some((faults) => faults.length === 0)) return [];
  // The one member of the right shape knows best what is wrong inside of it.
  const inside = attempts.filter((faults) => faults.every((fault) => fault.path !== path));
  return inside.length === 1 ? (inside[0] ?? null) : null;
}

/** Null when it is no object at all. */
function checkObject(fields: Record<string, Field>, value: Value, path: string): Fault[] | null {
  if (typeOf(value) !== "object") return null;
  const given = value as Record<string, Value>;
  const faults = Object.entries(fields).flatMap(([name, { fieldType, optional }]) => {
    const item = given[name];
    if (item !== undefined) return check(fieldType, item, below(path, name));
    return optional ? [] : [{ path, message: `the field ${name} (${describe(fieldType)}) is missing` }];
  });
  const names = Object.keys(fields).join(", ") || "none at all";
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(fields, name));
  return [...faults, ...unknown.map((name) => ({ path: below(path, name), message: `there is no field ${name}; there are ${names}` }))];
}

function wrong(validator: Validator, value: Value, path: string): Fault {
  const expected = describe(validator).replaceAll(/\s+/g, " ");
  const hint = validator.type === "bigint" && typeof value === "number" ? `; write ${Math.trunc(value)}n` : "";
  return { path, message: `expected ${expected}, found ${shortly(value)}${hint}` };
}

function shortly(value: Value): string {
  const text = printLine(value);
  return text.length > 40 ? `${typeOf(value)} ${text.slice(0, 36)}…` : text;
}

function below(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

function literal(value: unknown): Value {
  return jsonToConvex(value as never);
}
