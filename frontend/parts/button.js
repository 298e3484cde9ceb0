import { h } from "../dom.js";

const BUSY = ["aria-disabled", "aria-busy"]; // `disabled` would lose the focus

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
    for (const name of BUSY) element.setAttribute(name, "true");
    if (busy) element.textContent = busy;
    try {
      await action();
    } finally {
      for (const name of BUSY) element.removeAttribute(name);
      element.textContent = label;
    }
  }

  const element = h("button", { type: "button", class: kind, autofocus, onclick: click }, label);
  return element;
}
