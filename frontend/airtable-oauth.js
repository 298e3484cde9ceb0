/**
 * The browser's half of airtable-oauth, without dependencies: copy it into any SPA.
 *
 * It is the only module that fetches. Tokens live in `sessionStorage`: they end with the tab, and
 * any script of this page can read them. They are never renewed silently, because a duplicated
 * tab holds the same refresh token, and Airtable lets it be used once.
 */

/**
 * @typedef {object} Session
 * @property {string[]} scopes What was granted.
 * @property {Date} expiresAt When the access token ends.
 * @property {Date | null} reconnectBy When the refresh token ends, if the server says.
 */

/** What went wrong, in the shape of the service's error body. */
export class AirtableOAuthError extends Error {
  /** @param {{error: string, error_description?: string, action?: string, request_id?: string, return_to?: string}} body */
  constructor(body) {
    super(body.error_description ?? body.error);
    this.name = "AirtableOAuthError";
    this.error = body.error;
    this.action = body.action ?? "retry";
    this.requestId = body.request_id ?? null;
    this.returnTo = body.return_to ?? null;
  }
}

const STATE = "airtable-oauth.state";
const FINISHED = "airtable-oauth.finished";
const TOKENS = "airtable-oauth.tokens";

/**
 * @param {object} options
 * @param {string} options.apiUrl Base URL of the service.
 * @param {string} options.airtableApiUrl Base URL of Airtable's Web API.
 * @param {Storage} [options.storage]
 */
export function createAirtableOAuth({ apiUrl, airtableApiUrl, storage = sessionStorage }) {
  /** @type {Map<string, Promise<any>>} */
  const callbacks = new Map();

  /**
   * Begin a login and leave the page for Airtable.
   *
   * @param {string} [returnTo] A local path that comes back with the finished login.
   */
  async function connect(returnTo) {
    const query = returnTo ? `?${new URLSearchParams({ return_to: returnTo })}` : "";
    const { authorizationUrl } = await service(`/authorization-url${query}`);
    storage.setItem(STATE, new URL(authorizationUrl).searchParams.get("state") ?? "");
    location.assign(authorizationUrl);
  }

  /**
   * Finish the login that Airtable's redirect belongs to. Called twice with the same parameters
   * it runs once.
   *
   * @param {URLSearchParams} parameters The query of the callback route.
   * @returns {Promise<{returnTo: string | null}>}
   */
  function finish(parameters) {
    const key = parameters.toString();
    if (!callbacks.has(key)) callbacks.set(key, exchange(parameters));
    return /** @type {Promise<any>} */ (callbacks.get(key));
  }

  async function exchange(parameters) {
    const state = parameters.get("state");
    if (state && state === storage.getItem(FINISHED) && session()) return { returnTo: null };
    const expected = storage.getItem(STATE);
    storage.removeItem(STATE);
    if (!state || state !== expected) {
      throw new AirtableOAuthError({ error: "state_mismatch", action: "restart_login" });
    }
    const body = {};
    for (const name of ["code", "state", "error", "error_description"]) {
      const value = parameters.get(name);
      if (value !== null) body[name] = value;
    }
    const tokens = await service("/token-exchange", body);
    keep(tokens);
    storage.setItem(FINISHED, state);
    return { returnTo: tokens.return_to ?? null };
  }

  /** @returns {Session | null} Null if there is no connection. */
  function session() {
    const kept = read();
    return kept && {
      scopes: kept.scope.split(" ").filter(Boolean),
      expiresAt: new Date(kept.expires_at),
      reconnectBy: kept.reconnect_by === null ? null : new Date(kept.reconnect_by),
    };
  }

  /** Exchange the refresh token for a new pair, because a person asked for it. */
  async function renew() {
    const kept = read();
    if (!kept) throw new AirtableOAuthError({ error: "not_connected", action: "reconnect" });
    keep(await service("/token-refresh", { refresh_token: kept.refresh_token }));
  }

  /** Forget the tokens. Airtable has no revocation: there the integration stays listed. */
  function disconnect() {
    for (const key of [TOKENS, STATE, FINISHED]) storage.removeItem(key);
  }

  /**
   * GET from Airtable's Web API.
   *
   * @param {string} path `/v0/…`
   */
  async function airtable(path) {
    const kept = read();
    if (!kept) throw new AirtableOAuthError({ error: "not_connected", action: "reconnect" });
    const response = await send(airtableApiUrl + path, {
      headers: { Authorization: `Bearer ${kept.access_token}` },
    });
    if (response.ok) return response.json();
    if (response.status === 401) {
      throw new AirtableOAuthError({ error: "access_ended", action: "reconnect" });
    }
    throw new AirtableOAuthError({ error: `airtable_${response.status}`, action: "retry" });
  }

  /** Every base that the person has chosen, page after page. */
  async function bases() {
    const all = [];
    let offset = "";
    do {
      const page = await airtable(`/v0/meta/bases${offset && `?${new URLSearchParams({ offset })}`}`);
      all.push(...page.bases);
      offset = page.offset ?? "";
    } while (offset);
    return all;
  }

  async function service(path, body) {
    const response = await send(apiUrl + path, {
      method: body ? "POST" : "GET",
      credentials: "include",
      cache: "no-store",
      headers: body ? { "Content-Type": "application/json", "X-CSRF": "1" } : {},
      body: body && JSON.stringify(body),
    });
    const answer = await response.json().catch(() => ({ error: "unreadable_answer" }));
    if (!response.ok) throw new AirtableOAuthError(answer);
    return answer;
  }

  async function send(url, options) {
    try {
      return await fetch(url, options);
    } catch {
      throw new AirtableOAuthError({ error: "unreachable", action: "retry" });
    }
  }

  function keep(tokens) {
    const now = Date.now();
    const { access_token, refresh_token, scope, expires_in, refresh_expires_in } = tokens;
    storage.setItem(TOKENS, JSON.stringify({
      access_token,
      refresh_token,
      scope,
      expires_at: now + expires_in * 1000,
      reconnect_by: refresh_expires_in === null ? null : now + refresh_expires_in * 1000,
    }));
  }

  function read() {
    return JSON.parse(storage.getItem(TOKENS) ?? "null");
  }

  const whoami = () => airtable("/v0/meta/whoami");

  return { connect, finish, session, renew, disconnect, airtable, whoami, bases };
}
