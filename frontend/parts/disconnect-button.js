import { h } from "../dom.js";
import { isLost } from "../words.js";
import { button } from "./button.js";

/** A button that asks once, then ends the connection. @param {import("../app.js").App} app */
export function disconnectButton(app) {
  return button("Disconnect", () => {
    const dialog = createDialog(app);
    document.body.append(dialog);
    dialog.showModal();
  }, { kind: "quiet" });
}

/** What the disconnect costs. It is done only once the service has confirmed it. @param {import("../app.js").App} app */
function createDialog(app) {
  async function disconnect() {
    message.textContent = "";
    try {
      await app.disconnect();
      dialog.close();
    } catch (failure) {
      message.textContent = isLost(/** @type {any} */ (failure))
        ? "We can't reach the server. You may still be connected. Try again in a moment."
        : "Couldn't disconnect. You're still connected. Try again in a moment.";
    }
  }

  const where = app.oauth.renew ? "in this tab" : "in every tab of this browser";
  const message = h("p", { class: "problem", role: "alert" });
  const dialog = /** @type {HTMLDialogElement} */ (h("dialog", {
    class: "confirm", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text", onclose: () => dialog.remove(),
  },
    h("h2", { id: "confirm-title" }, "Disconnect Airtable?"),
    h("p", { id: "confirm-text" }, `This deletes the app's access to your bases and disconnects you ${where}. `
      + "To use your bases here again, you'll need to connect again. Nothing changes in Airtable."),
    message,
    h("div", { class: "row end" },
      button("Cancel", () => dialog.close(), { autofocus: true }),
      button("Disconnect", disconnect, { kind: "danger", busy: "Disconnecting…" })),
  ));
  return dialog;
}
