import { h } from "../dom.js";
import { own } from "../own.js";
import { connectButton } from "../parts/connect-button.js";

const EXPLANATIONS = {
  access_denied: ["Access was not granted", "You declined in Airtable, or an administrator does not allow this app. Nothing was connected."],
  login_not_found: ["This login has ended", "It took longer than ten minutes, was used already, or was begun in another browser. Nothing was connected."],
  state_mismatch: ["This login did not start here", "The page was opened by something other than the button in this tab, so it was not finished. Nothing was connected."],
  invalid_grant: ["This login has ended", "Airtable no longer accepts it: it was used already, or took too long. Nothing was connected."],
  unreachable: ["The service cannot be reached", "Check the connection. If this page was opened on another address than usual (127.0.0.1 in place of localhost, say), open it on the usual one."],
};
const BY_ACTION = {
  fix_config: ["This app is not set up right", "The people who run it have to fix that; trying again will not help. The details below help them."],
};
const OTHERWISE = ["Airtable could not be connected", "Airtable did not answer as expected. Nothing was connected, and a second try often works."];

/** What happened, what to do, and a button to try again. `failure` has the fields of an AirtableOAuthError. */
export function loginFailure(app, failure) {
  const [title, text] =
    own(EXPLANATIONS, failure?.code) ?? own(BY_ACTION, failure?.action) ?? OTHERWISE;
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
