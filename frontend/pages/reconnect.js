import { h } from "../dom.js";
import { connectButton } from "../parts/connect-button.js";
import { endedConnection } from "../words.js";

/**
 * Why the connection has ended, and a button to reconnect.
 *
 * @param {import("../app.js").App} app
 * @param {import("../router.js").Place} place `context` is the session.
 */
export function reconnect(app, { context: session, state }) {
  const { title, text } = endedConnection(session.reason);
  return h("section", { class: "card hero" },
    h("h1", {}, title),
    h("p", { class: "lead", role: "alert" }, text),
    connectButton(app, { label: "Reconnect", returnTo: state?.from, kind: "primary" }));
}
