import { announce, h } from "../dom.js";

const SHOWN_MILLISECONDS = 2000;

/**
 * A button that copies a text.
 *
 * @param {string} label
 * @param {string} text
 */
export function copyButton(label, text) {
  async function copy() {
    const message = await copied(text) ? "Copied" : "Couldn't copy";
    button.textContent = message;
    announce(message);
    setTimeout(() => { button.textContent = label; }, SHOWN_MILLISECONDS);
  }

  const button = h("button", { type: "button", class: "quiet", onclick: copy }, label);
  return button;
}

/** @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // the browser forbids it, or the page has no HTTPS
  }
}
