/*!
 * airtable-oauth 0.1.0: tokens in the browser. Copyright 2026 the airtable-oauth contributors. MIT License.
 * It comes from `frontend/airtable-oauth-tokens.js` of the project airtable-oauth. Copy it with `airtable-oauth.js`.
 */
import type { AirtableOAuth, CallOptions, Options } from "./airtable-oauth.js";
export type Tokens = {
    access_token: string;
    refresh_token: string;
    scope: string;
    expires_at: number;
    reconnect_by: number | null;
    /**
     * Who granted access, once `whoami` was called.
     */
    user?: {
        id: string;
        email: string | null;
    };
    /**
     * Whether Airtable has refused the access token.
     */
    refused?: boolean;
    /**
     * Whether the refresh token has ended as well.
     */
    ended?: boolean;
    /**
     * Whether a refresh had no usable answer, or another tab refreshed first: the refresh
     * token may be used up.
     */
    lost?: boolean;
};
export type Renewal = {
    /**
     * Exchange the refresh token for new tokens. Call it
     * when the user asks for it.
     */
    renew: (options?: CallOptions) => Promise<void>;
};
export type AirtableOAuthWithTokens = AirtableOAuth & Renewal;
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
export declare function createAirtableOAuthWithTokens({ airtableApiUrl, ...options }: Options & {
    airtableApiUrl?: string;
}): AirtableOAuthWithTokens;
