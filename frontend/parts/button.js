import { h } from "../dom.js";

const BUSY = ["aria-disabled", "aria-busy"]; // `disabled` would lose the focus

/**
 * A button that does one thing at a time.
 *
 * @param {string} label
 * @param {() => unknown} action
 * @param {{kind?: "primary" | "danger" | "quiet", busy?: string, autofocus?: boolean}} [options] `busy`: the label while the action runs.
 */
export function button(label, action, { kind, busy, autofocus } = {}) {
  const element = h("button", { type: "button", class: kind, autofocus }, label);
  return activate(element, action, { busy });
}

/**
 * Give a button its action. While the action runs, the button keeps the focus and ignores clicks. If the button is
 * already busy, it was clicked before it had an action, and the action begins at once.
 *
 * @param {HTMLElement} element
 * @param {() => unknown} action
 * @param {{busy?: string}} [options]
 */
export function activate(element, action, { busy } = {}) {
  const label = element.textContent;

  async function act() {
    for (const name of BUSY) element.setAttribute(name, "true");
    if (busy) element.textContent = busy;
    try {
      await action();
    } finally {
      for (const name of BUSY) element.removeAttribute(name);
      element.textContent = label;
    }
  }

  element.addEventListener("click", () => {
    if (!element.getAttribute("aria-disabled")) act();
  });
  if (element.getAttribute("aria-busy")) act();
  return element;
}
