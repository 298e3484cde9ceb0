import { h } from "../dom.js";
import { failedRequest } from "../words.js";
import { connectButton } from "./connect-button.js";

/**
 * What failed and why, with a button to try again, connect again or renew the tokens.
 *
 * @param {any} app
 * @param {string} what What failed, as a sentence.
 * @param {import("../airtable-oauth.js").AirtableOAuthError} failure
 * @param {() => void} again
 */
export function trouble(app, what, failure, again) {
  if (failure.action === "renew") return renewal(app, what, again);
  if (failure.action === "reconnect" || failure.action === "restart_login") {
    return h("div", { class: "trouble" },
      h("p", { role: "alert" }, failure.action === "reconnect"
        ? "Airtable no longer accepts this access: it ended or was taken back."
        : "This browser is not connected any more."),
      connectButton(app, { label: "Connect again", returnTo: location.pathname }),
    );
  }
  const tryAgain = ({ currentTarget: button }) => {
    button.disabled = true; // a second click would send it twice
    again();
  };
  return h("div", { class: "trouble" },
    h("p", { role: "alert" }, `${what} ${failedRequest(failure)}`),
    h("button", { type: "button", onclick: tryAgain }, "Try again"),
  );
}

/** The access token in this tab has ended. Its refresh token may still work. */
function renewal(app, what, again) {
  async function renew() {
    button.disabled = true;
    try {
      await app.oauth.renew();
      again();
    } catch (failure) {
      if (failure.action === "reconnect") section.replaceWith(trouble(app, what, failure, again));
      text.textContent = "The access could not be renewed. Try again in a moment.";
      button.disabled = false;
    }
  }

  const text = h("p", { role: "alert" }, `${what} The access that this tab holds has ended.`);
  const button = h("button", { class: "primary", type: "button", onclick: renew }, "Renew access");
  const section = h("div", { class: "trouble" }, text, button);
  return section;
}

/** What the user did not allow, and a button to connect again and allow it. */
export function notAllowed(app, what) {
  return h("div", { class: "trouble" },
    h("p", {}, `${what} You did not allow it when you connected, or this app does not ask for it.`),
    connectButton(app, { label: "Connect again", returnTo: location.pathname }),
  );
}
