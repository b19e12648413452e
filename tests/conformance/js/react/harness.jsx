// A page for the tests of `ConvexReactClient`: one paginated list drawn with hooks, and the client itself
// for what a test does from outside. `?server=` is the address of the server, `?list=` the list to draw.
import { useState } from "react";
import { createRoot } from "react-dom/client";
import { ConvexProvider, ConvexReactClient, usePaginatedQuery, useMutation, useQuery } from "convex/react";
import { anyApi as api } from "convex/server";
import { ConvexError } from "convex/values";

const given = new URLSearchParams(window.location.search);
const list = given.get("list");
const client = new ConvexReactClient(given.get("server"));

function Pages() {
  const { results, status, loadMore } = usePaginatedQuery(api.items.page, { list }, { initialNumItems: 5 });
  return (
    <section>
      <ol id="pages" data-status={status}>
        {results.map((row) => (
          <li key={row._id}>{row.rank}</li>
        ))}
      </ol>
      <button id="more" disabled={status !== "CanLoadMore"} onClick={() => loadMore(5)}>
        More
      </button>
    </section>
  );
}

function Counter() {
  const value = useQuery(api.counter.get, { name: list });
  const increment = useMutation(api.counter.increment);
  const [answers, setAnswers] = useState([]);
  const [failure, setFailure] = useState(null);
  const call = (args) =>
    increment(args).then(
      (answer) => setAnswers((before) => [...before, answer]),
      (error) => setFailure(error.message),
    );
  return (
    <section>
      <output id="value">{value}</output>
      <output id="answers">{answers.join(" ")}</output>
      <output id="failure">{failure}</output>
      <button id="one" onClick={() => call({ name: list, by: 1 })}>
        One
      </button>
      <button id="hundred" onClick={() => Array.from({ length: 100 }, () => call({ name: list, by: 1 }))}>
        Hundred
      </button>
      <button id="wrong" onClick={() => call({ name: list })}>
        Wrong
      </button>
    </section>
  );
}

window.harness = { client, api, ConvexError };
createRoot(document.getElementById("root")).render(
  <ConvexProvider client={client}>
    <Counter />
    <Pages />
  </ConvexProvider>,
);
