// A mistake that nobody expected, to see what the compiler says of it.
import type { ConvexHttpClient } from "convex/browser";
import { api } from "./api";

export const wrong = (client: ConvexHttpClient) => client.mutation(api.items.add, { list: 5, rank: 1, text: "x" });
