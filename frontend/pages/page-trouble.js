import { h } from "../dom.js";
import { button } from "../parts/button.js";
import { countdown, details, isOfModule, logDefect } from "../parts/failure.js";
import { failedPage, isFinal } from "../words.js";

/**
 * What is shown in place of a page if its guard got no answer. Whether the user is connected is not known.
 *
 * @param {import("../app.js").App} app
 * @param {any} failure An `AirtableOAuthError`, or what a module threw that could not be loaded.
 */
export function pageTrouble(app, failure) {
  const { title, text } = failedPage(failure);
  const isOurs = isOfModule(failure);
  logDefect(failure);
  // A browser may remember that a module could not be loaded, until the page is loaded again.
  const again = isOurs ? app.show : () => location.reload();
  return h("section", { class: "card hero" },
    h("h1", {}, title),
    h("p", { class: "lead", role: "alert" }, text),
    countdown(failure.retryAfter),
    !isFinal(failure) && button("Try again", again, { kind: "primary" }),
    isOurs && details(failure, { isOpen: isFinal(failure) }));
}
