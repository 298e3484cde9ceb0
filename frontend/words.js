/** The words of the pages: explanations of errors, scopes, permission levels. */

import { own } from "./own.js";

/**
 * What is said about a failure.
 *
 * @typedef {object} Explanation
 * @property {string} title
 * @property {string} text
 */

/** @typedef {{code?: string, action?: string, retryAfter?: number | null}} Failure The fields of an `AirtableOAuthError` that matter here. */

/** Why a login failed, by the error's code. No line breaks at the hyphen `\u2011`. @type {Record<string, Explanation>} */
const FAILED_LOGIN = {
  access_denied: {
    title: "Access wasn't granted",
    text: "You declined the request, or your Airtable admin doesn't allow this app. Nothing was connected.",
  },
  login_not_found: {
    title: "This sign\u2011in has expired",
    text: "It took more than ten minutes, was already used, or was started in another browser. Nothing was connected.",
  },
  invalid_grant: {
    title: "This sign\u2011in has expired",
    text: "It was already used, or it took too long. Nothing was connected.",
  },
  state_mismatch: {
    title: "This sign\u2011in wasn't started in this tab",
    text: "For your safety, we only finish sign-ins you start here. Nothing was connected.",
  },
  other_airtable_user: {
    title: "That was a different Airtable account",
    text: "Sign in to Airtable with the account you used before, then connect again.",
  },
};

/** @type {Explanation} */
const NOT_SET_UP = {
  title: "This app isn't set up correctly",
  text: "Trying again won't help. Contact support and include the details below.",
};

/** The title and the text of a failed login. @param {Failure} failure @returns {Explanation} */
export function failedLogin({ code = "", action = "" }) {
  const known = own(FAILED_LOGIN, code);
  if (known) return known;
  if (isFinal({ action })) return NOT_SET_UP;
  return { title: "Couldn't connect Airtable", text: "Something went wrong and nothing was connected. Trying again usually works." };
}

/** What is said in place of a page if the service doesn't answer, or a file doesn't load. @param {Failure} failure @returns {Explanation} */
export function failedPage(failure) {
  if (isFinal(failure)) return NOT_SET_UP;
  if (!failure.code) return { title: "Couldn't load this page", text: CHECK_INTERNET };
  return { title: "We can't reach the server", text: isLost(failure) ? CHECK_INTERNET : serverTrouble(failure) };
}

/** What the page says if it isn't known whether a login is finished. @param {Failure} failure @returns {Explanation} */
export const unconfirmedLogin = (failure) => ({
  title: "We couldn't confirm the connection",
  text: isLost(failure)
    ? `You may already be connected. ${CHECK_INTERNET}`
    : `You may already be connected. ${serverTrouble(failure)}`,
});

const CHECK_INTERNET = "Check your internet connection, then try again.";
/** If it is known when to try again, the page says so itself. @param {Failure} failure */
const serverTrouble = ({ retryAfter }) =>
  retryAfter ? "The server may have a problem right now." : "The server may have a problem right now. Try again in a moment.";

/** The fields of a failure that may be shown or kept in the history. @param {any} failure */
export const failureOf = ({ code, action, requestId = null, message = "" }) => ({ code, action, requestId, message });

/** Whether no retry helps. @param {Failure} failure */
export const isFinal = ({ action }) => action === "fix_config" || action === "fix_request";

/** Whether there was no answer, so that it is not known what the request has done. @param {Failure} failure */
export const isLost = ({ code }) => code === "unreachable" || code === "timeout";

/** The codes of failures before anything was done. */
const NOT_DONE = new Set([
  "rate_limited", "RATE_LIMIT_REACHED", "temporarily_unavailable", "access_unavailable", "airtable_unreachable",
]);

/** Whether a change may be stored although its answer failed. @param {Failure} failure */
export const mayBeStored = ({ code = "", action }) => action === "retry" && !NOT_DONE.has(code);

/** What failed. @param {Failure} failure */
export const failedSave = (failure) =>
  mayBeStored(failure) ? "We couldn't confirm that your changes were saved." : "Couldn't save.";

/** Why a connection has ended. @type {Record<string, Explanation>} */
const ENDS = {
  revoked: {
    title: "This app's access was revoked",
    text: "The integration was removed in Airtable, or an admin revoked it. Reconnect to continue.",
  },
  expired: {
    title: "Your connection expired",
    text: "Airtable ends connections that go unused for 60 days. Reconnect to continue.",
  },
  rotation_lost: {
    title: "The connection to Airtable was lost",
    text: "We couldn't confirm a token refresh. Your data is safe. Reconnect to continue.",
  },
};

/** The title and the text of a connection's end. @param {string | null} reason @returns {Explanation} */
export const endedConnection = (reason) =>
  own(ENDS, reason ?? "") ?? { title: "Your connection has ended", text: "Reconnect to continue." };

/** What a failed request means. It follows a sentence that says what failed. @type {Record<string, string>} */
const FAILED_REQUEST = {
  rate_limited: "There were too many requests to Airtable.",
  RATE_LIMIT_REACHED: "There were too many requests to Airtable.",
  PUBLIC_API_BILLING_LIMIT_EXCEEDED: "Your Airtable plan's monthly limit of API calls has been reached.",
  INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND: "The base, table or record may have been deleted, or isn't shared with this app.",
  INVALID_PERMISSIONS: "Your Airtable account doesn't have permission to do this.",
  NOT_FOUND: "The base, table or record may have been deleted.",
  unreachable: `We can't reach the server. ${CHECK_INTERNET}`,
  timeout: "The server took too long to answer.",
  invalid_response: "The server returned an invalid response.",
  server_error: "The server has a problem right now.",
  store_unavailable: "The server has a problem right now.",
  temporarily_unavailable: "The server is busy right now.",
  too_many_logins: "The server is busy right now.",
  access_unavailable: "We couldn't refresh your access yet.",
  airtable_unreachable: "Airtable can't be reached right now.",
  airtable_timeout: "Airtable took too long to answer.",
};

/** What failed, as a sentence, and why. @param {string} what @param {Failure} failure */
export const failedRequest = (what, { code = "", action = "" }) => `${what} ${own(FAILED_REQUEST, code) ?? otherFailure(code, action)}`;

/** Why a request failed, if `FAILED_REQUEST` does not have its code. @param {string} code Empty if it isn't a request that failed. @param {string} action */
function otherFailure(code, action) {
  if (code === "") return "Something went wrong on this page.";
  return action === "fix_config" ? `${NOT_SET_UP.title}. ${NOT_SET_UP.text}` : "Airtable returned an unexpected error.";
}

/** @type {Record<string, string>} */
const SCOPES = {
  "data.records:read": "View records",
  "data.records:write": "Create, edit and delete records",
  "data.recordComments:read": "View comments on records",
  "data.recordComments:write": "Write and delete comments",
  "schema.bases:read": "View the structure of your bases",
  "schema.bases:write": "Edit the structure of your bases",
  "workspacesAndBases:read": "View workspaces and collaborators",
  "webhook:manage": "Manage webhooks",
  "block:manage": "Release custom extensions",
  "user.email:read": "See your email address",
};

/** A scope in words, or unchanged if it is unknown. @param {string} scope @returns {string} */
export const scopeInWords = (scope) => own(SCOPES, scope) ?? scope;

/** @type {Record<string, string>} */
const LEVELS = { create: "Creator", edit: "Editor", comment: "Commenter", read: "Read only", none: "No access" };

/** Airtable's permission level in words. @param {string} level @returns {string} */
export const levelInWords = (level) => own(LEVELS, level) ?? level;

/** A duration in words, rounded up. @param {number} seconds */
export function durationInWords(seconds) {
  const [count, unit] = seconds < 90 ? [seconds, "second"] : [Math.ceil(seconds / 60), "minute"];
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

/** Why Airtable has refused the value of a field. @type {Record<string, string>} */
const REFUSED_VALUES = {
  INVALID_MULTIPLE_CHOICE_OPTIONS: "This option was removed in Airtable. Choose another one.",
};

/** Why Airtable has refused the value of a field, as a sentence. @param {{code: string}} failure @returns {string} */
export const refusedValue = (failure) => own(REFUSED_VALUES, failure.code) ?? "Airtable doesn't accept this value for this field.";
