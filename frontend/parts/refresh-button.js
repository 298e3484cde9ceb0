import { h } from "../dom.js";
import { button } from "./button.js";

/**
 * A button that gets a new access token for this tab.
 *
 * @param {import("../app.js").App} app
 * @param {() => unknown} then What to do with it.
 * @param {"primary"} [kind]
 */
export function refreshButton(app, then, kind) {
  async function refresh() {
    message.textContent = "";
    try {
      await app.oauth.renew?.();
    } catch (failure) {
      const { action } = /** @type {import("../airtable-oauth.js").AirtableOAuthError} */ (failure);
      const isElsewhere = action === "reconnect" && await app.recheck();
      if (!isElsewhere) message.textContent = "Couldn't refresh access. Try again in a moment.";
      return;
    }
    await then();
  }

  const message = h("p", { class: "problem", role: "alert" });
  return h("div", { class: "stack" }, button("Refresh access", refresh, { kind, busy: "Refreshing access…" }), message);
}
