// Where a message is written. It appears in the list at once, and for real when the server has it.
import { useState, type FormEvent, type KeyboardEvent } from "react";
import { insertAtTop, useMutation, useQuery } from "convex/react";
import { api, type Doc, type Id } from "./api";
import { ErrorNote, reasonOf } from "./errors";

const OPTIMISTIC_PREFIX = "optimistic:";

/** True for a message that the server has not answered for yet. */
export function isOptimistic(message: Doc<"messages">): boolean {
  return message._id.startsWith(OPTIMISTIC_PREFIX);
}

export function Composer() {
  const [body, setBody] = useState("");
  const [failure, setFailure] = useState<string | null>(null);
  const send = useSend();

  const submit = async (event?: FormEvent) => {
    event?.preventDefault();
    setBody("");
    setFailure(null);
    try {
      await send({ body });
    } catch (error) {
      setFailure(reasonOf(error));
      // Give the words back, unless others were written in the meantime.
      setBody((now) => (now === "" ? body : now));
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void submit();
  };

  return (
    <form className="composer" onSubmit={(event) => void submit(event)}>
      {failure !== null && <ErrorNote title="Not sent">{failure}</ErrorNote>}
      <div className="composer-row">
        <textarea
          name="body"
          aria-label="Message"
          placeholder="Write a message"
          rows={1}
          value={body}
          onChange={(event) => {
            setBody(event.target.value);
            setFailure(null);
          }}
          onKeyDown={onKeyDown}
        />
        <button type="submit" className="button primary">
          Send
        </button>
      </div>
    </form>
  );
}

/** `messages:send`, with the message shown before the server has answered. */
function useSend() {
  const me = useQuery(api.users.current, {});
  return useMutation(api.messages.send).withOptimisticUpdate((store, { body }) => {
    // An empty message is the server's to refuse; nobody needs to see it come and go.
    if (!me || body.trim() === "") return;
    const item: Doc<"messages"> = {
      _id: `${OPTIMISTIC_PREFIX}${crypto.getRandomValues(new Uint32Array(2)).join("")}` as Id<"messages">,
      _creationTime: Date.now(),
      body,
      author: me._id,
      authorName: me.name,
    };
    insertAtTop({ paginatedQuery: api.messages.list, argsToMatch: {}, localQueryStore: store, item });
  });
}
