import { h } from "../dom.js";
import { scopeInWords } from "../words.js";
import { connectButton } from "./connect-button.js";

/**
 * What was granted, and what was asked for and declined.
 *
 * @param {import("../app.js").App} app
 * @param {import("../airtable-oauth.js").Session} session
 */
export function permissions(app, { scopes, missingScopes }) {
  return h("section", { class: "card", "aria-labelledby": "permissions" },
    h("h2", { id: "permissions" }, "Permissions"),
    h("ul", { class: "checks" }, ...scopes.map((scope) => h("li", {}, scopeInWords(scope), h("code", {}, scope)))),
    missingScopes.length > 0 && missing(app, missingScopes));
}

/** @param {import("../app.js").App} app @param {string[]} scopes */
function missing(app, scopes) {
  const isOffered = scopes.includes("schema.bases:read"); // the bases have the button already
  return h("div", { class: "missing" },
    h("p", {}, "You didn't grant these permissions, so some features won't work:"),
    h("ul", { class: "checks" }, ...scopes.map((scope) => h("li", {}, scopeInWords(scope), h("code", {}, scope)))),
    !isOffered && connectButton(app, { label: "Reconnect", returnTo: "/login-success" }));
}
