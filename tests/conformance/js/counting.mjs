// A way to a server that keeps note of the requests that go through it.
import { once } from "node:events";
import { createServer, request } from "node:http";

/** The requests that a tool makes: each with when it was begun and how long the server took to answer. */
export class Counting {
  static async start(server) {
    const counting = new Counting(server);
    counting.proxy.listen(0, "127.0.0.1");
    await once(counting.proxy, "listening");
    return counting;
  }

  constructor(server) {
    this.server = server;
    this.requests = [];
    this.proxy = createServer((from, to) => this.#pass(from, to));
  }

  /** What a project of the command line takes for a server. */
  get url() {
    return `http://127.0.0.1:${this.proxy.address().port}`;
  }

  adminKey() {
    return this.server.adminKey();
  }

  /** The requests for a path. */
  of(path) {
    return this.requests.filter((each) => each.path === path);
  }

  #pass(from, to) {
    const noted = { path: from.url.split("?")[0], began: performance.now(), took: null, status: null };
    this.requests.push(noted);
    const { hostname, port } = new URL(this.server.url);
    const headers = { ...from.headers, host: `${hostname}:${port}` };
    const onward = request({ hostname, port, method: from.method, path: from.url, headers }, (answer) => {
      Object.assign(noted, { took: performance.now() - noted.began, status: answer.statusCode });
      to.writeHead(answer.statusCode, answer.headers);
      answer.pipe(to);
    });
    onward.on("error", () => to.destroy());
    to.on("close", () => onward.destroy());
    from.pipe(onward);
  }

  stop() {
    this.proxy.closeAllConnections();
    this.proxy.close();
  }
}
