import { h, present } from "../dom.js";
import { button } from "../parts/button.js";
import { countdown } from "../parts/failure.js";
import { failureOf, unconfirmedLogin } from "../words.js";

/** The callback route: read the query, remove it from the address, and finish the login. @param {import("../app.js").App} app */
export function authCallback({ oauth, navigate, takeQuery }) {
  const parameters = takeQuery(); // the code leaves the address bar and the history
  const section = h("section", { class: "card quiet-card" }, ...waiting());

  async function finish() {
    try {
      const { returnTo } = await oauth.finish(parameters);
      await navigate(returnTo ?? "/login-success", { replace: true });
    } catch (caught) {
      const failure = /** @type {import("../airtable-oauth.js").AirtableOAuthError} */ (caught);
      if (failure.action === "retry") {
        show(unknown(failure, tryAgain));
        return;
      }
      await navigate("/login-failure", {
        state: { failure: failureOf(failure), from: failure.returnTo },
        flash: { isNew: true },
        replace: true,
      });
    }
  }

  function tryAgain() {
    show(waiting());
    return finish();
  }

  /** @param {(HTMLElement | string)[]} content */
  function show(content) {
    section.replaceChildren(...content);
    if (section.isConnected) present(section);
  }

  finish();
  return section;
}

const waiting = () => [
  h("div", { class: "spinner", "aria-hidden": "true" }),
  h("h1", {}, "Connecting to Airtable…"),
  h("p", { class: "soft" }, "This only takes a moment."),
];

/**
 * The login may be finished. The same request finds out.
 *
 * @param {import("../airtable-oauth.js").AirtableOAuthError} failure
 * @param {() => unknown} again
 */
function unknown(failure, again) {
  const { title, text } = unconfirmedLogin(failure);
  return [
    h("h1", {}, title),
    h("p", { role: "alert" }, text),
    countdown(failure.retryAfter) ?? "",
    h("div", { class: "row" },
      button("Try again", again, { kind: "primary" }),
      h("a", { class: "button", href: "/" }, "Back to home")),
  ];
}
