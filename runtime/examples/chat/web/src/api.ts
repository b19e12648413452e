// What the server offers to this page: its functions, with the types of their arguments and results.
// The names and shapes are those of `../main.rs` and of Syncline's ready-made users module.
import { anyApi, type FunctionReference, type PaginationOptions, type PaginationResult } from "convex/server";
import type { GenericId } from "convex/values";

export type Id<Table extends string> = GenericId<Table>;

/** A row of `users`: one for each person who ever signed in. */
export interface User {
  _id: Id<"users">;
  _creationTime: number;
  name: string;
  tokenIdentifier: string;
  email?: string;
  pictureUrl?: string;
}

/** A row of `messages`. `authorName` is the author's name at the time of writing. */
export interface Message {
  _id: Id<"messages">;
  _creationTime: number;
  body: string;
  author: Id<"users">;
  authorName: string;
}

/** The data of a `ConvexError` that the functions below throw. */
export interface AppErrorData {
  code: "UNAUTHENTICATED" | "UNKNOWN_USER" | "INVALID";
  message: string;
}

type NoArgs = Record<string, never>;
type Query<Args extends Record<string, unknown>, Result> = FunctionReference<"query", "public", Args, Result>;
type Mutation<Args extends Record<string, unknown>, Result> = FunctionReference<"mutation", "public", Args, Result>;

interface Api {
  users: {
    /** Creates or updates the row of whoever is signed in. */
    store: Mutation<NoArgs, Id<"users">>;
    /** The row of whoever is signed in; null before `store` and when signed out. */
    current: Query<NoArgs, User | null>;
    list: Query<NoArgs, User[]>;
  };
  messages: {
    /** Newest first. */
    list: Query<{ paginationOpts: PaginationOptions }, PaginationResult<Message>>;
    send: Mutation<{ body: string }, Id<"messages">>;
  };
}

export const api = anyApi as unknown as Api;
