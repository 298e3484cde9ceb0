import { h } from "../dom.js";
import { refreshButton } from "../parts/refresh-button.js";

/** In place of any page, while the access token in this tab has expired. @param {import("../app.js").App} app */
export function accessExpired(app) {
  return h("section", { class: "card hero" },
    h("h1", {}, "Your access expired"),
    h("p", { class: "lead" }, "Access is stored in this tab only, and lasts about an hour. Refresh it to continue."),
    refreshButton(app, app.show, "primary"));
}
