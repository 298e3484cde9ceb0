import { h } from "../dom.js";

/**
 * A button that does one thing at a time: until `action` has ended, it keeps the focus and ignores clicks.
 *
 * @param {string} label
 * @param {() => unknown} action
 * @param {{kind?: "primary" | "danger" | "quiet", busy?: string, autofocus?: boolean}} [options] `busy`: the label in the meantime.
 */
export function button(label, action, { kind, busy, autofocus } = {}) {
  async function click() {
    if (element.getAttribute("aria-disabled")) return;
    element.setAttribute("aria-disabled", "true");
    if (busy) element.textContent = busy;
    try {
      await action();
    } finally {
      element.removeAttribute("aria-disabled");
      element.textContent = label;
    }
  }

  const element = h("button", { type: "button", class: kind, autofocus, onclick: click }, label);
  return element;
}
