import { h } from "../dom.js";
import { failureOf, isFinal } from "../words.js";
import { button } from "./button.js";
import { failureText } from "./failure.js";

/** Milliseconds for the browser to leave for Airtable's page. */
const LEAVING = 5000;

/**
 * A button that begins a login. If that fails it says so below. If no retry would help, a page says so, with the details.
 *
 * @param {import("../app.js").App} app
 * @param {{label: string, returnTo?: string | null, kind?: "primary"}} options
 */
export function connectButton({ oauth, navigate }, { label, returnTo, kind }) {
  async function connect() {
    message.replaceChildren();
    try {
      await oauth.connect({ returnTo: returnTo ?? undefined });
      await new Promise((resolve) => setTimeout(resolve, LEAVING)); // the button stays busy
    } catch (caught) {
      const failure = /** @type {import("../airtable-oauth.js").AirtableOAuthError} */ (caught);
      if (!isFinal(failure)) {
        message.replaceChildren(failureText("Couldn't open Airtable.", failure));
        return;
      }
      await navigate("/login-failure", {
        state: { failure: failureOf(failure), from: returnTo },
        flash: { isNew: true },
      });
    }
  }

  const message = h("div", {});
  return h("div", { class: "stack" }, button(label, connect, { kind, busy: "Opening Airtable…" }), message);
}
