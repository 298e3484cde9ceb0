/*!
 * airtable-oauth 0.1.0: the browser module. Copyright 2026 the airtable-oauth contributors. MIT License.
 * It comes from `frontend/airtable-oauth.js` of the project airtable-oauth. It has no dependencies: copy it.
 */

/**
 * With this module, tokens stay on the server, and this browser has a session. `airtable-oauth-tokens.js`
 * is for pages that hold the tokens themselves.
 *
 * @module
 */

/** @typedef {"retry" | "restart_login" | "reconnect" | "renew" | "fix_config" | "fix_request"} Action */

/**
 * The codes that this module, the service and Airtable give. There may be others.
 *
 * @typedef {"unreachable" | "timeout" | "invalid_response" | "state_mismatch" | "not_connected"
 *   | "connection_not_named" | "reconnect_required" | "access_unavailable" | "store_unavailable"
 *   | "login_not_found" | "invalid_grant" | "access_denied" | "other_user" | "rate_limited"
 *   | "RATE_LIMIT_REACHED" | "INVALID_PERMISSIONS" | "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND" | "NOT_FOUND"
 *   | "LIST_RECORDS_ITERATOR_NOT_AVAILABLE" | (string & {})} Code
 */

/**
 * @typedef {object} Session
 * @property {string | null} id The connection's id, if a host app embeds the service: its users may have
 *   several. Otherwise null.
 * @property {"connected" | "refreshing" | "renewal_required" | "reconnect_required"} status
 *   `renewal_required` exists only with tokens in the browser: the access token has expired, and
 *   `renew` may get a new one.
 * @property {"revoked" | "expired" | "rotation_lost" | null} reason Why the user must reconnect.
 * @property {{id: string, email: string | null} | null} user Who granted access, if known.
 * @property {string[]} scopes What was granted.
 * @property {string[]} missingScopes What was asked for and not granted.
 * @property {Date} expiresAt When the access token expires. The service refreshes it before that.
 * @property {Date | null} reconnectBy When the user must reconnect if the app is not used until then: when the
 *   connection or this browser's session ends, whichever is first. Null if it is not known.
 */

/** @typedef {{id: string, name: string, permissionLevel: string}} Base */
/** @typedef {{id: string, name: string, type: string, description?: string, options?: any}} Field */
/** @typedef {{id: string, name: string, primaryFieldId: string, fields: Field[], views: {id: string, name: string, type: string}[]}} Table */
/** @typedef {{id: string, createdTime: string, fields: Record<string, any>}} AirtableRecord */
/** @typedef {{records: AirtableRecord[], offset?: string}} RecordPage */

/**
 * @typedef {object} CallOptions
 * @property {AbortSignal} [signal] Cancels the call, which then rejects with the signal's reason.
 */

/**
 * Options of Airtable's "List records": https://airtable.com/developers/web/api/list-records
 *
 * @typedef {object} ListOptions
 * @property {string} [view] A view's id or name.
 * @property {{field: string, direction?: "asc" | "desc"}[]} [sort]
 * @property {string} [filterByFormula]
 * @property {string[]} [fields] Names or ids. By default all fields.
 * @property {number} [pageSize] At most 100, the default.
 * @property {number} [maxRecords]
 * @property {"json" | "string"} [cellFormat] `string` needs `timeZone` and `userLocale`.
 * @property {string} [timeZone]
 * @property {string} [userLocale]
 * @property {boolean} [returnFieldsByFieldId]
 */

/** @typedef {{error: string, error_description?: string, action?: Action, request_id?: string, return_to?: string}} ErrorBody */

/**
 * What went wrong. The message is a sentence for the person or, with `fix_config` and `fix_request`, for the
 * developer.
 *
 * `action` says what helps: `retry`; `restart_login`, `reconnect` or `renew`; `fix_config`, which only the
 * service's operator can do; `fix_request` if Airtable refuses this very request, so a retry would not help.
 */
export class AirtableOAuthError extends Error {
  /**
   * @param {ErrorBody} body The service's error body.
   * @param {{status?: number, retryAfter?: number | null, requestId?: string | null, cause?: unknown}} [details]
   */
  constructor(body, { status, retryAfter, requestId, cause } = {}) {
    super(body.error_description ?? body.error, cause === undefined ? undefined : { cause });
    this.name = "AirtableOAuthError";
    /** @type {Code} */
    this.code = body.error;
    /** @type {Action} */
    this.action = body.action ?? "retry";
    /** For the operator, who finds it in the log. @type {string | null} */
    this.requestId = body.request_id ?? requestId ?? null;
    /** Seconds after which a retry may help, if the answer said so. @type {number | null} */
    this.retryAfter = retryAfter ?? null;
    /** The path given to `connect`, if a login failed. @type {string | null} */
    this.returnTo = body.return_to ?? null;
    /** The HTTP status, if there was an answer. @type {number | null} */
    this.status = status ?? null;
  }
}

/**
 * @typedef {object} Options
 * @property {string} apiUrl Base URL of the service.
 * @property {() => Record<string, string>} [headers] Called for each request to the service. Returns the headers
 *   that identify the user, if cookies do not, and `X-Airtable-Connection` if the user has several connections.
 * @property {number} [timeout] Milliseconds that a call may take; 30,000 by default.
 * @property {Storage} [storage] Where the state of a login is stored; `sessionStorage` by default.
 */

/**
 * The module's object, for a browser whose tokens are on the server.
 *
 * @param {Options} options
 */
export function createAirtableOAuth(options) {
  return createClient(options, serverSession).client;
}

/** @typedef {ReturnType<typeof createAirtableOAuth>} AirtableOAuth */

/**
 * How a browser keeps its connection.
 *
 * @typedef {object} Connection
 * @property {(body: Record<string, string>, signal: AbortSignal) => Promise<{return_to?: string | null}>} finish
 * @property {(signal: AbortSignal) => Promise<Session | null>} session
 * @property {(signal: AbortSignal) => Promise<void>} disconnect
 * @property {(path: string, init: RequestInit) => Promise<Response>} request A request to Airtable's Web API.
 * @property {Action} expired The action if Airtable answers 401.
 * @property {boolean} isShared Whether all tabs have the same connection.
 */

/**
 * @typedef {object} Parts What a `Connection` is made of.
 * @property {string} apiUrl
 * @property {ReturnType<typeof openStorage>} storage
 * @property {() => Record<string, string>} headers
 * @property {(path: string, options?: {method?: string, body?: unknown, signal?: AbortSignal}) => Promise<any>} service
 *   A request to the service. Returns the JSON of its answer.
 */

/** @param {Parts} parts @returns {Connection} */
function serverSession({ apiUrl, headers, service }) {
  return {
    expired: "reconnect",
    isShared: true,
    finish: (body, signal) => service("/session", { method: "POST", body, signal }),
    async session(signal) {
      try {
        return asSession(await service("/session", { signal }));
      } catch (failure) {
        if (isNotConnected(failure)) return null;
        throw failure;
      }
    },
    async disconnect(signal) {
      try {
        await service("/session", { method: "DELETE", signal });
      } catch (failure) {
        if (!isNotConnected(failure)) throw failure; // otherwise there is nothing to disconnect
      }
    },
    request: (path, init) => send(`${apiUrl}/airtable${path}`, {
      ...init,
      credentials: "include",
      headers: { ...headers(), ...init.headers, ...csrf(init.method) },
    }),
  };
}

/**
 * The module's object, for any kind of connection, and what an addition to it needs.
 *
 * @template {Connection} C
 * @param {Options} options
 * @param {(parts: Parts) => C} connect
 */
export function createClient({ apiUrl: url, headers = () => ({}), timeout = 30_000, storage: given }, connect) {
  const apiUrl = url.replace(/\/+$/, "");
  const storage = openStorage(given, apiUrl);
  const connection = connect({ apiUrl, headers, storage, service });
  const changes = createChanges(connection.isShared ? apiUrl : null);
  /** @type {Map<string, Promise<any>>} */
  const callbacks = new Map();
  /** Calls in progress. A second click shares the first one's. @type {Map<string, Promise<any>>} */
  const pending = new Map();

  /**
   * @typedef {object} LoginOptions
   * @property {string} [returnTo] A local path, which `finish` returns.
   * @property {string} [connection] The id of the connection to reconnect, if the user may have several.
   * @property {Record<string, string>} [parameters] Query parameters that a host app reads itself.
   */

  /**
   * Begin a login. Returns the URL of Airtable's page, for an app that goes there itself.
   *
   * @param {LoginOptions & CallOptions} [options]
   * @returns {Promise<string>}
   */
  async function begin({ returnTo, connection, parameters, signal } = {}) {
    const query = queryOf({ ...parameters, connection, return_to: returnTo });
    const { authorizationUrl } = await timed(signal, (until) => service(`/authorization-url${query}`, { signal: until }));
    storage.set("state", new URL(authorizationUrl).searchParams.get("state") ?? "");
    return authorizationUrl;
  }

  /**
   * Begin a login, and leave the page for Airtable's. A second click in the meantime does not begin a
   * second login.
   *
   * @param {LoginOptions & CallOptions} [options]
   * @returns {Promise<void>}
   */
  function connectTo(options = {}) {
    const { signal, ...rest } = options;
    return shared(`connect ${JSON.stringify(rest)}`, async () => location.assign(await begin(options)));
  }

  /**
   * Finish the login that Airtable's redirect belongs to. A second call with the same parameters returns the
   * result of the first. If it fails with the action `retry`, the login may or may not be finished: call it
   * again with the same parameters.
   *
   * @param {URLSearchParams | string} parameters The query of the callback route.
   * @param {CallOptions} [options]
   * @returns {Promise<{returnTo: string | null}>}
   */
  function finish(parameters, { signal } = {}) {
    const query = new URLSearchParams(parameters);
    const key = query.toString();
    const known = callbacks.get(key);
    if (known) return known;
    const finished = finishOnce(query, signal);
    callbacks.set(key, finished);
    finished.catch((failure) => {
      if (!(failure instanceof AirtableOAuthError) || failure.action === "retry") callbacks.delete(key);
    });
    return finished;
  }

  /** @param {URLSearchParams} query @param {AbortSignal} [signal] */
  async function finishOnce(query, signal) {
    const state = query.get("state");
    if (state && state === storage.get("finished") && await isConnected(signal)) return { returnTo: null };
    if (!state || state !== storage.get("state")) {
      throw new AirtableOAuthError({
        error: "state_mismatch",
        error_description: "This sign-in wasn't started in this tab. Connect again.",
        action: "restart_login",
      });
    }
    /** @type {Record<string, string>} */
    const body = {};
    for (const name of ["code", "state", "error", "error_description"]) {
      const value = query.get(name);
      if (value !== null) body[name] = value;
    }
    const answer = await answered(timed(signal, (until) => connection.finish(body, until)));
    storage.set("finished", state);
    changes.note(true);
    return { returnTo: answer.return_to ?? null };
  }

  /**
   * Wait for the answer. Then forget the state, unless `finish` should be called again.
   *
   * @template T
   * @param {Promise<T>} finishing
   */
  async function answered(finishing) {
    try {
      const answer = await finishing;
      storage.remove("state");
      return answer;
    } catch (failure) {
      if (failure instanceof AirtableOAuthError && failure.action !== "retry") storage.remove("state");
      throw failure;
    }
  }

  /** Whether the user has a connection, or several. @param {AbortSignal} [signal] */
  async function isConnected(signal) {
    try {
      return (await session({ signal })) !== null;
    } catch (failure) {
      if (failure instanceof AirtableOAuthError && failure.action !== "retry") {
        return failure.code === "connection_not_named";
      }
      throw failure; // not known
    }
  }

  /**
   * The connection's health, or null if there is no connection.
   *
   * @param {CallOptions} [options]
   * @returns {Promise<Session | null>}
   */
  async function session({ signal } = {}) {
    const found = await timed(signal, connection.session);
    changes.observe(found !== null && found.status !== "reconnect_required");
    return found;
  }

  /**
   * All connections of a host app's user.
   *
   * @param {CallOptions} [options]
   * @returns {Promise<Session[]>}
   */
  async function connections({ signal } = {}) {
    const answer = await timed(signal, (until) => service("/connections", { signal: until }));
    return answer.connections.map(asSession);
  }

  /**
   * End the connection: its tokens are erased. Airtable lists the integration until the user removes it there.
   *
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  function disconnect({ signal } = {}) {
    return shared("disconnect", async () => {
      await timed(signal, connection.disconnect);
      storage.remove("state");
      storage.remove("finished");
      changes.note(false);
    });
  }

  /**
   * Any request to Airtable's Web API. Returns the JSON of the answer.
   *
   * @param {string} path `/v0/…`
   * @param {{method?: string, query?: Record<string, unknown>, body?: unknown} & CallOptions} [options]
   * @returns {Promise<any>}
   */
  async function request(path, { method = "GET", query = {}, body, signal } = {}) {
    try {
      return await timed(signal, async (until) => {
        const response = await connection.request(path + queryOf(query), {
          method,
          cache: "no-store",
          headers: body === undefined ? {} : { "Content-Type": "application/json" },
          body: body === undefined ? undefined : JSON.stringify(body),
          signal: until,
        });
        return answerOf(response, connection.expired);
      });
    } catch (failure) {
      if (isNotConnected(failure) || isEnded(failure)) changes.observe(false);
      throw failure;
    }
  }

  /**
   * Who granted access.
   *
   * @param {CallOptions} [options]
   * @returns {Promise<{id: string, email?: string, scopes?: string[]}>}
   */
  const whoami = (options) => request("/v0/meta/whoami", options);

  /**
   * All bases to which the user has given access.
   *
   * @param {CallOptions} [options]
   * @returns {Promise<Base[]>}
   */
  async function bases({ signal } = {}) {
    /** @type {Base[]} */
    const found = [];
    /** @type {string | undefined} */
    let offset;
    do {
      const page = await request("/v0/meta/bases", { query: { offset }, signal });
      found.push(...page.bases);
      offset = page.offset;
    } while (offset);
    return found;
  }

  /**
   * The tables of a base, with their fields and views.
   *
   * @param {string} baseId
   * @param {CallOptions} [options]
   * @returns {Promise<Table[]>}
   */
  async function tables(baseId, options) {
    return (await request(`/v0/meta/bases/${encodeURIComponent(baseId)}/tables`, options)).tables;
  }

  /** The records of a table. Each method takes a base's id, and a table's id or name. */
  const records = {
    /**
     * One page. Its `offset` gets the next one; the last page has none.
     *
     * @param {string} baseId
     * @param {string} table
     * @param {ListOptions & {offset?: string} & CallOptions} [options]
     * @returns {Promise<RecordPage>}
     */
    page: (baseId, table, { signal, ...query } = {}) => request(pathOf(baseId, table), { query, signal }),

    /**
     * All records, as an async iterator that reads a page whenever it needs one.
     *
     * @param {string} baseId
     * @param {string} table
     * @param {ListOptions & CallOptions} [options]
     * @returns {AsyncGenerator<AirtableRecord, void, undefined>}
     */
    async *all(baseId, table, options = {}) {
      /** @type {string | undefined} */
      let offset;
      do {
        /** @type {RecordPage} */
        const page = await records.page(baseId, table, { ...options, offset });
        yield* page.records;
        offset = page.offset;
      } while (offset);
    },

    /**
     * @param {string} baseId
     * @param {string} table
     * @param {string} recordId
     * @param {Pick<ListOptions, "cellFormat" | "timeZone" | "userLocale" | "returnFieldsByFieldId"> & CallOptions} [options]
     * @returns {Promise<AirtableRecord>}
     */
    get: (baseId, table, recordId, { signal, ...query } = {}) =>
      request(pathOf(baseId, table, recordId), { query, signal }),

    /**
     * @param {string} baseId
     * @param {string} table
     * @param {Record<string, any>} fields
     * @param {{typecast?: boolean} & CallOptions} [options] `typecast`: let Airtable convert values from text.
     * @returns {Promise<AirtableRecord>}
     */
    create: (baseId, table, fields, { signal, typecast } = {}) =>
      request(pathOf(baseId, table), { method: "POST", body: { fields, typecast }, signal }),

    /**
     * Change the fields that are named, and leave the others.
     *
     * @param {string} baseId
     * @param {string} table
     * @param {string} recordId
     * @param {Record<string, any>} fields
     * @param {{typecast?: boolean} & CallOptions} [options]
     * @returns {Promise<AirtableRecord>}
     */
    update: (baseId, table, recordId, fields, { signal, typecast } = {}) =>
      request(pathOf(baseId, table, recordId), { method: "PATCH", body: { fields, typecast }, signal }),

    /**
     * @param {string} baseId
     * @param {string} table
     * @param {string} recordId
     * @param {CallOptions} [options]
     * @returns {Promise<{id: string, deleted: true}>}
     */
    delete: (baseId, table, recordId, { signal } = {}) =>
      request(pathOf(baseId, table, recordId), { method: "DELETE", signal }),
  };

  /**
   * The call of this name that is in progress, or a new one.
   *
   * @template T
   * @param {string} name
   * @param {() => Promise<T>} call
   * @returns {Promise<T>}
   */
  function shared(name, call) {
    const known = pending.get(name);
    if (known) return known;
    const called = call().finally(() => pending.delete(name));
    pending.set(name, called);
    return called;
  }

  /**
   * Do `work` until the caller's signal or the timeout ends it.
   *
   * @template T
   * @param {AbortSignal | undefined} signal
   * @param {(signal: AbortSignal) => Promise<T>} work
   */
  async function timed(signal, work) {
    const controller = new AbortController(); // not AbortSignal.any, which browsers before 2024 do not have
    const stop = () => controller.abort();
    const timer = setTimeout(stop, timeout);
    signal?.addEventListener("abort", stop);
    try {
      if (signal?.aborted) stop();
      return await work(controller.signal);
    } catch (cause) {
      if (signal?.aborted) throw signal.reason ?? cause;
      if (!controller.signal.aborted) throw cause;
      throw new AirtableOAuthError({
        error: "timeout",
        error_description: "The server took too long to answer. Try again.",
      }, { cause });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  }

  /** @type {Parts["service"]} */
  async function service(path, { method = "GET", body, signal } = {}) {
    const response = await send(apiUrl + path, {
      method,
      credentials: "include",
      cache: "no-store",
      headers: {
        ...headers(),
        ...csrf(method),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
    return answerOf(response, "fix_request");
  }

  /**
   * Call `listener` whenever the connection begins or ends, here or in another tab. Returns a function that
   * stops this.
   *
   * @param {(change: {connected: boolean}) => void} listener
   * @returns {() => void}
   */
  const onChange = (listener) => changes.listen(listener);

  const client = {
    begin, connect: connectTo, finish, session, connections, disconnect, onChange,
    request, whoami, bases, tables, records,
  };
  return { client, connection, shared, timed };
}

/** The header without which the service refuses to change anything. A read needs none, so no CORS preflight. */
const csrf = (/** @type {string | undefined} */ method) =>
  method === undefined || method === "GET" ? {} : { "X-CSRF": "1" };

/** @param {unknown} failure */
const isNotConnected = (failure) =>
  failure instanceof AirtableOAuthError && failure.status === 401 && failure.code === "not_connected";

/** @param {unknown} failure */
const isEnded = (failure) => failure instanceof AirtableOAuthError && failure.action === "reconnect";

/** @param {string[]} parts */
const pathOf = (...parts) => `/v0/${parts.map(encodeURIComponent).join("/")}`;

/**
 * A query as Airtable reads it: `fields[]=…`, `sort[0][field]=…`.
 *
 * @param {Record<string, unknown>} values
 */
export function queryOf(values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) add(query, name, value);
  const text = query.toString(); // not query.size, which browsers before 2023 do not have
  return text && `?${text}`;
}

/** @param {URLSearchParams} query @param {string} name @param {unknown} value */
function add(query, name, value) {
  if (value === undefined || value === null || value === "") return;
  if (Array.isArray(value)) {
    value.forEach((each, place) => add(query, typeof each === "object" ? `${name}[${place}]` : `${name}[]`, each));
  } else if (typeof value === "object") {
    for (const [key, each] of Object.entries(value)) add(query, `${name}[${key}]`, each);
  } else query.append(name, String(value));
}

/** @param {string} url @param {RequestInit} init */
export async function send(url, init) {
  try {
    return await fetch(url, init);
  } catch (cause) {
    throw new AirtableOAuthError({
      error: "unreachable",
      error_description: "We can't reach the server. Check your internet connection, then try again.",
    }, { cause });
  }
}

/**
 * The JSON of an answer.
 *
 * @param {Response} response
 * @param {Action} expired The action if Airtable answers 401.
 */
async function answerOf(response, expired) {
  const details = {
    status: response.status,
    requestId: response.headers.get("X-Request-ID"),
    retryAfter: secondsOf(response.headers.get("Retry-After")),
  };
  let body;
  try {
    body = await response.json();
  } catch (cause) {
    throw new AirtableOAuthError({
      error: "invalid_response",
      error_description: "The server returned an invalid response.",
      action: response.ok || response.status >= 500 ? "retry" : "fix_config",
    }, { ...details, cause });
  }
  if (response.ok) return body;
  const isOurs = typeof body?.error === "string" && typeof body.action === "string";
  throw new AirtableOAuthError(isOurs ? body : airtableError(response.status, body, expired), details);
}

/**
 * Airtable's error in the service's form. Its body is `{error: {type, message}}`, `{error: "TYPE"}` or `{errors: […]}`.
 *
 * @param {number} status
 * @param {any} body
 * @param {Action} expired
 * @returns {ErrorBody}
 */
function airtableError(status, body, expired) {
  const found = body?.error ?? body?.errors?.[0] ?? {};
  const type = typeof found === "string" ? found : found.type ?? found.error;
  return {
    error: typeof type === "string" ? type : `HTTP_${status}`,
    error_description: typeof found.message === "string" ? found.message : undefined,
    action: actionFor(status, type === undefined ? "fix_request" : expired),
  };
}

/** @param {number} status @param {Action} expired @returns {Action} */
function actionFor(status, expired) {
  if (status === 401) return expired;
  return status >= 500 || status === 408 || status === 429 ? "retry" : "fix_request";
}

/** `Retry-After` in seconds. @param {string | null} text */
function secondsOf(text) {
  if (text === null) return null;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(0, Math.ceil(seconds));
}

/** @param {any} body @returns {Session} */
export function asSession(body) {
  const end = [body.reconnect_by, body.session_ends_at].filter((each) => each != null).map((each) => new Date(each));
  return {
    id: body.id ?? null,
    status: body.status,
    reason: body.reason,
    user: body.user,
    scopes: body.scopes,
    missingScopes: body.missing_scopes,
    expiresAt: new Date(body.expires_at),
    reconnectBy: end.length === 0 ? null : new Date(Math.min(...end.map(Number))),
  };
}

/**
 * Entries of `sessionStorage` for this service. If the browser has no storage or blocks it, or on a server, they
 * are in memory, and a login can only be finished by this very page.
 *
 * @param {Storage | undefined} given
 * @param {string} apiUrl
 */
function openStorage(given, apiUrl) {
  /** @type {Map<string, string>} */
  const memory = new Map();
  /** @param {string} name */
  const keyOf = (name) => `airtable-oauth ${apiUrl} ${name}`;

  /** @template T @param {(storage: Storage) => T} use @param {() => T} otherwise */
  function attempt(use, otherwise) {
    try {
      return use(given ?? globalThis.sessionStorage); // a blocked one throws as soon as it is named
    } catch {
      return otherwise();
    }
  }

  return {
    /** @param {string} name @returns {string | null} */
    get: (name) => memory.get(name) ?? attempt((storage) => storage.getItem(keyOf(name)), () => null),
    /** @param {string} name @param {string} value */
    set: (name, value) => attempt((storage) => storage.setItem(keyOf(name), value), () => void memory.set(name, value)),
    /** @param {string} name */
    remove(name) {
      memory.delete(name);
      attempt((storage) => storage.removeItem(keyOf(name)), () => {});
    },
  };
}

/**
 * Tells listeners when the connection begins or ends.
 *
 * @param {string | null} apiUrl Null if other tabs have connections of their own.
 */
function createChanges(apiUrl) {
  /** @type {Set<(change: {connected: boolean}) => void>} */
  const listeners = new Set();
  /** @type {boolean | null} */
  let last = null;
  /** @type {BroadcastChannel | null} */
  let channel = null;

  function openChannel() {
    if (channel || apiUrl === null || typeof document === "undefined" || typeof BroadcastChannel === "undefined") return;
    channel = new BroadcastChannel(`airtable-oauth ${apiUrl}`);
    channel.addEventListener("message", ({ data }) => tell(data.connected === true));
  }

  /** @param {boolean} connected */
  function tell(connected) {
    last = connected;
    for (const listener of [...listeners]) listener({ connected });
  }

  return {
    /** @param {(change: {connected: boolean}) => void} listener */
    listen(listener) {
      openChannel();
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    /** The connection has just begun or ended. @param {boolean} connected */
    note(connected) {
      openChannel();
      tell(connected);
      channel?.postMessage({ connected });
    },
    /** An answer shows whether there is a connection. @param {boolean} connected */
    observe(connected) {
      if (last === true && !connected) this.note(false);
      else last = connected;
    },
  };
}
