import { h } from "../dom.js";
import { disconnectButton } from "./disconnect-button.js";

/**
 * Who is connected, and how to disconnect.
 *
 * @param {import("../app.js").App} app
 * @param {import("../airtable-oauth.js").Session} session
 */
export function account(app, session) {
  const name = h("p", { class: "who", dir: "auto" });
  showName(app, session, name);
  const section = h("div", { class: "account" }, name, disconnectButton(app));
  return section;
}

/**
 * With tokens in this tab, the session has no user until `whoami` was called, so this calls it. If that fails, no name
 * is shown.
 *
 * @param {import("../app.js").App} app
 * @param {import("../airtable-oauth.js").Session} session
 * @param {HTMLElement} element
 */
async function showName(app, { user, status }, element) {
  try {
    const isUsable = status === "connected" || status === "refreshing";
    const found = user ?? (isUsable ? await app.oauth.whoami() : null);
    if (!found) return;
    const name = found.email ?? found.id;
    element.append(h("span", { class: "visually-hidden" }, "Signed in as "), name);
    element.title = name;
  } catch {
    // the page's own requests say what is wrong
  }
}
