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
    missingScopes.length > 0 && h("p", { class: "soft" },
      `Not granted: ${missingScopes.map(scopeInWords).join(", ")}. Some features won't work.`),
    missingScopes.length > 0 && connectButton(app, { label: "Reconnect", returnTo: "/login-success" }));
}
