// What an application writes against the generated types. It is compiled, and `called` is run.
// Every `@ts-expect-error` is a mistake that the compiler has to find: one that it lets pass is an error itself.
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { ConvexReactClient, insertAtTop, useAction, useMutation, usePaginatedQuery, useQuery } from "convex/react";
import {
  type DocumentByName,
  type FunctionArgs,
  type FunctionReturnType,
  type GenericDataModel,
  type NamedIndex,
  type NamedTableInfo,
  type PaginationResult,
  type TableNamesInDataModel,
  getFunctionName,
} from "convex/server";
import { api, type DataModel, type Doc, type Id, type TableNames } from "./api";

/** Two types are the same, and neither is `any`. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(yes: Same<A, B>) => yes;

same<FunctionReturnType<typeof api.users.store>, Id<"users">>(true);
same<FunctionReturnType<typeof api.users.current>, Doc<"users"> | null>(true);
same<FunctionReturnType<typeof api.items.page>, PaginationResult<Doc<"items">>>(true);
same<FunctionReturnType<typeof api.auth.sign>, string | null>(true);
same<FunctionReturnType<typeof api.actions.echo>, any>(true);
same<FunctionArgs<typeof api.items.add>, { list: string; rank: number; text: string }>(true);
same<Doc<"users">["email"], string | undefined>(true);
same<Id<"users">, Id<"items">>(false);

// The data model is one for the types of the library.
const model = (model: GenericDataModel) => model;
model({} as DataModel);
same<TableNamesInDataModel<DataModel>, TableNames>(true);
same<DocumentByName<DataModel, "items">, Doc<"items">>(true);
same<NamedIndex<NamedTableInfo<DataModel, "items">, "by_list_rank">, ["list", "rank", "_creationTime"]>(true);

export function Component() {
  const me = useQuery(api.users.current);
  const items = useQuery(api.items.list, { list: "a" });
  const skipped = useQuery(api.items.list, me ? { list: "a" } : "skip");
  const store = useMutation(api.users.store);
  const echo = useAction(api.actions.echo);
  const { results, loadMore } = usePaginatedQuery(api.items.page, { list: "a" }, { initialNumItems: 5 });
  const add = useMutation(api.items.add).withOptimisticUpdate((store, { list, rank, text }) => {
    const item: Doc<"items"> = { _id: "new" as Id<"items">, _creationTime: 0, list, rank, text };
    insertAtTop({ paginatedQuery: api.items.page, argsToMatch: { list }, localQueryStore: store, item });
    same<ReturnType<typeof store.getQuery<typeof api.items.list>>, Doc<"items">[] | undefined>(true);
  });
  same<typeof me, Doc<"users"> | null | undefined>(true);
  same<typeof items, Doc<"items">[] | undefined>(true);
  same<typeof skipped, Doc<"items">[] | undefined>(true);
  same<typeof results, Doc<"items">[]>(true);

  // @ts-expect-error: the argument is missing.
  useQuery(api.items.list);
  // @ts-expect-error: it has another name.
  useQuery(api.items.list, { name: "a" });
  // @ts-expect-error: it has another type.
  useQuery(api.items.list, { list: 1 });
  // @ts-expect-error: there are no arguments.
  useQuery(api.users.list, { limit: 5 });
  // @ts-expect-error: it is a mutation.
  useQuery(api.users.store);
  // @ts-expect-error: it is a query.
  useMutation(api.items.list);
  // @ts-expect-error: it has no pages.
  usePaginatedQuery(api.items.list, { list: "a" }, { initialNumItems: 5 });
  // @ts-expect-error: pages have other arguments, too.
  usePaginatedQuery(api.items.page, {}, { initialNumItems: 5 });
  // @ts-expect-error: there is no such function.
  useQuery(api.items.nothing, {});
  // @ts-expect-error: nor for clients.
  useQuery(api.counter.secret);
  // @ts-expect-error: a guard is no argument.
  useQuery(api.guarded.me, { me: "ada" });

  return async () => {
    loadMore(5);
    await store();
    same<any, Awaited<ReturnType<typeof echo>>>(true);
    const id = await add({ list: "a", rank: 1, text: "x" });
    same<typeof id, Id<"items">>(true);
    // @ts-expect-error: one of three is missing.
    await add({ list: "a", rank: 1 });
    // @ts-expect-error: the id of another table.
    await show({ note: id, shown: true });
    // @ts-expect-error: a field that documents do not have.
    return results[0]?.title;
  };
  function show(args: FunctionArgs<typeof api.guarded.show>) {
    return args;
  }
}

export async function clients(live: ConvexClient, react: ConvexReactClient) {
  live.onUpdate(api.items.list, { list: "a" }, (items) => same<typeof items, Doc<"items">[]>(true));
  // @ts-expect-error: another type.
  live.onUpdate(api.items.list, { list: null }, () => {});
  const sum = await live.mutation(api.counter.increment, { name: "a", by: 1 });
  same<typeof sum, number>(true);
  // @ts-expect-error: another type.
  await live.mutation(api.counter.increment, { name: "a", by: 1n });
  const watch = react.watchQuery(api.users.list);
  same<ReturnType<typeof watch.localQueryResult>, Doc<"users">[] | undefined>(true);
  // @ts-expect-error: an action is no mutation.
  await react.mutation(api.actions.echo, { value: 1 });
}

/** Calls the server whose address it is given, through what was generated. */
export async function called(url: string) {
  const http = new ConvexHttpClient(url);
  const id = await http.mutation(api.items.add, { list: "typed", rank: 1, text: "x" });
  const items = await http.query(api.items.list, { list: "typed" });
  const echoed = await http.action(api.actions.echo, { value: "e" });
  const name = getFunctionName(api.users.store);
  return { found: items.map((item) => item._id).includes(id), text: items[0]?.text, echoed, name };
}
