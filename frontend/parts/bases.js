import { h } from "../dom.js";
import { levelInWords } from "../words.js";
import { connectButton } from "./connect-button.js";
import { loaded } from "./loaded.js";
import { notAllowed } from "./trouble.js";

const SCOPE = "schema.bases:read";

/**
 * The bases that the user shared, and a button to choose others, which is a reconnect.
 *
 * @param {import("../app.js").App} app
 * @param {import("../airtable-oauth.js").Session} session
 */
export function bases(app, session) {
  const isAllowed = session.scopes.includes(SCOPE);
  return h("section", { class: "card", "aria-labelledby": "bases" },
    h("div", { class: "card-head" },
      h("h2", { id: "bases" }, "Bases"),
      isAllowed && connectButton(app, { label: "Choose bases", returnTo: "/login-success" })),
    isAllowed ? list(app) : notAllowed(app, session, SCOPE, "This app doesn't have permission to list your bases."));
}

/** @param {import("../app.js").App} app */
function list(app) {
  return loaded(app, {
    what: "Couldn't load your bases.",
    waiting: h("div", { class: "tiles" },
      h("p", { class: "visually-hidden", role: "status" }, "Loading your bases…"),
      ...[1, 2, 3].map(() => h("span", { class: "ghost tile" }))),
    async load() {
      const found = await app.oauth.bases();
      if (found.length === 0) return h("p", { class: "soft" }, "No bases shared yet.");
      return h("ul", { class: "tiles" }, ...found.map(tile));
    },
  });
}

/** @param {import("../airtable-oauth.js").Base} base */
function tile({ id, name, permissionLevel }) {
  return h("li", {}, h("a", { class: "tile", href: `/bases/${id}` },
    h("span", { class: "initial", "aria-hidden": "true" }, Array.from(name.trim())[0]),
    h("strong", { dir: "auto" }, name),
    h("span", { class: "soft" }, levelInWords(permissionLevel))));
}
