import { h } from "../dom.js";

/** @typedef {import("./listing.js").Page} Page */

const PAGE = 100;

/**
 * Which records are shown, and buttons to the next and the previous page. A button that does nothing at the moment
 * is `aria-disabled`, not disabled, so that it keeps the focus.
 *
 * @param {(step: 1 | -1) => void} onStep
 */
export function createPager(onStep) {
  const range = h("p", { tabindex: "-1" });
  const previous = h("button", { type: "button", onclick: () => step(previous, -1) }, "Previous");
  const next = h("button", { type: "button", onclick: () => step(next, 1) }, "Next");
  const buttons = h("div", { class: "row" }, previous, next);
  const trouble = h("div", { class: "beside" });
  const element = h("div", { class: "pager" }, range, trouble, buttons);
  /** @type {Page | null} */
  let shown = null;

  /** @param {HTMLElement} button @param {1 | -1} by */
  const step = (button, by) => button.hasAttribute("aria-disabled") || onStep(by);

  /** @param {boolean} isBusy */
  function enable(isBusy) {
    disable(previous, isBusy || !shown || shown.number === 0);
    disable(next, isBusy || !shown?.hasNext);
  }

  enable(true);
  return {
    element,
    /** @param {Page} page */
    show(page) {
      shown = page;
      range.textContent = rangeOf(page);
      buttons.hidden = page.number === 0 && !page.hasNext;
      element.toggleAttribute("data-sticky", !buttons.hidden);
      enable(false);
      const hadFocus = trouble.contains(document.activeElement);
      trouble.replaceChildren();
      if (hadFocus) (buttons.hidden ? range : next).focus();
    },
    /** @param {boolean} isBusy */
    wait(isBusy) {
      enable(isBusy);
    },
    /** Say what failed. The page that is shown stays. @param {HTMLElement} what */
    fail(what) {
      const hadFocus = trouble.contains(document.activeElement);
      trouble.replaceChildren(what);
      if (hadFocus) what.querySelector("button")?.focus();
    },
  };
}

/** @param {HTMLElement} button @param {boolean} isDisabled */
function disable(button, isDisabled) {
  if (isDisabled) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

/** @param {Page} page */
export function rangeOf({ records: { length }, number, hasNext }) {
  if (number === 0 && !hasNext) return length === 1 ? "1 record" : `${length} records`;
  return length === 0 ? "You've reached the end" : `Records ${number * PAGE + 1}–${number * PAGE + length}`;
}

/** The same for a screen reader. @param {Page} page */
export function rangeInWords({ records: { length }, number, hasNext }) {
  if (length === 0) return number === 0 ? "No records" : "No more records";
  if (number === 0 && !hasNext) return length === 1 ? "1 record" : `${length} records`;
  return `Showing records ${number * PAGE + 1} to ${number * PAGE + length}`;
}
