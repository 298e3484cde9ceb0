import { h } from "../dom.js";
import { connectButton } from "../parts/connect-button.js";
import { details } from "../parts/failure.js";
import { failedLogin, isFinal } from "../words.js";

/**
 * What happened, what to do, and the button that helps.
 *
 * @param {import("../app.js").App} app
 * @param {import("../router.js").Place} place `context` is a session that has ended, if there is one.
 */
export function loginFailure(app, { state: { failure, from }, context: session }) {
  const { title, text } = failedLogin(failure);
  const isOver = isFinal(failure);
  return h("section", { class: "card hero" },
    h("h1", {}, title),
    h("p", { class: "lead", role: "alert" }, text),
    h("div", { class: "row top" },
      !isOver && connectButton(app, { label: session ? "Reconnect" : "Connect Airtable", returnTo: from, kind: "primary" }),
      h("a", { class: "button", href: "/" }, "Back to home")),
    details(failure, { isOpen: isOver }),
  );
}
