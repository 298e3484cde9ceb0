/**
 * The browser module of airtable-oauth, without dependencies: copy it into any SPA.
 *
 * With `tokens: "server"` (sessions) it never sees a token. With `tokens: "browser"` it stores the
 * tokens in `sessionStorage`: they are gone when the tab is closed, and any script of this page can
 * read them. It then renews them only when `renew` is called, because a duplicated tab holds the
 * same refresh token, which works only once.
 */

/**
 * @typedef {object} Session
 * @property {string | null} id The connection's id, if a host app embeds the service: its users may have several. Else null.
 * @property {"connected" | "refreshing" | "renewal_required" | "reconnect_required"} status
 *   `renewal_required` exists with `tokens: "browser"` only: the access token has ended, and `renew` may
 *   get a new one.
 * @property {"revoked" | "expired" | "rotation_lost" | null} reason Why the user must connect again.
 * @property {{id: string, email: string | null} | null} user Who granted access, if known.
 * @property {string[]} scopes What was granted.
 * @property {string[]} missingScopes What was asked for and not granted.
 * @property {Date} expiresAt When the access token ends. With sessions it is renewed before.
 * @property {Date | null} reconnectBy When the connection ends if it is not used, if known.
 */

/**
 * What went wrong, in the shape of the service's error body.
 *
 * `action` says what to do: `retry`, `restart_login`, `reconnect`, `fix_config` or, only with
 * `tokens: "browser"`, `renew`: Airtable no longer accepts the access token.
 */
export class AirtableOAuthError extends Error {
  /**
   * @param {{error: string, error_description?: string, action?: string, request_id?: string, return_to?: string}} body
   * @param {number} [status] The HTTP status, if there was an answer.
   */
  constructor(body, status) {
    super(body.error_description ?? body.error);
    this.name = "AirtableOAuthError";
    this.error = body.error;
    this.action = body.action ?? "retry";
    this.requestId = body.request_id ?? null;
    this.returnTo = body.return_to ?? null;
    this.status = status ?? null;
  }
}

const STATE = "airtable-oauth.state";
const FINISHED = "airtable-oauth.finished";
const TOKENS = "airtable-oauth.tokens";

/**
 * @param {object} options
 * @param {string} options.apiUrl Base URL of the service.
 * @param {"server" | "browser"} [options.tokens] Where tokens are stored.
 * @param {string} [options.airtableApiUrl] Base URL of Airtable's Web API, for `tokens: "browser"`.
 * @param {() => Record<string, string>} [options.headers] Called for each request to the service.
 *   Returns the headers that identify the user, if cookies do not, and `X-Airtable-Connection` if the
 *   user has several connections.
 * @param {Storage} [options.storage]
 */
export function createAirtableOAuth({
  apiUrl,
  tokens = "server",
  airtableApiUrl = "https://api.airtable.com",
  headers = () => ({}),
  storage = sessionStorage,
}) {
  const keeper = tokens === "server" ? serverKeeper() : browserKeeper();
  /** @type {Map<string, Promise<any>>} */
  const callbacks = new Map();
  /** @type {Map<string, Promise<any>>} Calls in progress. A second click shares the first one's. */
  const pending = new Map();
  /** @type {Map<string, number[]>} When requests went to each base, with `tokens: "browser"`. */
  const turns = new Map();

  /**
   * Begin a login and leave the page for Airtable. A second click in the meantime does not begin
   * a second login.
   *
   * @param {string} [returnTo] A local path, which `finish` returns.
   * @param {Record<string, string>} [parameters] More query parameters: `connection`, the id of the
   *   connection to reconnect if the user may have several, and any that a host app reads itself.
   */
  async function connect(returnTo, parameters = {}) {
    const query = new URLSearchParams(parameters);
    if (returnTo) query.set("return_to", returnTo);
    const text = query.toString(); // not query.size, which browsers before 2023 do not have
    return shared(`connect ${text}`, () => begin(text && `?${text}`));
  }

  async function begin(query) {
    const { authorizationUrl } = await service(`/authorization-url${query}`);
    storage.setItem(STATE, new URL(authorizationUrl).searchParams.get("state") ?? "");
    location.assign(authorizationUrl);
  }

  /**
   * Finish the login that Airtable's redirect belongs to. A second call with the same parameters
   * returns the result of the first. If it fails with the action `retry`, the login may or may not be
   * finished: call it again with the same parameters.
   *
   * @param {URLSearchParams} parameters The query of the callback route.
   * @returns {Promise<{returnTo: string | null}>}
   */
  function finish(parameters) {
    const key = parameters.toString();
    if (!callbacks.has(key)) {
      const finished = finishOnce(parameters);
      callbacks.set(key, finished);
      finished.catch((failure) => failure.action === "retry" && callbacks.delete(key));
    }
    return /** @type {Promise<any>} */ (callbacks.get(key));
  }

  async function finishOnce(parameters) {
    const state = parameters.get("state");
    if (state && state === storage.getItem(FINISHED) && await isConnected()) return { returnTo: null };
    if (!state || state !== storage.getItem(STATE)) {
      throw new AirtableOAuthError({
        error: "state_mismatch",
        error_description: "This tab began no such login: connect again.",
        action: "restart_login",
      });
    }
    const body = {};
    for (const name of ["code", "state", "error", "error_description"]) {
      const value = parameters.get(name);
      if (value !== null) body[name] = value;
    }
    const answer = await answered(keeper.finish(body));
    storage.setItem(FINISHED, state);
    return { returnTo: answer.return_to ?? null };
  }

  /** Wait for the answer. Then forget the state, unless `finish` should be called again. */
  async function answered(finishing) {
    try {
      const answer = await finishing;
      storage.removeItem(STATE);
      return answer;
    } catch (failure) {
      if (failure.action !== "retry") storage.removeItem(STATE);
      throw failure;
    }
  }

  /** Whether the user has a connection, or several. */
  async function isConnected() {
    try {
      return (await session()) !== null;
    } catch (failure) {
      if (failure.action === "retry") throw failure; // not known
      return failure.error === "connection_not_named";
    }
  }

  /** @returns {Promise<Session | null>} Null if there is no connection. */
  function session() {
    return keeper.session();
  }

  /** @returns {Promise<Session[]>} All connections of a host app's user. */
  async function connections() {
    return (await service("/connections")).connections.map(asSession);
  }

  /** End the connection. Airtable lists the integration until the user removes it there. */
  function disconnect() {
    for (const key of [STATE, FINISHED]) storage.removeItem(key);
    return shared("disconnect", () => keeper.disconnect());
  }

  /** With `tokens: "browser"`: exchange the refresh token for a new pair. Call it when the user asks for it. */
  function renew() {
    return shared("renew", () => keeper.renew()); // a refresh token works once
  }

  /** The call of this name that is in progress, or a new one. */
  function shared(name, call) {
    if (!pending.has(name)) pending.set(name, call().finally(() => pending.delete(name)));
    return /** @type {Promise<any>} */ (pending.get(name));
  }

  /**
   * Call Airtable's Web API.
   *
   * @param {string} path `/v0/…`
   * @param {{method?: string, body?: any}} [options]
   */
  async function airtable(path, { method = "GET", body } = {}) {
    const response = await keeper.airtable(path, {
      method,
      cache: "no-store",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const answer = await response.json().catch(() => null);
    if (response.ok) return answer;
    throw airtableError(response.status, answer, tokens);
  }

  /**
   * All bases to which the user has given access. Fetches every page of the list.
   *
   * @returns {Promise<{id: string, name: string, permissionLevel: string}[]>}
   */
  const bases = () => all("/v0/meta/bases", "bases");

  /**
   * The tables of a base.
   *
   * @param {string} baseId
   * @returns {Promise<{id: string, name: string, primaryFieldId: string, fields: {id: string, name: string, type: string, options?: any}[], views: any[]}[]>}
   */
  async function tables(baseId) {
    return (await airtable(`/v0/meta/bases/${encodeURIComponent(baseId)}/tables`)).tables;
  }

  /**
   * A page of a table's records: by default a hundred.
   *
   * @param {string} baseId
   * @param {string} tableId An id or a name.
   * @param {{offset?: string, pageSize?: number, fields?: string[]}} [options] `offset` comes
   *   with the previous page; Airtable forgets it after some minutes.
   * @returns {Promise<{records: {id: string, createdTime: string, fields: Record<string, any>}[], offset?: string}>}
   */
  function records(baseId, tableId, { offset, pageSize, fields = [] } = {}) {
    const query = new URLSearchParams(fields.map((name) => ["fields[]", name]));
    if (offset) query.set("offset", offset);
    if (pageSize) query.set("pageSize", String(pageSize));
    return airtable(`/v0/${encodeURIComponent(baseId)}/${encodeURIComponent(tableId)}?${query}`);
  }

  const whoami = () => airtable("/v0/meta/whoami");

  async function all(path, name) {
    const found = [];
    let offset = "";
    do {
      const page = await airtable(`${path}${offset && `?${new URLSearchParams({ offset })}`}`);
      found.push(...page[name]);
      offset = page.offset ?? "";
    } while (offset);
    return found;
  }

  // Tokens on the server: this browser has a session

  function serverKeeper() {
    return {
      finish: (body) => service("/session", { method: "POST", body }),
      async session() {
        try {
          return asSession(await service("/session"));
        } catch (failure) {
          if (failure.status === 401) return null;
          throw failure;
        }
      },
      async disconnect() {
        try {
          await service("/session", { method: "DELETE" });
        } catch (failure) {
          if (failure.status !== 401) throw failure; // 401: there is nothing to disconnect
        }
      },
      async renew() {},
      airtable: (path, options) =>
        send(`${apiUrl}/airtable${path}`, {
          ...options,
          credentials: "include",
          headers: { ...headers(), ...options.headers, "X-CSRF": "1" },
        }),
    };
  }

  // Tokens in this tab

  function browserKeeper() {
    const read = () => JSON.parse(storage.getItem(TOKENS) ?? "null");
    const write = (found) => storage.setItem(TOKENS, JSON.stringify(found));
    const kept = () => {
      const found = read();
      if (found) return found;
      throw new AirtableOAuthError({
        error: "not_connected",
        error_description: "Nothing is connected in this tab: connect first.",
        action: "reconnect",
      }, 401);
    };
    const keep = (answer) => {
      const now = Date.now();
      const { access_token, refresh_token, scope, expires_in, refresh_expires_in } = answer;
      write({
        access_token,
        refresh_token,
        scope,
        expires_at: now + expires_in * 1000,
        reconnect_by: refresh_expires_in === null ? null : now + refresh_expires_in * 1000,
      });
      return answer;
    };
    /** Note what Airtable answered about these tokens, unless they were replaced in the meantime. */
    const mark = (token, found) => {
      const current = read();
      if (current?.access_token === token) write({ ...current, ...found });
    };
    return {
      finish: async (body) => keep(await service("/token-exchange", { method: "POST", body })),
      async session() {
        const found = read();
        return found && asSession({
          ...health(found),
          user: null,
          scopes: found.scope.split(" ").filter(Boolean),
          missing_scopes: [],
          expires_at: found.expires_at,
          reconnect_by: found.reconnect_by,
        });
      },
      async disconnect() {
        storage.removeItem(TOKENS);
      },
      async renew() {
        const { access_token, refresh_token } = kept();
        try {
          keep(await service("/token-refresh", { method: "POST", body: { refresh_token } }));
        } catch (failure) {
          if (failure.action === "reconnect") mark(access_token, { ended: true });
          throw failure;
        }
      },
      async airtable(path, options) {
        await turn(path);
        const { access_token } = kept();
        const response = await send(airtableApiUrl + path, {
          ...options,
          headers: { ...options.headers, Authorization: `Bearer ${access_token}` },
        });
        if (response.status === 401) mark(access_token, { refused: true });
        return response;
      },
    };
  }

  /** Wait until a request may be sent. Above five a second for a base, Airtable rejects all for 30 seconds. */
  async function turn(path) {
    const base = path.match(/\/(app\w+)/)?.[1];
    if (!base) return;
    const recent = (turns.get(base) ?? []).filter((at) => at > Date.now() - 1100);
    const at = recent.length < 5 ? Date.now() : recent[recent.length - 5] + 1100;
    turns.set(base, [...recent, at]);
    await new Promise((resolve) => setTimeout(resolve, at - Date.now()));
  }

  async function service(path, { method = "GET", body } = {}) {
    const response = await send(apiUrl + path, {
      method,
      credentials: "include",
      cache: "no-store",
      headers: {
        ...headers(),
        ...(method === "GET" ? {} : { "X-CSRF": "1" }),
        ...(body ? { "Content-Type": "application/json" } : {}),
      },
      body: body && JSON.stringify(body),
    });
    const answer = await response.json().catch(() => ({
      error: "unreadable_answer",
      error_description: "The service's answer makes no sense.",
    }));
    if (!response.ok) throw new AirtableOAuthError(answer, response.status);
    return answer;
  }

  async function send(url, options) {
    try {
      return await fetch(url, options);
    } catch {
      throw new AirtableOAuthError({
        error: "unreachable",
        error_description: "The service did not answer: check your network, then try again.",
        action: "retry",
      });
    }
  }

  return { tokens, connect, finish, session, connections, disconnect, renew, airtable, whoami, bases, tables, records };
}

/** The status of tokens in this tab, and why they have ended. */
function health({ ended, refused, expires_at, reconnect_by }) {
  const now = Date.now();
  if (ended) return { status: "reconnect_required", reason: "revoked" };
  if (reconnect_by !== null && reconnect_by <= now) return { status: "reconnect_required", reason: "expired" };
  return { status: refused || expires_at <= now ? "renewal_required" : "connected", reason: null };
}

/** @returns {Session} */
function asSession(body) {
  const date = (value) => (value === null ? null : new Date(value));
  return {
    id: body.id ?? null,
    status: body.status,
    reason: body.reason,
    user: body.user,
    scopes: body.scopes,
    missingScopes: body.missing_scopes,
    expiresAt: /** @type {Date} */ (date(body.expires_at)),
    reconnectBy: date(body.reconnect_by),
  };
}

/** One class for Airtable's errors and for the service's, whose bodies differ. */
function airtableError(status, answer, tokens) {
  if (typeof answer?.error_description === "string") return new AirtableOAuthError(answer, status);
  const found = answer?.error ?? answer?.errors?.[0] ?? {};
  const error = typeof found === "string" ? found : found.type ?? found.error ?? `HTTP_${status}`;
  return new AirtableOAuthError({
    error,
    error_description: found.message,
    action: status === 401 ? (tokens === "browser" ? "renew" : "reconnect") : status === 403 ? "fix_config" : "retry",
  }, status);
}
