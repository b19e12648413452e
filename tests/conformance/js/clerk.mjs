// An instance of Clerk under its real name, on this machine: discovery, keys, and tokens made from a JWT template.
//
// A server that is started with `TEST_APP_ISSUERS_AT=<clerk.documents>` finds it. What a template says replaces what Clerk
// sets by itself, as it did for those who wrote `sub` or `iss` into a template by hand.
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

/** The claims that Clerk's preset for Convex has. */
export const PRESET = {
  aud: "convex",
  name: "{{user.full_name}}",
  email: "{{user.primary_email_address}}",
};

export class Clerk {
  static async start(host) {
    const clerk = new Clerk(host);
    await clerk.#listen();
    return clerk;
  }

  constructor(host) {
    this.host = host;
    this.issuer = `https://${host}`;
    /** What the template named `convex` has: claims, and seconds to live. */
    this.template = { claims: PRESET, lifetime: 60 };
    this.org = { slug: "acme" };
    /** Every token that was given out. */
    this.minted = [];
    /** A token that everybody is given, as if no fresh one could be had. */
    this.held = null;
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    this.key = createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" }));
    this.kid = `ins_${randomBytes(8).toString("hex")}`;
  }

  /** Where its documents are asked for, as `TEST_APP_ISSUERS_AT` takes it. */
  get documents() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** `getToken({template: "convex"})` of somebody who is signed in. */
  token(user) {
    if (this.held !== null) return this.held;
    const now = Math.floor(Date.now() / 1000);
    const own = {
      iss: this.issuer,
      sub: user.id,
      azp: "http://localhost:5173",
      jti: randomBytes(10).toString("hex"),
      iat: now,
      nbf: now - 5,
      exp: now + this.template.lifetime,
    };
    const token = this.#sign({ ...own, ...filled(this.template.claims, { user, org: this.org }) });
    this.minted.push(token);
    return token;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  #sign(claims) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${part({ alg: "RS256", cat: "cl_B7d4PD222AAA", kid: this.kid, typ: "JWT" })}.${part(claims)}`;
    return `${signed}.${sign("RSA-SHA256", Buffer.from(signed), this.key).toString("base64url")}`;
  }

  async #listen() {
    const keys = [{ use: "sig", alg: "RS256", kid: this.kid, ...createPublicKey(this.key).export({ format: "jwk" }) }];
    const documents = {
      [`/${this.host}/.well-known/openid-configuration`]: {
        issuer: this.issuer,
        jwks_uri: `${this.issuer}/.well-known/jwks.json`,
      },
      [`/${this.host}/.well-known/jwks.json`]: { keys },
    };
    this.server = createServer((request, response) => {
      const document = documents[request.url];
      response.writeHead(document ? 200 : 404, { "Content-Type": "application/json" });
      response.end(JSON.stringify(document ?? {}));
    }).listen(0, "127.0.0.1");
    await once(this.server, "listening");
  }
}

/** The claims of a template with its shortcodes filled in; one that has no value makes its claim null. */
function filled(claims, values) {
  const fill = (text) => {
    const shortcode = /^\{\{(\w+)\.(\w+)\}\}$/.exec(text);
    return shortcode === null ? text : (values[shortcode[1]]?.[shortcode[2]] ?? null);
  };
  return Object.fromEntries(Object.entries(claims).map(([name, text]) => [name, fill(text)]));
}

/** Somebody of this instance, as the chat's page names people. */
export function userOf(person) {
  return { id: person.subject, full_name: person.name, primary_email_address: person.email };
}
