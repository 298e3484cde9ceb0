import { announce, h } from "../dom.js";
import { bases } from "../parts/bases.js";
import { connection } from "../parts/connection.js";
import { details } from "../parts/failure.js";
import { permissions } from "../parts/permissions.js";
import { failedLogin, isFinal } from "../words.js";

/**
 * The guarded page: the bases, until when the user is connected, and what was granted.
 *
 * @param {import("../app.js").App} app
 * @param {import("../router.js").Place} place `context` is the session.
 */
export function loginSuccess(app, { context: session, flash }) {
  return h("div", { class: "page" },
    h("h1", {}, "Airtable is connected"),
    flash?.failure && unchanged(flash.failure),
    bases(app, session),
    h("div", { class: "columns" }, permissions(app, session), connection(app, session)));
}

/** A login failed, but the user was connected before. @param {import("../words.js").Failure} failure */
function unchanged(failure) {
  const text = `${failedLogin(failure).title}. Your connection hasn't changed.`;
  announce(text);
  return h("div", { class: "notice" }, text, isFinal(failure) && details(failure));
}
