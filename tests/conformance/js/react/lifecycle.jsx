// A page that shows how a sign-in stands, with the official hooks and components, and remembers every state it showed.
// The test is the provider: it says who is signed in (`window.provider.set`) and makes the tokens (`window.giveToken`).
// `?server=` is the address of the server, `?counter=` the name of a number to show.
import { useCallback, useLayoutEffect, useMemo, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import {
  Authenticated,
  AuthLoading,
  AuthRefreshing,
  ConvexProviderWithAuth,
  ConvexReactClient,
  Unauthenticated,
  useConvexAuth,
  useQuery,
} from "convex/react";
import { anyApi as api } from "convex/server";

const given = new URLSearchParams(window.location.search);
const client = new ConvexReactClient(given.get("server"));

/** Whom the provider holds to be signed in, in this tab and in every other of the same browser. */
const STORED = "provider";
const provider = {
  listeners: new Set(),
  get state() {
    return window.localStorage.getItem(STORED) ?? "null";
  },
  set(person) {
    window.localStorage.setItem(STORED, JSON.stringify(person));
    this.tell();
  },
  tell() {
    for (const listener of this.listeners) listener();
  },
};
window.addEventListener("storage", () => provider.tell());

/** The hook that `ConvexProviderWithAuth` takes. Another person is another token fetcher. */
function useProvider() {
  const state = useSyncExternalStore(
    (listener) => {
      provider.listeners.add(listener);
      return () => provider.listeners.delete(listener);
    },
    () => provider.state,
  );
  const fetchAccessToken = useCallback(
    ({ forceRefreshToken }) => window.giveToken(JSON.parse(state), forceRefreshToken),
    [state],
  );
  return useMemo(
    () => ({ isLoading: false, isAuthenticated: state !== "null", fetchAccessToken }),
    [state, fetchAccessToken],
  );
}

/** Notes what is shown, unless it is what was noted last. */
function note(history, word) {
  if (history.at(-1) !== word) history.push(word);
}

function Standing() {
  const { isLoading, isAuthenticated, isRefreshing } = useConvexAuth();
  const me = useQuery(api.auth.whoami);
  const subject = me === undefined ? "?" : (me?.subject ?? "nobody");
  useLayoutEffect(() => {
    const shown = [...document.querySelectorAll("#shown b")].map((element) => element.textContent).join("+");
    const { standings, subjects } = window.lifecycle;
    note(standings, `${Number(isLoading)}${Number(isAuthenticated)}${Number(isRefreshing)} ${shown}`);
    note(subjects, subject);
  });
  return (
    <section>
      <p id="shown">
        <AuthLoading>
          <b>AuthLoading</b>
        </AuthLoading>
        <Unauthenticated>
          <b>Unauthenticated</b>
        </Unauthenticated>
        <Authenticated>
          <b>Authenticated</b>
        </Authenticated>
        <AuthRefreshing>
          <b>AuthRefreshing</b>
        </AuthRefreshing>
      </p>
      <output id="me">{subject}</output>
      <output id="counter">{useQuery(api.counter.get, { name: given.get("counter") })}</output>
    </section>
  );
}

window.lifecycle = { client, api, provider, standings: [], subjects: [] };
createRoot(document.getElementById("root")).render(
  <ConvexProviderWithAuth client={client} useAuth={useProvider}>
    <Standing />
  </ConvexProviderWithAuth>,
);
