import { announce, h } from "../dom.js";
import { takeLoginPage } from "../first-view.js";
import { activateConnect } from "../parts/connect-button.js";

const INTEGRATIONS = "https://airtable.com/?integrations=thirdParty";

/**
 * The start page: what will happen, and the button that begins it. Its text is in index.html, so that it can be shown
 * before this script is loaded.
 *
 * @param {import("../app.js").App} app
 * @param {import("../router.js").Place} place
 */
export function login(app, { state, flash }) {
  const notice = noticeFor(flash, state);
  if (notice) announce(notice.textContent ?? "");
  const page = takeLoginPage();
  const stack = /** @type {HTMLElement} */ (page.querySelector(".stack"));
  const button = /** @type {HTMLElement} */ (stack.querySelector("button"));
  if (notice) stack.before(notice);
  activateConnect(app, button, stack, state?.from);
  return page;
}

/** Why the user is here. @param {any} flash @param {any} state */
function noticeFor(flash, state) {
  if (flash?.disconnected) return disconnected();
  if (flash?.hasEnded) return h("p", { class: "notice" }, "You're no longer connected.");
  return state?.from ? h("p", { class: "notice" }, "Connect Airtable to view that page.") : null;
}

/** What the disconnect did, and what it cannot do. */
function disconnected() {
  return h("p", { class: "notice" },
    "Disconnected. We've deleted this app's access. Airtable still lists it under ",
    h("a", { href: INTEGRATIONS, rel: "noreferrer" }, "your integrations"), "; you can remove it there.");
}
