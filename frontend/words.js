import { own } from "./own.js";

/** @typedef {import("./airtable-oauth.js").AirtableOAuthError} AirtableOAuthError */

/** Why a login failed: a title and an explanation. @type {Record<string, [string, string]>} */
const FAILED_LOGIN = {
  access_denied: ["Access was not granted", "You declined in Airtable, or an administrator does not allow this app. Nothing was connected."],
  login_not_found: ["This login has ended", "It took longer than ten minutes, was used already, or was begun in another browser. Nothing was connected."],
  state_mismatch: ["This login did not start here", "The page was opened by something other than the button in this tab, so it was not finished. Nothing was connected."],
  invalid_grant: ["This login has ended", "Airtable no longer accepts it: it was used already, or took too long. Nothing was connected."],
  unreachable: ["The service cannot be reached", "Check the connection. If this page was opened on another address than usual (127.0.0.1 in place of localhost, say), open it on the usual one."],
};

/** @type {Record<string, [string, string]>} */
const FAILED_LOGIN_BY_ACTION = {
  fix_config: ["This app is not set up right", "The people who run it have to fix that; trying again will not help. The details below help them."],
};

/** @type {[string, string]} */
const OTHER_FAILED_LOGIN = ["Airtable could not be connected", "Airtable did not answer as expected. Nothing was connected, and a second try often works."];

/**
 * The title and the explanation of a failed login.
 *
 * @param {{code?: string, action?: string} | null | undefined} failure
 * @returns {[string, string]}
 */
export const failedLogin = (failure) =>
  own(FAILED_LOGIN, failure?.code ?? "") ?? own(FAILED_LOGIN_BY_ACTION, failure?.action ?? "") ?? OTHER_FAILED_LOGIN;

/** Why a connection has ended. @type {Record<string, [string, string]>} */
const ENDS = {
  revoked: ["Airtable no longer lets this app in", "The integration was removed in Airtable, or an administrator took the access back."],
  expired: ["The connection was not used for too long", "Airtable ends a connection that nobody uses for sixty days."],
  rotation_lost: ["The connection to Airtable was cut", "Airtable renewed the access, and its answer was lost on the way. Nothing of yours is lost."],
};

/**
 * The title and the explanation of a connection's end.
 *
 * @param {string | null} reason
 * @returns {[string, string]}
 */
export const endedConnection = (reason) => own(ENDS, reason ?? "") ?? ["The connection has ended", ""];

/** What a failed request means. @type {Record<string, string>} */
const FAILED_REQUEST = {
  rate_limited: "Airtable asks this app to slow down. Wait half a minute, then try again.",
  RATE_LIMIT_REACHED: "Airtable asks this app to slow down. Wait half a minute, then try again.",
  INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND: "It is not there any more, or it is not shared with this app.",
  INVALID_PERMISSIONS: "Your Airtable account may not do this.",
  NOT_FOUND: "It is not there any more.",
  LIST_RECORDS_ITERATOR_NOT_AVAILABLE: "Airtable has forgotten where this list was. Start from the first page.",
  unreachable: "The connection to this app's server was lost. Check your network, then try again.",
};

/**
 * What a failed request means, as a sentence.
 *
 * @param {{code: string}} failure
 * @returns {string}
 */
export const failedRequest = (failure) => own(FAILED_REQUEST, failure.code) ?? "Airtable did not answer as expected.";

/** @type {Record<string, string>} */
const SCOPES = {
  "data.records:read": "See the data in records",
  "data.records:write": "Create, edit and delete records",
  "data.recordComments:read": "See comments in records",
  "data.recordComments:write": "Write and delete comments",
  "schema.bases:read": "See the structure of bases",
  "schema.bases:write": "Edit the structure of bases",
  "workspacesAndBases:read": "See workspaces and collaborators",
  "webhook:manage": "Manage webhooks",
  "block:manage": "Release custom extensions",
  "user.email:read": "See the email address",
};

/** A scope in words, or unchanged if it is unknown. @param {string} scope @returns {string} */
export const scopeInWords = (scope) => own(SCOPES, scope) ?? scope;

/** @type {Record<string, string>} */
const LEVELS = { create: "Creator", edit: "Editor", comment: "Commenter", read: "Read only", none: "No access" };

/** Airtable's permission level in words. @param {string} level @returns {string} */
export const levelInWords = (level) => own(LEVELS, level) ?? level;
