import { h, refill } from "../dom.js";
import { trouble } from "./trouble.js";

/**
 * A part of a page that is loaded on its own. It can be loaded again if that fails.
 *
 * @param {import("../app.js").App} app
 * @param {{what: string, waiting: Node, load: () => Promise<Node>}} options `what`: the sentence that says that it
 *   failed. `waiting`: what is shown in the meantime.
 */
export function loaded(app, { what, waiting, load }) {
  async function fill() {
    element.setAttribute("aria-busy", "true");
    try {
      refill(element, await load());
    } catch (caught) {
      const failure = /** @type {import("../airtable-oauth.js").AirtableOAuthError} */ (caught);
      if (failure.action === "renew" && await app.recheck()) return; // the whole page says it
      refill(element, trouble(app, what, failure, fill));
    } finally {
      element.removeAttribute("aria-busy");
    }
  }

  const element = h("div", {}, waiting);
  fill();
  return element;
}
