/* eslint-disable */
// The functions and tables of the server, as it declares them. Written by its command `codegen`: do not edit this
// file, run the command again.
import { anyApi, type FunctionReference, type PaginationOptions, type PaginationResult } from "convex/server";
import type { GenericId } from "convex/values";

/** The tables, in the form that the types of `convex/server` work with. */
export type DataModel = {
  things: {
    document: {
      _creationTime: number;
      _id: Id<"things">;
      any: any;
      bytes: ArrayBuffer;
      count: bigint;
      kind: "big" | "verySmall";
      maybe?: string | null;
      owner: Id<"users">;
      place: { city: string; lost?: GenericId<"lost"> };
      ratings: Record<string, number>;
      shapes: Array<{ radius: number; type: "circle" } | { type: "nothing" }>;
    };
    fieldPaths:
      | "_creationTime"
      | "_id"
      | "any"
      | "bytes"
      | "count"
      | "kind"
      | "maybe"
      | "owner"
      | "place.city"
      | "place.lost"
      | "place"
      | "ratings"
      | "shapes";
    indexes: {
      by_id: ["_id"];
      by_creation_time: ["_creationTime"];
      by_kind: ["kind", "_creationTime"];
      by_place: ["place.city", "count", "_creationTime"];
    };
    searchIndexes: { search_city: { searchField: "place.city"; filterFields: "kind" | "owner" } };
    vectorIndexes: { near: { vectorField: "ratings"; dimensions: 3; filterFields: never } };
  };
  users: {
    document: {
      _creationTime: number;
      _id: Id<"users">;
      email?: string;
      name: string;
      pictureUrl?: string;
      roles?: string[];
      tokenIdentifier: string;
    };
    fieldPaths:
      | "_creationTime"
      | "_id"
      | "email"
      | "name"
      | "pictureUrl"
      | "roles"
      | "tokenIdentifier";
    indexes: {
      by_id: ["_id"];
      by_creation_time: ["_creationTime"];
      by_token: ["tokenIdentifier", "_creationTime"];
    };
    searchIndexes: {};
    vectorIndexes: {};
  };
};

/** The name of a table. */
export type TableNames = keyof DataModel;

/** A document of a table. */
export type Doc<Table extends TableNames> = DataModel[Table]["document"];

/** The id of a document of a table. */
export type Id<Table extends TableNames> = GenericId<Table>;

/** The functions that clients may call: `api.module.function`. */
export type Api = {
  things: {
    /** Adds a thing. */
    add: FunctionReference<
      "mutation",
      "public",
      {
        also: Array<"big" | "verySmall" | null>;
        kind?: "big" | "verySmall";
        thing: { city: string; lost?: GenericId<"lost"> };
      },
      Doc<"things"> | null
    >;
    counts: FunctionReference<
      "query",
      "public",
      { paginationOpts: PaginationOptions },
      PaginationResult<number>
    >;
    default: FunctionReference<"action", "public", Record<string, never>, null>;
    /**
     * All things.
     *
     * Even *\/ those.
     */
    list: FunctionReference<
      "query",
      "public",
      { paginationOpts: PaginationOptions },
      PaginationResult<Doc<"things">>
    >;
    list_: {
      inner: FunctionReference<"query", "public", Record<string, never>, Doc<"things">[]>;
    };
  };
};

export const api: Api = anyApi as unknown as Api;
