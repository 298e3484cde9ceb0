import { h } from "../dom.js";
import { button } from "./button.js";
import { connectButton } from "./connect-button.js";
import { failureText } from "./failure.js";
import { refreshButton } from "./refresh-button.js";

/**
 * @typedef {import("../app.js").App} App
 * @typedef {import("../airtable-oauth.js").AirtableOAuthError} AirtableOAuthError
 */

/**
 * What failed and why, with the button that helps. If the connection has ended, the page that says so is shown instead.
 *
 * @param {App} app
 * @param {string} what What failed, as a sentence.
 * @param {AirtableOAuthError} failure
 * @param {() => unknown} again
 * @returns {HTMLElement}
 */
export function trouble(app, what, failure, again) {
  if (failure.action === "renew") return expired(app, what, again);
  if (failure.action === "reconnect" || failure.action === "restart_login") return ended(app);
  return failureText(what, failure, again);
}

/** The access token in this tab has expired. Its refresh token may still work. @param {App} app @param {string} what @param {() => unknown} again */
function expired(app, what, again) {
  return h("div", { class: "trouble" },
    h("p", { role: "alert" }, `${what} Your access expired.`), refreshButton(app, again));
}

/**
 * A call says that the connection has ended. Ask the guard of the page, which then leads to the page that says so. If
 * the session still counts as connected, say it here.
 *
 * @param {App} app
 */
function ended(app) {
  const section = h("div", { class: "trouble" }, h("p", { class: "soft" }, "Checking your connection…"));
  app.recheck().then((isElsewhere) => {
    if (isElsewhere) return;
    section.replaceChildren(
      h("p", { role: "alert" }, "Your Airtable access expired or was revoked."),
      connectButton(app, { label: "Reconnect", returnTo: location.pathname }));
  });
  return section;
}

/** A list whose next page Airtable no longer gives. @param {() => unknown} again */
export function expiredList(again) {
  return h("div", { class: "trouble" },
    h("p", { role: "alert" }, "This list has expired."), button("Back to first page", again));
}

/**
 * A permission that is missing. If the app asked for it, the user can grant it now.
 *
 * @param {App} app
 * @param {import("../airtable-oauth.js").Session} session
 * @param {string} scope
 * @param {string} what What the app can't do, as a sentence.
 */
export function notAllowed(app, session, scope, what) {
  const wasDeclined = session.missingScopes.includes(scope);
  const isUnknown = app.oauth.renew !== undefined; // a tab with tokens doesn't know what was asked for
  const why = isUnknown
    ? "You didn't grant this permission, or this app doesn't request it."
    : wasDeclined ? "You didn't grant this permission." : "This app isn't set up to request it.";
  return h("div", { class: "trouble" },
    h("p", {}, `${what} ${why}`),
    (wasDeclined || isUnknown) && connectButton(app, { label: "Reconnect", returnTo: location.pathname }));
}
