import { h } from "../dom.js";
import { connectButton } from "../parts/connect-button.js";
import { failedLogin } from "../words.js";

/** What happened, what to do, and a button to try again. `failure` has the fields of an AirtableOAuthError. */
export function loginFailure(app, failure) {
  const [title, text] = failedLogin(failure);
  return h("section", { class: "card hero" },
    h("p", { class: "eyebrow bad" }, "Not connected"),
    h("h1", {}, title),
    h("p", { class: "lead", role: "alert" }, text),
    h("div", { class: "row" },
      connectButton(app, { label: "Try again", returnTo: failure?.from }),
      h("a", { class: "button", href: "/" }, "Back to the start"),
    ),
    failure?.code && h("details", {},
      h("summary", {}, "Details"),
      h("dl", {},
        h("dt", {}, "Error"), h("dd", {}, h("code", {}, failure.code)),
        failure.requestId && h("dt", {}, "Request"),
        failure.requestId && h("dd", {}, h("code", {}, failure.requestId)),
      ),
    ),
  );
}
