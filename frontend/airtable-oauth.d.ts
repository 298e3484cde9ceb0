/*!
 * airtable-oauth 0.1.0: the browser module. Copyright 2026 the airtable-oauth contributors. MIT License.
 * It comes from `frontend/airtable-oauth.js` of the project airtable-oauth. It has no dependencies: copy it.
 */
export type Action = "retry" | "restart_login" | "reconnect" | "renew" | "fix_config" | "fix_request";
export type Code = "unreachable" | "timeout" | "invalid_response" | "state_mismatch" | "not_connected" | "connection_not_named" | "reconnect_required" | "access_unavailable" | "store_unavailable" | "login_not_found" | "invalid_grant" | "access_denied" | "other_airtable_user" | "rate_limited" | "RATE_LIMIT_REACHED" | "INVALID_PERMISSIONS" | "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND" | "NOT_FOUND" | "LIST_RECORDS_ITERATOR_NOT_AVAILABLE" | (string & {});
export type Session = {
    /**
     * The connection's id, if a host app embeds the service: its users may have
     * several. Otherwise null.
     */
    id: string | null;
    /**
     *   `renewal_required` exists only with tokens in the browser: the access token has expired or
     *   Airtable has refused it, and `renew` may get a new one.
     */
    status: "connected" | "refreshing" | "renewal_required" | "reconnect_required";
    /**
     * Why the user must reconnect.
     */
    reason: "revoked" | "expired" | "rotation_lost" | null;
    /**
     * Who granted access, if known.
     */
    user: {
        id: string;
        email: string | null;
    } | null;
    /**
     * What was granted.
     */
    scopes: string[];
    /**
     * What was asked for and not granted.
     */
    missingScopes: string[];
    /**
     * When the access token expires. With tokens on the server, each call gets a valid one.
     */
    expiresAt: Date;
    /**
     * When the user must reconnect if the app is not used until then: when the
     * connection or this browser's session ends, whichever is first. Null if it is not known.
     */
    reconnectBy: Date | null;
};
export type Base = {
    id: string;
    name: string;
    permissionLevel: string;
};
export type Field = {
    id: string;
    name: string;
    type: string;
    description?: string;
    options?: any;
};
export type View = {
    id: string;
    name: string;
    type: string;
};
export type Table = {
    id: string;
    name: string;
    primaryFieldId: string;
    fields: Field[];
    views: View[];
};
export type AirtableRecord = {
    id: string;
    createdTime: string;
    fields: Record<string, any>;
    commentCount?: number;
};
export type RecordPage = {
    records: AirtableRecord[];
    offset?: string;
};
export type CallOptions = {
    /**
     * Cancels the call, which then rejects with the signal's reason. `finish`,
     * `disconnect` and `renew` go on even so, because stopping them halfway could lose tokens; only the waiting ends.
     * The request of `connect` goes on as well, but the cancelled call does not leave the page.
     */
    signal?: AbortSignal;
};
export type CellOptions = {
    /**
     * `string` needs `timeZone` and `userLocale`.
     */
    cellFormat?: "json" | "string";
    timeZone?: string;
    userLocale?: string;
    returnFieldsByFieldId?: boolean;
};
export type Listing = {
    /**
     * A view's id or name.
     */
    view?: string;
    sort?: {
        field: string;
        direction?: "asc" | "desc";
    }[];
    filterByFormula?: string;
    /**
     * Names or ids. By default all fields.
     */
    fields?: string[];
    /**
     * At most 100, the default.
     */
    pageSize?: number;
    maxRecords?: number;
    recordMetadata?: ("commentCount")[];
};
export type ListOptions = Listing & CellOptions;
export type WriteOptions = {
    /**
     * Let Airtable convert values from text.
     */
    typecast?: boolean;
    returnFieldsByFieldId?: boolean;
};
export type ErrorBody = {
    error: string;
    error_description?: string;
    action?: Action;
    request_id?: string;
    return_to?: string;
};
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
export declare class AirtableOAuthError extends Error {
    /** @type {Code} */
    code: Code;
    /** @type {Action} */
    action: Action;
    /** For the operator, who finds it in the log. @type {string | null} */
    requestId: string | null;
    /** Seconds after which a retry may help, if the answer said so. @type {number | null} */
    retryAfter: number | null;
    /** The path given to `connect`, if a login failed. @type {string | null} */
    returnTo: string | null;
    /** The HTTP status, if there was an answer. @type {number | null} */
    status: number | null;
    /**
     * @param {ErrorBody} body The service's error body.
     * @param {{status?: number, retryAfter?: number | null, requestId?: string | null, cause?: unknown}} [details]
     */
    constructor(body: ErrorBody, { status, retryAfter, requestId, cause }?: {
        status?: number;
        retryAfter?: number | null;
        requestId?: string | null;
        cause?: unknown;
    });
}
export type Options = {
    /**
     * Base URL of the service. In a host app, the app's address with the prefix of the router.
     */
    apiUrl: string;
    /**
     * Called for each request to the service. Returns the headers
     * that identify the user, if cookies do not, and `X-Airtable-Connection` if the user has several connections.
     */
    headers?: () => Record<string, string>;
    /**
     * Milliseconds that a request may take; 30,000 by default.
     */
    timeout?: number;
    /**
     * Where the state of a login is stored and, with `airtable-oauth-tokens.js`, the tokens;
     * `sessionStorage` by default.
     */
    storage?: Storage;
};
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
export declare function createAirtableOAuth(options: Options): {
    /**
     * The connection's status and details, or null if Airtable isn't connected.
     *
     * @param {CallOptions} [options]
     * @returns {Promise<Session | null>}
     */
    session: (options?: CallOptions) => Promise<Session | null>;
    /**
     * All connections of a host app's user.
     *
     * @param {CallOptions} [options]
     * @returns {Promise<Session[]>}
     */
    connections({ signal }?: CallOptions): Promise<Session[]>;
    /**
     * End the connection: its tokens are erased. Airtable lists the integration until the user removes it there.
     *
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    disconnect: ({ signal }?: CallOptions) => Promise<void>;
    /**
     * Call `listener` whenever the connection begins or ends, here or in another tab. Returns a function that
     * stops this. With tokens in the browser, other tabs have connections of their own.
     *
     * @param {(change: {connected: boolean}) => void} listener
     * @returns {() => void}
     */
    onChange: (listener: (change: {
        connected: boolean;
    }) => void) => () => void;
    /**
     * Any request to Airtable's Web API. Returns the JSON of the answer, or null if the answer is empty.
     *
     * @param {string} path `/v0/…`
     * @param {RequestOptions & CallOptions} [options]
     * @returns {Promise<any>}
     */
    request: (path: string, options?: RequestOptions & CallOptions) => Promise<any>;
    /**
     * Begin a login. Returns the URL of Airtable's page, for an app that goes there itself.
     *
     * @param {LoginOptions & CallOptions} [options]
     * @returns {Promise<string>}
     */
    begin: (options?: LoginOptions & CallOptions) => Promise<string>;
    /**
     * Begin a login, and leave the page for Airtable's. A second click in the meantime does not begin a
     * second login.
     *
     * @param {LoginOptions & CallOptions} [options]
     * @returns {Promise<void>}
     */
    connect({ signal, ...options }?: LoginOptions & CallOptions): Promise<void>;
    /**
     * Finish the login that Airtable's redirect belongs to. A second call with the same parameters returns the
     * result of the first; after a reload of the page, its `returnTo` is null. If `finish` fails with the action
     * `retry`, the login may or may not be finished: call `finish` again with the same parameters.
     *
     * @param {URLSearchParams | string} parameters The query of the callback route.
     * @param {CallOptions} [options]
     * @returns {Promise<{returnTo: string | null}>}
     */
    finish(parameters: URLSearchParams | string, { signal }?: CallOptions): Promise<{
        returnTo: string | null;
    }>;
    /**
     * Who granted access.
     *
     * @param {CallOptions} [options]
     * @returns {Promise<{id: string, email?: string, scopes?: string[]}>}
     */
    whoami: (options?: CallOptions) => Promise<{
        id: string;
        email?: string;
        scopes?: string[];
    }>;
    /**
     * All bases to which the user has given access.
     *
     * @param {CallOptions} [options]
     * @returns {Promise<Base[]>}
     */
    bases({ signal }?: CallOptions): Promise<Base[]>;
    /**
     * The tables of a base, with their fields and views.
     *
     * @param {string} baseId
     * @param {CallOptions} [options]
     * @returns {Promise<Table[]>}
     */
    tables(baseId: string, options?: CallOptions): Promise<Table[]>;
    /** The records of a table. Each method takes a base's id, and a table's id or name. */
    records: {
        /**
         * One page. Its `offset` gets the next one; the last page has none.
         *
         * @param {string} baseId
         * @param {string} table
         * @param {ListOptions & {offset?: string} & CallOptions} [options]
         * @returns {Promise<RecordPage>}
         */
        page: (baseId: string, table: string, { signal, ...query }?: ListOptions & {
            offset?: string;
        } & CallOptions) => Promise<RecordPage>;
        /**
         * All records, as an async iterator that reads a page whenever it needs one.
         *
         * @param {string} baseId
         * @param {string} table
         * @param {ListOptions & CallOptions} [options]
         * @returns {AsyncGenerator<AirtableRecord, void, undefined>}
         */
        all(baseId: string, table: string, options?: ListOptions & CallOptions): AsyncGenerator<AirtableRecord, void, undefined>;
        /**
         * One record.
         *
         * @param {string} baseId
         * @param {string} table
         * @param {string} recordId
         * @param {CellOptions & CallOptions} [options]
         * @returns {Promise<AirtableRecord>}
         */
        get: (baseId: string, table: string, recordId: string, { signal, ...query }?: CellOptions & CallOptions) => Promise<AirtableRecord>;
        /**
         * Create a record.
         *
         * @param {string} baseId
         * @param {string} table
         * @param {Record<string, any>} fields
         * @param {WriteOptions & CallOptions} [options]
         * @returns {Promise<AirtableRecord>}
         */
        create: (baseId: string, table: string, fields: Record<string, any>, { signal, typecast, returnFieldsByFieldId }?: WriteOptions & CallOptions) => Promise<AirtableRecord>;
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
        update: (baseId: string, table: string, recordId: string, fields: Record<string, any>, { signal, typecast, returnFieldsByFieldId }?: WriteOptions & CallOptions) => Promise<AirtableRecord>;
        /**
         * Delete a record.
         *
         * @param {string} baseId
         * @param {string} table
         * @param {string} recordId
         * @param {CallOptions} [options]
         * @returns {Promise<{id: string, deleted: true}>}
         */
        delete: (baseId: string, table: string, recordId: string, { signal }?: CallOptions) => Promise<{
            id: string;
            deleted: true;
        }>;
    };
};
export type AirtableOAuth = ReturnType<typeof createAirtableOAuth>;
export type Connection = {
    finish: (body: Record<string, string>, signal: AbortSignal) => Promise<{
        return_to?: string | null;
    }>;
    session: (signal: AbortSignal) => Promise<Session | null>;
    disconnect: (signal: AbortSignal) => Promise<void>;
    /**
     * A request to Airtable's Web API.
     */
    request: (path: string, init: WebApiInit) => Promise<Response>;
    /**
     * The action if Airtable answers 401.
     */
    expired: Action;
    /**
     * Whether all tabs have the same connection.
     */
    isShared: boolean;
};
export type WebApiInit = RequestInit & {
    method: string;
    headers: Record<string, string>;
    signal: AbortSignal;
};
export type Parts = {
    apiUrl: string;
    storage: Entries;
    headers: () => Record<string, string>;
    service: Service;
};
export type Service = (path: string, options?: {
    method?: string;
    body?: unknown;
    signal?: AbortSignal;
}) => Promise<any>;
/**
 * The client, for any kind of connection, and what `airtable-oauth-tokens.js` needs to add `renew`
 * and to replace `whoami`.
 *
 * @internal
 * @template {Connection} C
 * @param {Options} options
 * @param {(parts: Parts) => C} connect
 */
export declare function createClient<C extends Connection>({ apiUrl: url, headers, timeout, storage: given }: Options, connect: (parts: Parts) => C): {
    client: {
        /**
         * The connection's status and details, or null if Airtable isn't connected.
         *
         * @param {CallOptions} [options]
         * @returns {Promise<Session | null>}
         */
        session: (options?: CallOptions) => Promise<Session | null>;
        /**
         * All connections of a host app's user.
         *
         * @param {CallOptions} [options]
         * @returns {Promise<Session[]>}
         */
        connections({ signal }?: CallOptions): Promise<Session[]>;
        /**
         * End the connection: its tokens are erased. Airtable lists the integration until the user removes it there.
         *
         * @param {CallOptions} [options]
         * @returns {Promise<void>}
         */
        disconnect: ({ signal }?: CallOptions) => Promise<void>;
        /**
         * Call `listener` whenever the connection begins or ends, here or in another tab. Returns a function that
         * stops this. With tokens in the browser, other tabs have connections of their own.
         *
         * @param {(change: {connected: boolean}) => void} listener
         * @returns {() => void}
         */
        onChange: (listener: (change: {
            connected: boolean;
        }) => void) => () => void;
        /**
         * Any request to Airtable's Web API. Returns the JSON of the answer, or null if the answer is empty.
         *
         * @param {string} path `/v0/…`
         * @param {RequestOptions & CallOptions} [options]
         * @returns {Promise<any>}
         */
        request: (path: string, options?: RequestOptions & CallOptions) => Promise<any>;
        /**
         * Begin a login. Returns the URL of Airtable's page, for an app that goes there itself.
         *
         * @param {LoginOptions & CallOptions} [options]
         * @returns {Promise<string>}
         */
        begin: (options?: LoginOptions & CallOptions) => Promise<string>;
        /**
         * Begin a login, and leave the page for Airtable's. A second click in the meantime does not begin a
         * second login.
         *
         * @param {LoginOptions & CallOptions} [options]
         * @returns {Promise<void>}
         */
        connect({ signal, ...options }?: LoginOptions & CallOptions): Promise<void>;
        /**
         * Finish the login that Airtable's redirect belongs to. A second call with the same parameters returns the
         * result of the first; after a reload of the page, its `returnTo` is null. If `finish` fails with the action
         * `retry`, the login may or may not be finished: call `finish` again with the same parameters.
         *
         * @param {URLSearchParams | string} parameters The query of the callback route.
         * @param {CallOptions} [options]
         * @returns {Promise<{returnTo: string | null}>}
         */
        finish(parameters: URLSearchParams | string, { signal }?: CallOptions): Promise<{
            returnTo: string | null;
        }>;
        /**
         * Who granted access.
         *
         * @param {CallOptions} [options]
         * @returns {Promise<{id: string, email?: string, scopes?: string[]}>}
         */
        whoami: (options?: CallOptions) => Promise<{
            id: string;
            email?: string;
            scopes?: string[];
        }>;
        /**
         * All bases to which the user has given access.
         *
         * @param {CallOptions} [options]
         * @returns {Promise<Base[]>}
         */
        bases({ signal }?: CallOptions): Promise<Base[]>;
        /**
         * The tables of a base, with their fields and views.
         *
         * @param {string} baseId
         * @param {CallOptions} [options]
         * @returns {Promise<Table[]>}
         */
        tables(baseId: string, options?: CallOptions): Promise<Table[]>;
        /** The records of a table. Each method takes a base's id, and a table's id or name. */
        records: {
            /**
             * One page. Its `offset` gets the next one; the last page has none.
             *
             * @param {string} baseId
             * @param {string} table
             * @param {ListOptions & {offset?: string} & CallOptions} [options]
             * @returns {Promise<RecordPage>}
             */
            page: (baseId: string, table: string, { signal, ...query }?: ListOptions & {
                offset?: string;
            } & CallOptions) => Promise<RecordPage>;
            /**
             * All records, as an async iterator that reads a page whenever it needs one.
             *
             * @param {string} baseId
             * @param {string} table
             * @param {ListOptions & CallOptions} [options]
             * @returns {AsyncGenerator<AirtableRecord, void, undefined>}
             */
            all(baseId: string, table: string, options?: ListOptions & CallOptions): AsyncGenerator<AirtableRecord, void, undefined>;
            /**
             * One record.
             *
             * @param {string} baseId
             * @param {string} table
             * @param {string} recordId
             * @param {CellOptions & CallOptions} [options]
             * @returns {Promise<AirtableRecord>}
             */
            get: (baseId: string, table: string, recordId: string, { signal, ...query }?: CellOptions & CallOptions) => Promise<AirtableRecord>;
            /**
             * Create a record.
             *
             * @param {string} baseId
             * @param {string} table
             * @param {Record<string, any>} fields
             * @param {WriteOptions & CallOptions} [options]
             * @returns {Promise<AirtableRecord>}
             */
            create: (baseId: string, table: string, fields: Record<string, any>, { signal, typecast, returnFieldsByFieldId }?: WriteOptions & CallOptions) => Promise<AirtableRecord>;
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
            update: (baseId: string, table: string, recordId: string, fields: Record<string, any>, { signal, typecast, returnFieldsByFieldId }?: WriteOptions & CallOptions) => Promise<AirtableRecord>;
            /**
             * Delete a record.
             *
             * @param {string} baseId
             * @param {string} table
             * @param {string} recordId
             * @param {CallOptions} [options]
             * @returns {Promise<{id: string, deleted: true}>}
             */
            delete: (baseId: string, table: string, recordId: string, { signal }?: CallOptions) => Promise<{
                id: string;
                deleted: true;
            }>;
        };
    };
    connection: C;
    shared: <T>(name: string, call: () => Promise<T>, signal?: AbortSignal) => Promise<T>;
    timed: <T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>) => Promise<T>;
    watched: <T>(work: () => Promise<T>) => Promise<T>;
};
export type LoginOptions = {
    /**
     * A local path, which `finish` returns.
     */
    returnTo?: string;
    /**
     * The id of the connection to reconnect, if the user may have several.
     */
    connection?: string;
    /**
     * Query parameters that a host app reads itself.
     */
    parameters?: Record<string, string>;
};
export type RequestOptions = {
    method?: string;
    query?: Record<string, unknown>;
    body?: unknown;
};
/** @internal @param {string} url @param {RequestInit} init */
export declare function send(url: string, init: RequestInit): Promise<Response>;
/**
 * The answer, if it has the property `name`. Otherwise another server may have answered in place of the service or
 * of Airtable.
 *
 * @internal
 * @param {any} body
 * @param {string} name
 */
export declare function checked(body: any, name: string): any;
/** @internal @param {any} body @returns {Session} */
export declare function asSession(body: any): Session;
export type Entries = {
    get: (name: string) => string | null;
    set: (name: string, value: string) => void;
    remove: (name: string) => void;
};
