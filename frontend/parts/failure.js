import { announce, h } from "../dom.js";
import { durationInWords, failedRequest, isFinal, isLost } from "../words.js";
import { button } from "./button.js";

/** @typedef {import("../airtable-oauth.js").AirtableOAuthError} AirtableOAuthError */

/**
 * What failed and why, when to try again if that is known, and the button for it.
 *
 * @param {string} what What failed, as a sentence.
 * @param {AirtableOAuthError} failure
 * @param {() => unknown} [again] Called by *Try again*. Leave it out if the page already has such a button.
 */
export function failureText(what, failure, again) {
  logDefect(failure);
  return h("div", { class: "trouble" },
    h("p", { role: "alert" }, failedRequest(what, failure)),
    countdown(failure.retryAfter),
    again && !isFinal(failure) && button("Try again", again),
    isFinal(failure) && details(failure));
}

/** Whether a call of the module failed. Anything else is a defect of the pages, or a file that cannot be loaded. @param {any} failure */
export const isOfModule = (failure) => typeof failure?.action === "string";

/** A developer finds a defect in the console. @param {any} failure */
export function logDefect(failure) {
  if (!isOfModule(failure)) console.error(failure);
}

/**
 * What support or a developer needs to know about a failure.
 *
 * @param {{code?: string, message?: string, requestId?: string | null}} failure
 * @param {{isOpen?: boolean}} [options]
 */
export function details({ code = "unknown", message, requestId }, { isOpen = false } = {}) {
  return h("details", { open: isOpen },
    h("summary", {}, "Details"),
    h("dl", {},
      ...entry("Error", h("code", {}, code)),
      ...entry("Message", !isLost({ code }) && message !== code && message),
      ...entry("Request", requestId && h("code", {}, requestId)),
      ...entry("Developers", code === "unreachable" && `This page's address is ${location.origin}. Open it at the `
        + "address that you set up (localhost, not 127.0.0.1), and check AIRTABLE_OAUTH_ALLOWED_ORIGINS."),
    ),
  );
}

/** @param {string} name @param {Node | string | null | undefined | false} value */
const entry = (name, value) => value ? [h("dt", {}, name), h("dd", {}, value)] : [];

/** When to try again. It counts down. @param {number | null | undefined} seconds */
export function countdown(seconds) {
  if (!seconds) return null;
  const ends = Date.now() + seconds * 1000;
  const element = h("p", { class: "soft" }, untilRetry(seconds));
  const timer = setInterval(() => {
    const left = Math.ceil((ends - Date.now()) / 1000);
    const isGone = !element.isConnected;
    if (isGone || left <= 0) clearInterval(timer);
    if (isGone) return;
    element.textContent = left > 0 ? untilRetry(left) : "You can try again now.";
    if (left <= 0) announce(element.textContent);
  }, 1000);
  return element;
}

/** @param {number} seconds */
const untilRetry = (seconds) => `Try again in ${durationInWords(seconds)}.`;
