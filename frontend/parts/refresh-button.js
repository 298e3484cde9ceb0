import { h } from "../dom.js";
import { button } from "./button.js";
import { failureText } from "./failure.js";

/**
 * A button that gets a new access token for this tab.
 *
 * @param {import("../app.js").App} app
 * @param {() => unknown} then Called once the tab has the new token.
 * @param {"primary"} [kind]
 */
export function refreshButton(app, then, kind) {
  async function refresh() {
    message.replaceChildren();
    try {
      await app.oauth.renew?.();
    } catch (caught) {
      const failure = /** @type {import("../airtable-oauth.js").AirtableOAuthError} */ (caught);
      const isOver = failure.action === "reconnect" || failure.action === "restart_login";
      if (isOver && await app.recheck()) return;
      message.replaceChildren(failureText("Couldn't refresh access.", failure));
      return;
    }
    await then();
  }

  const message = h("div", {});
  return h("div", { class: "stack" }, button("Refresh access", refresh, { kind, busy: "Refreshing access…" }), message);
}
