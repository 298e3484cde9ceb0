import { h } from "../dom.js";
import { button } from "./button.js";
import { forgetDrafts } from "./drafts.js";
import { failureText } from "./failure.js";
import { showModal } from "./modal.js";

/** A button that asks once, then ends the connection. @param {import("../app.js").App} app */
export const disconnectButton = (app) => button("Disconnect", () => ask(app), { kind: "quiet" });

/** A dialog that says what a disconnect does. It closes once the service has confirmed the disconnect. @param {import("../app.js").App} app */
function ask(app) {
  async function disconnect() {
    message.replaceChildren();
    try {
      await app.disconnect();
      forgetDrafts();
      close();
    } catch (caught) {
      const failure = /** @type {import("../airtable-oauth.js").AirtableOAuthError} */ (caught);
      message.replaceChildren(failureText("We couldn't confirm the disconnect. You may still be connected.", failure));
    }
  }

  const where = app.oauth.renew ? "in this tab" : "in every tab of this browser";
  const message = h("div", {});
  const dialog = /** @type {HTMLDialogElement} */ (h("dialog", {
    class: "confirm", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text",
  },
    h("h2", { id: "confirm-title" }, "Disconnect Airtable?"),
    h("p", { id: "confirm-text" }, `This removes the app's access to your bases and disconnects you ${where}. `
      + "You'll need to connect again to use your bases here. Nothing changes in Airtable."),
    message,
    h("div", { class: "row end" },
      button("Cancel", () => close(), { autofocus: true }),
      button("Disconnect", disconnect, { kind: "danger", busy: "Disconnecting…" }))));
  const close = showModal(dialog, () => close());
}
