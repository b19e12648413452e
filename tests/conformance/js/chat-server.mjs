// A server of the chat example for the tests of a file, which import it.
import { after, before } from "node:test";
import { isChromiumMissing, isMissing, Server } from "./support.mjs";

export const PROGRAM = process.env.SYNCLINE_CHAT_SERVER;

export let server = null;
before(async () => {
  if (PROGRAM) server = await Server.start(PROGRAM);
});
after(() => server?.remove());

export function isSomethingMissing(t) {
  return isMissing(t, "SYNCLINE_CHAT_SERVER, the chat example,", PROGRAM) || isChromiumMissing(t);
}
