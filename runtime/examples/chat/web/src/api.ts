/* eslint-disable */
// The functions and tables of the server, as it declares them. Written by its command `codegen`: do not edit this
// file, run the command again.
import { anyApi, type FunctionReference, type PaginationOptions, type PaginationResult } from "convex/server";
import type { GenericId } from "convex/values";

/** The tables, in the form that the types of `convex/server` work with. */
export type DataModel = {
  messages: {
    document: {
      _creationTime: number;
      _id: Id<"messages">;
      author: Id<"users">;
      authorName: string;
      body: string;
    };
    fieldPaths: "_creationTime" | "_id" | "author" | "authorName" | "body";
    indexes: { by_id: ["_id"]; by_creation_time: ["_creationTime"] };
    searchIndexes: {};
    vectorIndexes: {};
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
  messages: {
    /** All messages, newest first, a page at a time. */
    list: FunctionReference<
      "query",
      "public",
      { paginationOpts: PaginationOptions },
      PaginationResult<Doc<"messages">>
    >;
    /** Deletes a message: its author may, and a moderator. One that is gone stays gone. */
    remove: FunctionReference<"mutation", "public", { message: Id<"messages"> }, null>;
    /** Posts as the signed-in person. */
    send: FunctionReference<"mutation", "public", { body: string }, Id<"messages">>;
  };
  users: {
    /** The signed-in user's row; null for anonymous callers, and until `users:store` has created it. */
    current: FunctionReference<"query", "public", Record<string, never>, Doc<"users"> | null>;
    /** All users, in the order of their first login; at most a thousand. */
    list: FunctionReference<"query", "public", Record<string, never>, Doc<"users">[]>;
    /** What the token of the caller says, whether or not they were stored; null for anonymous callers. */
    me: FunctionReference<"query", "public", Record<string, never>, any>;
    /**
     * Creates the signed-in user's row at the first login; later brings it up to date with the token. Returns its id.
     *
     * A claim that the token lacks changes nothing: a token without a profile leaves the row as it is.
     */
    store: FunctionReference<"mutation", "public", Record<string, never>, Id<"users">>;
  };
};

export const api: Api = anyApi as unknown as Api;
