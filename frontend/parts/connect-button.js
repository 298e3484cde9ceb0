import { h } from "../dom.js";
import { failureOf, isFinal } from "../words.js";
import { activate } from "./button.js";
import { failureText } from "./failure.js";

/** Milliseconds for the browser to leave for Airtable's page. */
const LEAVING = 5000;

/**
 * A button that begins a login. If that fails it says so below. If no retry would help, a page says so, with the details.
 *
 * @param {import("../app.js").App} app
 * @param {{label: string, returnTo?: string | null, kind?: "primary"}} options
 */
export function connectButton(app, { label, returnTo, kind }) {
  const button = h("button", { type: "button", class: kind }, label);
  return activateConnect(app, button, h("div", { class: "stack" }, button), returnTo);
}

/**
 * Give a button the action that begins a login. If the button is already busy, the login begins at once.
 *
 * @param {import("../app.js").App} app
 * @param {HTMLElement} button
 * @param {HTMLElement} stack The element that the button is in. What failed is said below the button.
 * @param {string | null} [returnTo]
 */
export function activateConnect({ oauth, navigate }, button, stack, returnTo) {
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
  activate(button, connect, { busy: "Opening Airtable…" });
  stack.append(message);
  return stack;
}
