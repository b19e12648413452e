// The live list of messages, a page at a time. The server sends the newest first; people read the newest last.
import { useLayoutEffect, useRef, useState } from "react";
import { usePaginatedQuery } from "convex/react";
import { api, type Message } from "./api";
import { Avatar } from "./Avatar";
import { isOptimistic } from "./Composer";
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
          <Line key={message._id} message={message} before={oldestFirst[at - 1]} />
        ))}
      </ol>
    </div>
  );
}

function Line({ message, before }: { message: Message; before: Message | undefined }) {
  const { userId } = useStoredUser();
  const time = message._creationTime;
  const newDay = before === undefined || !isSameDay(before._creationTime, time);
  const goesOn = !newDay && before.author === message.author && time - before._creationTime < SAME_BREATH_MS;
  const pending = isOptimistic(message);
  return (
    <>
      {newDay && (
        <li className="day" role="separator">
          <span>{dayOf(time)}</span>
        </li>
      )}
      <li className="message" data-goes-on={goesOn} data-own={message.author === userId} data-pending={pending}>
        {!goesOn && <Avatar name={message.authorName} />}
        <div className="message-text">
          {!goesOn && (
            <p className="byline">
              <b>{message.authorName}</b>
              <time dateTime={new Date(time).toISOString()}>{timeOf(time)}</time>
            </p>
          )}
          <p className="body">{message.body}</p>
        </div>
        {pending && <span className="pending">sending…</span>}
      </li>
    </>
  );
}

/**
 * Keeps what is read where it is: at the end, new messages come into view; further up, earlier ones that
 * are loaded above push nothing away. A list that becomes lower, because the foot grew, keeps its end.
 */
function useSteadyScroll(results: readonly Message[]) {
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
