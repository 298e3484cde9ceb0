import { h } from "../dom.js";
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
      close("main");
      resolve(answer);
    }

    const dialog = /** @type {HTMLDialogElement} */ (h("dialog", {
      class: "confirm", role: "alertdialog", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text",
    },
    h("h2", { id: "confirm-title" }, title),
    h("p", { id: "confirm-text" }, text),
    h("div", { class: "row end" },
      h("button", { type: "button", class: "primary", autofocus: true, onclick: () => end(false) }, no),
      h("button", { type: "button", onclick: () => end(true) }, yes))));
    const close = showModal(dialog, () => end(false));
  });
}
