// The live list of messages, a page at a time. The server sends the newest first; people read the newest last.
import { useLayoutEffect, useRef, useState } from "react";
import { useMutation, usePaginatedQuery, useQuery } from "convex/react";
import { api, type Doc } from "./api";
import { Avatar } from "./Avatar";
import { isOptimistic } from "./Composer";
import { ErrorNote, reasonOf } from "./errors";
import { dayOf, isSameDay, timeOf } from "./time";
import { useStoredUser } from "./user-sync";

const PAGE_SIZE = 25;
/** Messages of one author within this time stand under one name. */
const SAME_BREATH_MS = 5 * 60_000;
/** This near to the end, the reader wants to see what comes next. */
const NEAR_END_PX = 80;

export function Messages() {
  const { results, status, loadMore } = usePaginatedQuery(api.messages.list, {}, { initialNumItems: PAGE_SIZE });
  const list = useSteadyScroll(results);
  const { userId } = useStoredUser();
  const moderates = useQuery(api.users.current)?.roles?.includes("moderator") ?? false;

  if (status === "LoadingFirstPage") return <div className="messages quiet">Loading…</div>;
  if (results.length === 0 && status === "Exhausted") return <div className="messages quiet">No messages yet. Say hello.</div>;
  const oldestFirst = results.toReversed();
  return (
    <div className="messages" ref={list}>
      {status === "Exhausted" ? (
        <p className="quiet beginning">This is where it began.</p>
      ) : (
        <button
          type="button"
          className="button earlier"
          disabled={status === "LoadingMore"}
          onClick={() => loadMore(PAGE_SIZE)}
        >
          {status === "LoadingMore" ? "Loading…" : "Earlier messages"}
        </button>
      )}
      <ol role="log" aria-label="Messages" data-testid="messages" data-status={status}>
        {oldestFirst.map((message, at) => (
          <Line
            key={message._id}
            message={message}
            before={oldestFirst[at - 1]}
            own={message.author === userId}
            moderated={moderates}
          />
        ))}
      </ol>
    </div>
  );
}

interface LineProps {
  message: Doc<"messages">;
  before: Doc<"messages"> | undefined;
  /** Whether the reader wrote it. */
  own: boolean;
  /** Whether the reader may delete what others wrote. */
  moderated: boolean;
}

function Line({ message, before, own, moderated }: LineProps) {
  const remove = useMutation(api.messages.remove);
  const [failure, setFailure] = useState<string | null>(null);
  const time = message._creationTime;
  const newDay = before === undefined || !isSameDay(before._creationTime, time);
  const goesOn = !newDay && before.author === message.author && time - before._creationTime < SAME_BREATH_MS;
  const pending = isOptimistic(message);
  // Who may is the server's to decide; this is only about showing the button.
  const mayDelete = !pending && (own || moderated);
  return (
    <>
      {newDay && (
        <li className="day" role="separator">
          <span>{dayOf(time)}</span>
        </li>
      )}
      <li className="message" data-goes-on={goesOn} data-own={own} data-pending={pending}>
        {!goesOn && <Avatar name={message.authorName} />}
        <div className="message-text">
          {!goesOn && (
            <p className="byline">
              <b>{message.authorName}</b>
              <time dateTime={new Date(time).toISOString()}>{timeOf(time)}</time>
            </p>
          )}
          <p className="body">{message.body}</p>
          {failure !== null && <ErrorNote title="Not deleted">{failure}</ErrorNote>}
        </div>
        {pending && <span className="pending">sending…</span>}
        {mayDelete && (
          <button
            type="button"
            className="button delete"
            aria-label={`Delete “${message.body}”`}
            onClick={() => void remove({ message: message._id }).catch((error: unknown) => setFailure(reasonOf(error)))}
          >
            Delete
          </button>
        )}
      </li>
    </>
  );
}

/**
 * Keeps what is read where it is: at the end, new messages come into view; further up, earlier ones that
 * are loaded above push nothing away. A list that becomes lower, because the foot grew, keeps its end.
 */
function useSteadyScroll(results: readonly Doc<"messages">[]) {
  const [list, setList] = useState<HTMLDivElement | null>(null);
  const fromEnd = useRef(0);
  const oldest = useRef<string | undefined>(undefined);

  useLayoutEffect(() => {
    if (list === null) return;
    const remember = () => {
      fromEnd.current = Math.max(0, list.scrollHeight - list.clientHeight - list.scrollTop);
    };
    const resized = new ResizeObserver(() => scrollToDistance(list, fromEnd.current));
    list.addEventListener("scroll", remember, { passive: true });
    resized.observe(list);
    return () => {
      list.removeEventListener("scroll", remember);
      resized.disconnect();
    };
  }, [list]);

  useLayoutEffect(() => {
    if (list === null) return;
    const grewAbove = oldest.current !== undefined && oldest.current !== results.at(-1)?._id;
    if (fromEnd.current < NEAR_END_PX) scrollToDistance(list, 0);
    else if (grewAbove) scrollToDistance(list, fromEnd.current);
    oldest.current = results.at(-1)?._id;
  }, [list, results]);
  return setList;
}

function scrollToDistance(list: HTMLElement, fromEnd: number) {
  list.scrollTop = list.scrollHeight - list.clientHeight - fromEnd;
}
