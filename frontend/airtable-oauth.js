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
 * Codes that an app may want to tell apart. This module, the service and Airtable give others, too.
 *
 * @typedef {"unreachable" | "timeout" | "invalid_response" | "state_mismatch" | "not_connected"
 *   | "connection_not_named" | "reconnect_required" | "access_unavailable" | "store_unavailable"
 *   | "login_not_found" | "invalid_grant" | "access_denied" | "other_airtable_user" | "rate_limited"
 *   | "RATE_LIMIT_REACHED" | "INVALID_PERMISSIONS" | "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND" | "NOT_FOUND"
 *   | "LIST_RECORDS_ITERATOR_NOT_AVAILABLE" | (string & {})} Code
 */

/**
 * @typedef {object} Session
 * @property {string | null} id The connection's id, if a host app embeds the service: its users may have
 *   several. Otherwise null.
 * @property {"connected" | "refreshing" | "renewal_required" | "reconnect_required"} status
 *   `renewal_required` exists only with tokens in the browser: the access token has expired or
 *   Airtable has refused it, and `renew` may get a new one.
 * @property {"revoked" | "expired" | "rotation_lost" | null} reason Why the user must reconnect.
 * @property {{id: string, email: string | null} | null} user Who granted access, if known.
 * @property {string[]} scopes What was granted.
 * @property {string[]} missingScopes What was asked for and not granted.
 * @property {Date} expiresAt When the access token expires. With tokens on the server, each call gets a valid one.
 * @property {Date | null} reconnectBy When the user must reconnect if the app is not used until then: when the
 *   connection or this browser's session ends, whichever is first. Null if it is not known.
 */

/** @typedef {{id: string, name: string, permissionLevel: string}} Base */
/** @typedef {{id: string, name: string, type: string, description?: string, options?: any}} Field */
/** @typedef {{id: string, name: string, type: string}} View */
/** @typedef {{id: string, name: string, primaryFieldId: string, fields: Field[], views: View[]}} Table */
/** @typedef {{id: string, createdTime: string, fields: Record<string, any>, commentCount?: number}} AirtableRecord */
/** @typedef {{records: AirtableRecord[], offset?: string}} RecordPage */

/**
 * @typedef {object} CallOptions
 * @property {AbortSignal} [signal] Cancels the call, which then rejects with the signal's reason. `finish`,
 *   `disconnect` and `renew` go on even so, because stopping them halfway could lose tokens; only the waiting ends.
 *   The request of `connect` goes on as well, but the cancelled call does not leave the page.
 */

/**
 * @typedef {object} CellOptions
 * @property {"json" | "string"} [cellFormat] `string` needs `timeZone` and `userLocale`.
 * @property {string} [timeZone]
 * @property {string} [userLocale]
 * @property {boolean} [returnFieldsByFieldId]
 */

/**
 * @typedef {object} Listing
 * @property {string} [view] A view's id or name.
 * @property {{field: string, direction?: "asc" | "desc"}[]} [sort]
 * @property {string} [filterByFormula]
 * @property {string[]} [fields] Names or ids. By default all fields.
 * @property {number} [pageSize] At most 100, the default.
 * @property {number} [maxRecords]
 * @property {("commentCount")[]} [recordMetadata]
 */

/**
 * Options of Airtable's "List records": https://airtable.com/developers/web/api/list-records
 *
 * @typedef {Listing & CellOptions} ListOptions
 */

/**
 * @typedef {object} WriteOptions
 * @property {boolean} [typecast] Let Airtable convert values from text.
 * @property {boolean} [returnFieldsByFieldId]
 */

/**
 * The service's error body.
 *
 * @internal
 * @typedef {object} ErrorBody
 * @property {string} error
 * @property {string} [error_description]
 * @property {Action} [action]
 * @property {string} [request_id]
 * @property {string} [return_to]
 */

/**
 * What went wrong. The message is a sentence for the person or, with `fix_config` and `fix_request`, for the
 * developer.
 *
 * `action` says what helps:
 * - `retry`: the same call again
 * - `restart_login`, `reconnect`: a new login, with `connect`
 * - `renew`: the call `renew`, with tokens in the browser
 * - `fix_config`: a change by the service's operator or the app's developer
 * - `fix_request`: a different request. This one is refused each time, so a retry would not help
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
 * @property {string} apiUrl Base URL of the service. In a host app, the app's address with the prefix of the router.
 * @property {() => Record<string, string>} [headers] Called for each request to the service. Returns the headers
 *   that identify the user, if cookies do not, and `X-Airtable-Connection` if the user has several connections.
 * @property {number} [timeout] Milliseconds that a request may take; 30,000 by default.
 * @property {Storage} [storage] Where the state of a login is stored and, with `airtable-oauth-tokens.js`, the tokens;
 *   `sessionStorage` by default.
 */

/**
 * Create the client, for a browser whose tokens are on the server.
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
 * @internal
 * @typedef {object} Connection
 * @property {(body: Record<string, string>, signal: AbortSignal) => Promise<{return_to?: string | null}>} finish
 * @property {(signal: AbortSignal) => Promise<Session | null>} session
 * @property {(signal: AbortSignal) => Promise<void>} disconnect
 * @property {(path: string, init: WebApiInit) => Promise<Response>} request A request to Airtable's Web API.
 * @property {Action} expired The action if Airtable answers 401.
 * @property {boolean} isShared Whether all tabs have the same connection.
 */

/**
 * @internal
 * @typedef {RequestInit & {method: string, headers: Record<string, string>, signal: AbortSignal}} WebApiInit
 */

/**
 * What a `Connection` is made of.
 *
 * @internal
 * @typedef {object} Parts
 * @property {string} apiUrl
 * @property {Entries} storage
 * @property {() => Record<string, string>} headers
 * @property {Service} service
 */

/**
 * A request to the service. Returns the JSON of its answer, or null if the answer is empty.
 *
 * @internal
 * @typedef {(path: string, options?: {method?: string, body?: unknown, signal?: AbortSignal}) => Promise<any>} Service
 */

/** @param {Parts} parts @returns {Connection} */
function serverSession({ apiUrl, headers, service }) {
  return {
    expired: "reconnect",
    isShared: true,
    finish: (body, signal) => service("/session", { method: "POST", body, signal }),
    async session(signal) {
      try {
        return asSession(checked(await service("/session", { signal }), "status"));
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
 * The client, for any kind of connection, and what `airtable-oauth-tokens.js` needs to add `renew`
 * and to replace `whoami`.
 *
 * @internal
 * @template {Connection} C
 * @param {Options} options
 * @param {(parts: Parts) => C} connect
 */
export function createClient({ apiUrl: url, headers = () => ({}), timeout = 30_000, storage: given }, connect) {
  const apiUrl = url.replace(/\/+$/, "");
  const storage = openStorage(given, apiUrl);
  const service = createService(apiUrl, headers);
  const timed = createTimer(timeout);
  const shared = createShared();
  const connection = connect({ apiUrl, headers, storage, service });
  const changes = createChanges(connection.isShared ? apiUrl : null);

  /**
   * Do `work`. If it shows that the connection has ended, tell the listeners.
   *
   * @template T
   * @param {() => Promise<T>} work
   */
  async function watched(work) {
    const observe = changes.observer();
    try {
      return await work();
    } catch (failure) {
      if (isNotConnected(failure) || isEnded(failure)) observe(false);
      throw failure;
    }
  }

  const client = {
    ...createLogin({ storage, service, timed, shared, changes, connection, session }),

    /**
     * The connection's status and details, or null if Airtable isn't connected.
     *
     * @param {CallOptions} [options]
     * @returns {Promise<Session | null>}
     */
    session: (options) => session(options),

    /**
     * All connections of a host app's user.
     *
     * @param {CallOptions} [options]
     * @returns {Promise<Session[]>}
     */
    async connections({ signal } = {}) {
      const answer = await timed(signal, (until) => service("/connections", { signal: until }));
      return checked(answer, "connections").connections.map(asSession);
    },

    /**
     * End the connection: its tokens are erased. Airtable lists the integration until the user removes it there.
     *
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    disconnect: ({ signal } = {}) => shared("disconnect", async () => {
      await timed(undefined, connection.disconnect);
      storage.remove("state");
      storage.remove("finished");
      changes.note(false);
    }, signal),

    /**
     * Call `listener` whenever the connection begins or ends, here or in another tab. Returns a function that
     * stops this. With tokens in the browser, other tabs have connections of their own.
     *
     * @param {(change: {connected: boolean}) => void} listener
     * @returns {() => void}
     */
    onChange: (listener) => changes.listen(listener),

    /**
     * Any request to Airtable's Web API. Returns the JSON of the answer, or null if the answer is empty.
     *
     * @param {string} path `/v0/…`
     * @param {RequestOptions & CallOptions} [options]
     * @returns {Promise<any>}
     */
    request: (path, options) => request(path, options),

    ...createWebApi(request),
  };

  /** @param {CallOptions} [options] */
  async function session({ signal } = {}) {
    const observe = changes.observer();
    const found = await timed(signal, connection.session);
    observe(found !== null && found.status !== "reconnect_required");
    return found;
  }

  /** @param {string} path @param {RequestOptions & CallOptions} [options] @returns {Promise<any>} */
  function request(path, { method = "GET", query = {}, body, signal } = {}) {
    return watched(() => timed(signal, async (until) => {
      if (!path.startsWith("/")) throw notAPath();
      const response = await connection.request(withQuery(path, query), {
        method,
        cache: "no-store",
        headers: typeOf(body),
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: until,
      });
      return answerOf(response, connection.expired);
    }));
  }

  return { client, connection, shared, timed, watched };
}

/**
 * @typedef {object} LoginOptions
 * @property {string} [returnTo] A local path, which `finish` returns.
 * @property {string} [connection] The id of the connection to reconnect, if the user may have several.
 * @property {Record<string, string>} [parameters] Query parameters that a host app reads itself.
 */

/**
 * The calls that connect.
 *
 * @param {object} parts
 * @param {Entries} parts.storage
 * @param {Service} parts.service
 * @param {ReturnType<typeof createTimer>} parts.timed
 * @param {ReturnType<typeof createShared>} parts.shared
 * @param {ReturnType<typeof createChanges>} parts.changes
 * @param {Connection} parts.connection
 * @param {() => Promise<Session | null>} parts.session
 */
function createLogin({ storage, service, timed, shared, changes, connection, session }) {
  /** @type {Map<string, Promise<{returnTo: string | null}>>} */
  const callbacks = new Map();

  /** @param {LoginOptions & CallOptions} [options] @returns {Promise<string>} */
  async function begin({ returnTo, connection: id, parameters, signal } = {}) {
    const query = queryOf({ ...parameters, connection: id, return_to: returnTo });
    const answer = await timed(signal, (until) => service(`/authorization-url${query}`, { signal: until }));
    const { authorizationUrl } = checked(answer, "authorizationUrl");
    storage.set("state", new URL(authorizationUrl).searchParams.get("state") ?? "");
    return authorizationUrl;
  }

  /** @param {URLSearchParams} query */
  async function finishOnce(query) {
    const state = query.get("state");
    if (state && state === storage.get("finished") && await isConnected()) return { returnTo: null };
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
    const answer = await answered(timed(undefined, (until) => connection.finish(body, until)));
    storage.set("finished", state);
    changes.note(true);
    return { returnTo: answer?.return_to ?? null };
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

  /** Whether the user has a connection, or several. */
  async function isConnected() {
    try {
      return (await session()) !== null;
    } catch (failure) {
      if (failure instanceof AirtableOAuthError && failure.action !== "retry") {
        return failure.code === "connection_not_named";
      }
      throw failure; // not known
    }
  }

  return {
    /**
     * Begin a login. Returns the URL of Airtable's page, for an app that goes there itself.
     *
     * @param {LoginOptions & CallOptions} [options]
     * @returns {Promise<string>}
     */
    begin: (options) => begin(options),

    /**
     * Begin a login, and leave the page for Airtable's. A second click in the meantime does not begin a
     * second login.
     *
     * @param {LoginOptions & CallOptions} [options]
     * @returns {Promise<void>}
     */
    async connect({ signal, ...options } = {}) {
      const login = await shared(`connect ${JSON.stringify(options)}`, async () =>
        ({ url: await begin(options), isOpened: false }), signal);
      if (login.isOpened) return; // by the click whose call this one shares
      login.isOpened = true;
      location.assign(login.url);
    },

    /**
     * Finish the login that Airtable's redirect belongs to. A second call with the same parameters returns the
     * result of the first; after a reload of the page, its `returnTo` is null. If `finish` fails with the action
     * `retry`, the login may or may not be finished: call `finish` again with the same parameters.
     *
     * @param {URLSearchParams | string} parameters The query of the callback route.
     * @param {CallOptions} [options]
     * @returns {Promise<{returnTo: string | null}>}
     */
    finish(parameters, { signal } = {}) {
      if (signal?.aborted) return Promise.reject(signal.reason);
      const query = new URLSearchParams(parameters);
      const key = query.toString();
      const known = callbacks.get(key);
      if (known) return waited(known, signal);
      const finished = finishOnce(query);
      callbacks.set(key, finished);
      finished.catch((failure) => {
        if (!(failure instanceof AirtableOAuthError) || failure.action === "retry") callbacks.delete(key);
      });
      return waited(finished, signal);
    },
  };
}

/** @typedef {{method?: string, query?: Record<string, unknown>, body?: unknown}} RequestOptions */

/**
 * The calls that read and write Airtable's data.
 *
 * @param {(path: string, options?: RequestOptions & CallOptions) => Promise<any>} request
 */
function createWebApi(request) {
  return {
    /**
     * Who granted access.
     *
     * @param {CallOptions} [options]
     * @returns {Promise<{id: string, email?: string, scopes?: string[]}>}
     */
    whoami: (options) => request("/v0/meta/whoami", options),

    /**
     * All bases to which the user has given access.
     *
     * @param {CallOptions} [options]
     * @returns {Promise<Base[]>}
     */
    async bases({ signal } = {}) {
      /** @type {Base[]} */
      const found = [];
      /** @type {string | undefined} */
      let offset;
      do {
        const page = await request("/v0/meta/bases", { query: { offset }, signal });
        found.push(...checked(page, "bases").bases);
        offset = page.offset;
      } while (offset);
      return found;
    },

    /**
     * The tables of a base, with their fields and views.
     *
     * @param {string} baseId
     * @param {CallOptions} [options]
     * @returns {Promise<Table[]>}
     */
    async tables(baseId, options) {
      const answer = await request(`/v0/meta/bases/${encodeURIComponent(baseId)}/tables`, options);
      return checked(answer, "tables").tables;
    },

    /** The records of a table. Each method takes a base's id, and a table's id or name. */
    records: createRecords(request),
  };
}

/** @param {(path: string, options?: RequestOptions & CallOptions) => Promise<any>} request */
function createRecords(request) {
  const records = {
    /**
     * One page. Its `offset` gets the next one; the last page has none.
     *
     * @param {string} baseId
     * @param {string} table
     * @param {ListOptions & {offset?: string} & CallOptions} [options]
     * @returns {Promise<RecordPage>}
     */
    page: async (baseId, table, { signal, ...query } = {}) =>
      checked(await request(pathOf(baseId, table), { query, signal }), "records"),

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
     * One record.
     *
     * @param {string} baseId
     * @param {string} table
     * @param {string} recordId
     * @param {CellOptions & CallOptions} [options]
     * @returns {Promise<AirtableRecord>}
     */
    get: (baseId, table, recordId, { signal, ...query } = {}) =>
      request(pathOf(baseId, table, recordId), { query, signal }),

    /**
     * Create a record.
     *
     * @param {string} baseId
     * @param {string} table
     * @param {Record<string, any>} fields
     * @param {WriteOptions & CallOptions} [options]
     * @returns {Promise<AirtableRecord>}
     */
    create: (baseId, table, fields, { signal, typecast, returnFieldsByFieldId } = {}) =>
      request(pathOf(baseId, table), { method: "POST", body: { fields, typecast, returnFieldsByFieldId }, signal }),

    /**
     * Change the fields that are named, and leave the others. Null empties a field.
     *
     * @param {string} baseId
     * @param {string} table
     * @param {string} recordId
     * @param {Record<string, any>} fields
     * @param {WriteOptions & CallOptions} [options]
     * @returns {Promise<AirtableRecord>}
     */
    update: (baseId, table, recordId, fields, { signal, typecast, returnFieldsByFieldId } = {}) =>
      request(pathOf(baseId, table, recordId), {
        method: "PATCH",
        body: { fields, typecast, returnFieldsByFieldId },
        signal,
      }),

    /**
     * Delete a record.
     *
     * @param {string} baseId
     * @param {string} table
     * @param {string} recordId
     * @param {CallOptions} [options]
     * @returns {Promise<{id: string, deleted: true}>}
     */
    delete: (baseId, table, recordId, { signal } = {}) =>
      request(pathOf(baseId, table, recordId), { method: "DELETE", signal }),
  };
  return records;
}

/** A function that shares a call in progress, so that a second click sends nothing. */
function createShared() {
  /** @type {Map<string, Promise<any>>} */
  const pending = new Map();

  /**
   * Wait for the call of this name that is in progress, or for a new one. The signal ends only the waiting: a call
   * that was stopped halfway could lose tokens.
   *
   * @template T
   * @param {string} name
   * @param {() => Promise<T>} call
   * @param {AbortSignal} [signal]
   * @returns {Promise<T>}
   */
  return function shared(name, call, signal) {
    if (signal?.aborted) return Promise.reject(signal.reason);
    let called = pending.get(name);
    if (!called) {
      called = call().finally(() => pending.delete(name));
      pending.set(name, called);
    }
    return waited(called, signal);
  };
}

/**
 * Wait for work that goes on even if the signal aborts.
 *
 * @template T
 * @param {Promise<T>} work
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
function waited(work, signal) {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** The longest delay of `setTimeout`. A longer one, such as `Infinity`, would fire at once. */
const LONGEST = 2 ** 31 - 1;

/** @param {number} timeout Milliseconds. */
function createTimer(timeout) {
  /**
   * Do `work` until the caller's signal or the timeout ends it.
   *
   * @template T
   * @param {AbortSignal | undefined} signal
   * @param {(signal: AbortSignal) => Promise<T>} work
   */
  return async function timed(signal, work) {
    const controller = new AbortController(); // not AbortSignal.any, which browsers before 2024 do not have
    const stop = () => controller.abort();
    const timer = timeout > LONGEST ? undefined : setTimeout(stop, timeout);
    signal?.addEventListener("abort", stop);
    try {
      if (signal?.aborted) stop();
      return await work(controller.signal);
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      if (!controller.signal.aborted) throw cause;
      throw new AirtableOAuthError({
        error: "timeout",
        error_description: "The server took too long to answer. Try again.",
      }, { cause });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  };
}

/** @param {string} apiUrl @param {() => Record<string, string>} headers @returns {Service} */
function createService(apiUrl, headers) {
  return async function service(path, { method = "GET", body, signal } = {}) {
    const response = await send(apiUrl + path, {
      method,
      credentials: "include",
      cache: "no-store",
      headers: { ...headers(), ...csrf(method), ...typeOf(body) },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
    return answerOf(response, "fix_request");
  };
}

/**
 * The header without which the service refuses to change anything. A read needs none, so no CORS preflight.
 *
 * @param {string} method
 * @returns {Record<string, string>}
 */
const csrf = (method) => method === "GET" ? {} : { "X-CSRF": "1" };

/** @param {unknown} body @returns {Record<string, string>} */
const typeOf = (body) => body === undefined ? {} : { "Content-Type": "application/json" };

/** @param {unknown} failure */
const isNotConnected = (failure) =>
  failure instanceof AirtableOAuthError && failure.status === 401 && failure.code === "not_connected";

/** @param {unknown} failure */
const isEnded = (failure) => failure instanceof AirtableOAuthError && failure.action === "reconnect";

/** @param {string[]} parts */
const pathOf = (...parts) => `/v0/${parts.map(encodeURIComponent).join("/")}`;

/** Without its slash, a path would extend the host name in the URL, and another host would get the access token. */
const notAPath = () => new AirtableOAuthError({
  error: "invalid_request",
  error_description: "The path of a request begins with a slash: /v0/…",
  action: "fix_request",
});

/**
 * A query as Airtable reads it: `fields[]=…`, `sort[0][field]=…`.
 *
 * @param {Record<string, unknown>} values
 */
function queryOf(values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) add(query, name, value);
  const text = query.toString(); // not query.size, which browsers before 2023 do not have
  return text && `?${text}`;
}

/** A path that may have a query already. @param {string} path @param {Record<string, unknown>} values */
function withQuery(path, values) {
  const query = queryOf(values);
  return path + (path.includes("?") ? query.replace("?", "&") : query);
}

/** @param {URLSearchParams} query @param {string} name @param {unknown} value */
function add(query, name, value) {
  if (value === undefined || value === null || value === "") return;
  if (Array.isArray(value)) {
    value.forEach((each, place) => add(query, typeof each === "object" ? `${name}[${place}]` : `${name}[]`, each));
  } else if (value instanceof Date) query.append(name, value.toISOString());
  else if (typeof value === "object") {
    for (const [key, each] of Object.entries(value)) add(query, `${name}[${key}]`, each);
  } else query.append(name, String(value));
}

/** @internal @param {string} url @param {RequestInit} init */
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
 * The JSON of an answer. Null if the answer is empty, as some of Airtable's are.
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
    const text = await response.text();
    body = response.ok && text === "" ? null : JSON.parse(text);
  } catch (cause) {
    const action = response.ok || response.status === 429 || response.status >= 500 ? "retry" : "fix_config";
    throw invalidResponse(action, { ...details, cause });
  }
  if (response.ok) return body;
  const isOurs = typeof body?.error === "string" && typeof body.action === "string";
  throw new AirtableOAuthError(isOurs ? body : airtableError(response.status, body, expired), details);
}

/**
 * The answer, if it has the property `name`. Otherwise another server may have answered in place of the service or
 * of Airtable.
 *
 * @internal
 * @param {any} body
 * @param {string} name
 */
export function checked(body, name) {
  if (body?.[name] === undefined) throw invalidResponse("fix_config");
  return body;
}

/** @param {Action} action @param {ConstructorParameters<typeof AirtableOAuthError>[1]} [details] */
const invalidResponse = (action, details) => new AirtableOAuthError({
  error: "invalid_response",
  error_description: "The server returned an invalid response.",
  action,
}, details);

/**
 * Airtable's error in the service's form. Airtable's body is `{error: {type, message}}`, `{error: "TYPE"}` or
 * `{errors: […]}`.
 *
 * @param {number} status
 * @param {any} body
 * @param {Action} expired
 * @returns {ErrorBody}
 */
function airtableError(status, body, expired) {
  const found = body?.error ?? body?.errors?.[0] ?? {};
  const type = typeof found === "string" ? found : found.type ?? found.error;
  const code = typeof type === "string" ? type : `HTTP_${status}`;
  return {
    error: code,
    error_description: typeof found.message === "string" ? found.message : `The server answered with ${code}.`,
    action: actionFor(status, code, type === undefined ? "fix_request" : expired),
  };
}

/** @param {number} status @param {string} code @param {Action} expired @returns {Action} */
function actionFor(status, code, expired) {
  if (status === 401) return expired;
  if (code.includes("BILLING_LIMIT")) return "fix_config"; // the monthly limit: waiting a moment does not help
  return status >= 500 || status === 408 || status === 429 ? "retry" : "fix_request";
}

/** `Retry-After` in seconds. @param {string | null} text */
function secondsOf(text) {
  if (text === null) return null;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(0, Math.ceil(seconds));
}

/** @internal @param {any} body @returns {Session} */
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
 * @internal
 * @typedef {object} Entries
 * @property {(name: string) => string | null} get
 * @property {(name: string, value: string) => void} set
 * @property {(name: string) => void} remove
 */

/**
 * Entries for this service in the app's `storage`, by default `sessionStorage`. If there is none, as in server-side
 * rendering, or if the browser blocks it, they are in memory, and only this page can finish a login.
 *
 * @param {Storage | undefined} given
 * @param {string} apiUrl
 * @returns {Entries}
 */
function openStorage(given, apiUrl) {
  /** Values that could not be stored. @type {Map<string, string>} */
  const memory = new Map();
  /** @param {string} name */
  const keyOf = (name) => `airtable-oauth ${apiUrl} ${name}`;

  /** @template T @param {(storage: Storage) => T} use @param {() => T} otherwise */
  function attempt(use, otherwise) {
    try {
      return use(given ?? globalThis.sessionStorage); // if the browser blocks it, even reading the property throws
    } catch {
      return otherwise();
    }
  }

  return {
    get: (name) => memory.get(name) ?? attempt((storage) => storage.getItem(keyOf(name)), () => null),
    set(name, value) {
      memory.delete(name);
      attempt((storage) => storage.setItem(keyOf(name), value), () => void memory.set(name, value));
    },
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
  let count = 0; // of the changes
  /** Open while there are listeners. @type {BroadcastChannel | null} */
  let channel = null;

  function openChannel() {
    const isPage = typeof document !== "undefined" && typeof BroadcastChannel !== "undefined";
    return apiUrl !== null && isPage ? new BroadcastChannel(`airtable-oauth ${apiUrl}`) : null;
  }

  /** @param {boolean} connected */
  function tell(connected) {
    last = connected;
    count++;
    for (const listener of [...listeners]) {
      try {
        listener({ connected });
      } catch (failure) {
        (globalThis.reportError ?? console.error)(failure); // the call goes on
      }
    }
  }

  /** The connection has just begun or ended. @param {boolean} connected */
  function note(connected) {
    tell(connected);
    const sender = channel ?? openChannel();
    sender?.postMessage({ connected });
    if (sender !== channel) sender?.close();
  }

  return {
    note,
    /** @param {(change: {connected: boolean}) => void} listener */
    listen(listener) {
      listeners.add(listener);
      if (!channel) {
        channel = openChannel();
        channel?.addEventListener("message", ({ data }) => tell(data?.connected === true));
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        channel?.close(); // an open channel could keep the page out of the browser's back/forward cache
        channel = null;
      };
    },
    /**
     * Call this before a request. Returns a function: call it with true if the answer shows a connection, with
     * false if it shows that there is none, and not at all if it shows neither. It does nothing if the connection has
     * begun or ended since.
     */
    observer() {
      const before = count;
      return (/** @type {boolean} */ connected) => {
        if (count !== before) return;
        if (last !== null && last !== connected) note(connected);
        else last = connected;
      };
    },
  };
}
