/*!
 * airtable-oauth 0.1.0: tokens in the browser. Copyright 2026 the airtable-oauth contributors. MIT License.
 * It comes from `frontend/airtable-oauth-tokens.js` of the project airtable-oauth. Copy it with `airtable-oauth.js`.
 */

import { AirtableOAuthError, asSession, checked, createClient, send } from "./airtable-oauth.js";

/** @import { AirtableOAuth, CallOptions, Connection, Options, Parts } from "./airtable-oauth.js" */

/**
 * @internal
 * @typedef {object} Tokens As they are stored. Times are milliseconds since 1970.
 * @property {string} access_token
 * @property {string} refresh_token
 * @property {string} scope
 * @property {number} expires_at
 * @property {number | null} reconnect_by
 * @property {{id: string, email: string | null}} [user] Who granted access, once `whoami` was called.
 * @property {boolean} [refused] Whether Airtable has refused the access token.
 * @property {boolean} [ended] Whether the refresh token has ended as well.
 * @property {boolean} [lost] Whether a refresh had no usable answer, or another tab refreshed first: the refresh
 *   token may be used up.
 */

/**
 * @typedef {object} Renewal
 * @property {(options?: CallOptions) => Promise<void>} renew Exchange the refresh token for new tokens. Call it
 *   when the user asks for it.
 */

/** @typedef {AirtableOAuth & Renewal} AirtableOAuthWithTokens */

/**
 * Create the client, for a page that holds the tokens itself and calls Airtable's Web API directly.
 *
 * By default tokens are in `sessionStorage`: they are gone when the tab is closed, and any script of the page
 * can read them. They are refreshed only when `renew` is called, because a duplicated tab holds the same
 * refresh token, which works once.
 *
 * @param {Options & {airtableApiUrl?: string}} options `airtableApiUrl`: base URL of Airtable's Web API.
 * @returns {AirtableOAuthWithTokens}
 */
export function createAirtableOAuthWithTokens({ airtableApiUrl = "https://api.airtable.com", ...options }) {
  const { client, connection, shared, timed, watched } = createClient(options, (parts) =>
    tokensOfTab(parts, airtableApiUrl.replace(/\/+$/, "")));
  return {
    ...client,
    whoami: (options) => connection.identify(() => client.whoami(options)),
    renew: ({ signal } = {}) => shared("renew", () => watched(() => timed(undefined, connection.renew)), signal),
  };
}

/** @param {Parts} parts @param {string} airtableApiUrl */
function tokensOfTab({ storage, service }, airtableApiUrl) {
  const waitForTurn = createTurns(storage);

  /** @returns {Tokens | null} */
  const read = () => JSON.parse(storage.get("tokens") ?? "null");
  /** @param {Tokens} tokens */
  const write = (tokens) => storage.set("tokens", JSON.stringify(tokens));

  function required() {
    const tokens = read();
    if (tokens) return tokens;
    throw new AirtableOAuthError({
      error: "not_connected",
      error_description: "Airtable isn't connected in this tab.",
      action: "restart_login",
    }, { status: 401 });
  }

  /** Store the answer of the token endpoint. @param {any} answer @param {Tokens["user"]} [user] */
  function keep({ access_token, refresh_token, scope, expires_in, refresh_expires_in }, user) {
    const now = Date.now();
    write({
      user,
      access_token,
      refresh_token,
      scope,
      expires_at: now + expires_in * 1000,
      reconnect_by: refresh_expires_in === null ? null : now + refresh_expires_in * 1000,
    });
  }

  /**
   * Note what Airtable answered about these tokens, unless they were replaced in the meantime.
   *
   * @param {string} accessToken
   * @param {Partial<Tokens>} found
   */
  function mark(accessToken, found) {
    const current = read();
    if (current?.access_token === accessToken) write({ ...current, ...found });
  }

  return {
    /** @type {"renew"} */
    expired: "renew",
    isShared: false,
    /** @type {Connection["finish"]} */
    async finish(body, signal) {
      const answer = checked(await service("/token-exchange", { method: "POST", body, signal }), "access_token");
      keep(answer);
      return answer;
    },
    async session() {
      const tokens = read();
      return tokens && asSession({
        ...health(tokens),
        user: tokens.user ?? null,
        scopes: tokens.scope.split(" ").filter(Boolean),
        missing_scopes: [],
        expires_at: tokens.expires_at,
        reconnect_by: tokens.reconnect_by,
      });
    },
    async disconnect() {
      storage.remove("tokens");
    },
    /**
     * Remember the user of these tokens.
     *
     * @template {{id: string, email?: string}} U
     * @param {() => Promise<U>} whoami
     */
    async identify(whoami) {
      const tokens = read();
      const user = await whoami();
      if (tokens) mark(tokens.access_token, { user: { id: user.id, email: user.email ?? null } });
      return user;
    },
    /** @param {AbortSignal} signal */
    async renew(signal) {
      const { access_token, refresh_token } = required();
      try {
        const answer = await service("/token-refresh", { method: "POST", body: { refresh_token }, signal });
        checked(answer, "access_token");
        const current = read();
        if (current?.refresh_token === refresh_token) keep(answer, current.user); // otherwise the user has disconnected meanwhile
      } catch (failure) {
        if (failure instanceof AirtableOAuthError) mark(access_token, foundBy(failure));
        throw failure;
      }
    },
    /** @type {Connection["request"]} */
    async request(path, init) {
      await waitForTurn(path, init.signal);
      const { access_token } = required();
      const response = await send(airtableApiUrl + path, {
        ...init,
        headers: { ...init.headers, Authorization: `Bearer ${access_token}` },
      });
      if (response.status === 401) mark(access_token, { refused: true });
      return response;
    },
  };
}

/** Failures after which Airtable may have replaced the refresh token. */
const LOST = new Set(["unreachable", "timeout", "invalid_response", "airtable_error", "airtable_timeout", "already_refreshed"]);

/** What a refresh that failed says about the tokens. @param {AirtableOAuthError} failure @returns {Partial<Tokens>} */
function foundBy({ action, code }) {
  return { ...(action === "reconnect" && { ended: true }), ...(LOST.has(code) && { lost: true }) };
}

/** The status of tokens in this tab, and why they have ended. @param {Tokens} tokens */
function health({ ended, lost, refused, expires_at, reconnect_by }) {
  const now = Date.now();
  if (ended) return { status: "reconnect_required", reason: lost ? "rotation_lost" : "revoked" };
  if (reconnect_by !== null && reconnect_by <= now) return { status: "reconnect_required", reason: "expired" };
  return { status: refused || expires_at <= now ? "renewal_required" : "connected", reason: null };
}

const WINDOW = 1100; // milliseconds in which a base gets five requests
const LONGEST = 60_000; // milliseconds until a turn. If one is later, the clock was put back

/**
 * A function that waits until a request may be sent. Above five a second to a base, Airtable rejects all for 30 s. The
 * turns are stored, so that a reload of the page keeps them.
 *
 * @param {Parts["storage"]} storage
 */
function createTurns(storage) {
  /** When requests go to each base. @returns {Record<string, number[]>} */
  const read = () => JSON.parse(storage.get("turns") ?? "{}");
  /** @param {string} base @param {number[]} turns */
  const write = (base, turns) => storage.set("turns", JSON.stringify({ ...read(), [base]: turns }));

  /** @param {string} path @param {AbortSignal} signal @returns {Promise<void>} */
  return async function waitForTurn(path, signal) {
    const base = path.match(/\/(app\w+)/)?.[1];
    if (!base) return;
    const now = Date.now();
    const recent = (read()[base] ?? []).filter((at) => at > now - WINDOW && at < now + LONGEST);
    const at = recent.length < 5 ? now : /** @type {number} */ (recent[recent.length - 5]) + WINDOW;
    write(base, [...recent, at]);
    try {
      await sleep(at - now, signal);
    } catch (reason) {
      const taken = read()[base] ?? [];
      const place = taken.indexOf(at);
      write(base, taken.filter((_, each) => each !== place)); // the next request may have it
      throw reason;
    }
  };
}

/** @param {number} milliseconds @param {AbortSignal} signal @returns {Promise<void>} */
function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  });
}
