import { h } from "../dom.js";
import { button } from "./button.js";
import { showModal } from "./modal.js";

/**
 * Ask a question in a dialog above the page. To leave it means no.
 *
 * @param {{title: string, text: string, yes: string, no: string}} words
 * @returns {Promise<boolean>}
 */
export function confirm({ title, text, yes, no }) {
  return new Promise((resolve) => {
    /** @param {boolean} answer */
    function end(answer) {
      close();
      resolve(answer);
    }

    const dialog = /** @type {HTMLDialogElement} */ (h("dialog", {
      class: "confirm", role: "alertdialog", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text",
    },
    h("h2", { id: "confirm-title" }, title),
    h("p", { id: "confirm-text" }, text),
    h("div", { class: "row end" },
      button(no, () => end(false), { autofocus: true }),
      button(yes, () => end(true), { kind: "danger" }))));
    const close = showModal(dialog, () => end(false));
  });
}
