// A real HTTP server in place of the service or of Airtable, and what a page has and Node lacks.
import { once } from "node:events";
import { createServer } from "node:http";

/**
 * @typedef {object} Answer
 * @property {number} [status]
 * @property {Record<string, string>} [headers]
 * @property {unknown} [json]
 * @property {string} [text]
 * @property {Promise<void>} [after] The answer waits for this.
 */

/**
 * Start a server, which ends with the test. `answers` is a function, or the answers in order, of which the last repeats.
 *
 * @param {import("node:test").TestContext} t
 * @param {Answer[] | ((request: {method: string, url: URL, body: any}) => Answer)} answers
 */
export async function serve(t, answers) {
  const requests = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const { method, headers } = request;
    const seen = { method, headers, url: new URL(request.url, "http://localhost"), body: text && JSON.parse(text) };
    requests.push(seen);
    const answer = typeof answers === "function" ? answers(seen) : answers[Math.min(requests.length, answers.length) - 1];
    await answer.after;
    response.writeHead(answer.status ?? 200, answer.headers);
    response.end(answer.text ?? JSON.stringify(answer.json ?? {}));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

/** Give Node `sessionStorage`, `location` and `document`, as a page has them. Returns the addresses that it goes to. */
export function asPage(t, { storage = createStorage() } = {}) {
  const opened = [];
  define(t, "sessionStorage", storage);
  define(t, "location", { assign: (url) => opened.push(url) });
  define(t, "document", {});
  return opened;
}

/** Set a global until the end of the test. */
export function define(t, name, value) {
  const former = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { configurable: true, writable: true, value });
  t.after(() => {
    if (former) Object.defineProperty(globalThis, name, former);
    else delete globalThis[name];
  });
}

/** A `Storage` in memory. */
export function createStorage() {
  const entries = new Map();
  return {
    entries,
    getItem: (key) => entries.get(key) ?? null,
    setItem: (key, value) => void entries.set(key, String(value)),
    removeItem: (key) => void entries.delete(key),
  };
}

/** The failure of a promise. */
export async function failureOf(promise) {
  try {
    await promise;
  } catch (failure) {
    return failure;
  }
  throw new Error("it did not fail");
}

/** The answer to `GET /session`. */
export const SESSION = {
  status: "connected",
  reason: null,
  user: { id: "usr1", email: "mina@example.com" },
  scopes: ["data.records:read"],
  missing_scopes: [],
  expires_at: "2026-01-01T12:00:00Z",
  reconnect_by: "2026-03-01T12:00:00Z",
  session_ends_at: "2026-01-15T12:00:00Z",
};

export const NOT_CONNECTED = {
  status: 401,
  json: { error: "not_connected", error_description: "Airtable isn't connected.", action: "restart_login", request_id: "r1" },
};
