import { announce, h } from "../dom.js";
import { connectButton } from "../parts/connect-button.js";

const INTEGRATIONS = "https://airtable.com/?integrations=thirdParty";

/**
 * The start page: what will happen, and the button that begins it.
 *
 * @param {import("../app.js").App} app
 * @param {import("../router.js").Place} place
 */
export function login(app, { state, flash }) {
  const notice = noticeFor(flash, state);
  if (notice) announce(notice.textContent ?? "");
  return h("section", { class: "card hero" },
    h("h1", {}, "Connect your Airtable bases"),
    h("p", { class: "lead" },
      "Choose which bases to share. Airtable asks you to confirm, and you can revoke access there at any time."),
    notice,
    connectButton(app, { label: "Connect Airtable", returnTo: state?.from, kind: "primary" }),
    h("ul", { class: "facts" },
      h("li", {}, "You choose which bases to share"),
      h("li", {}, "Your password stays with Airtable"),
      h("li", {}, "Nothing is shared until you approve"),
    ),
  );
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
