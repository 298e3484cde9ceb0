import { h } from "../dom.js";
import { refreshButton } from "./refresh-button.js";

/**
 * How long the connection lasts, and where the tokens are.
 *
 * @param {import("../app.js").App} app
 * @param {import("../airtable-oauth.js").Session} session
 */
export function connection(app, session) {
  return h("section", { class: "card", "aria-labelledby": "connection" },
    h("h2", { id: "connection" }, "Connection"),
    ...(app.oauth.renew ? held(app, session) : kept(session)));
}

/** With tokens on the server, which refreshes them. @param {import("../airtable-oauth.js").Session} session */
function kept({ reconnectBy }) {
  return [
    h("dl", {},
      h("dt", {}, "Renewal"), h("dd", {}, "Automatic"),
      reconnectBy && h("dt", {}, "Expires if unused"), reconnectBy && h("dd", {}, day(reconnectBy)),
    ),
    h("p", { class: "soft" }, "Your Airtable tokens stay on the server and never reach this browser. Disconnecting deletes them."),
  ];
}

/**
 * With tokens in this tab, which are refreshed only when the user asks for it.
 *
 * @param {import("../app.js").App} app
 * @param {import("../airtable-oauth.js").Session} session
 */
function held(app, { expiresAt, reconnectBy }) {
  return [
    h("dl", {},
      h("dt", {}, "Access expires"), h("dd", {}, time(expiresAt)),
      reconnectBy && h("dt", {}, "Reconnect by"), reconnectBy && h("dd", {}, day(reconnectBy)),
    ),
    refreshButton(app, app.show),
    h("p", { class: "soft" }, "Access is stored in this tab only. Closing it disconnects you."),
  ];
}

/** @param {Date} date */
const time = (date) => h("time", { datetime: date.toISOString() },
  date.toLocaleString(undefined, { ...(!isToday(date) && { weekday: "long" }), hour: "2-digit", minute: "2-digit" }));

/** @param {Date} date */
const isToday = (date) => date.toDateString() === new Date().toDateString();

/** @param {Date} date */
const day = (date) => h("time", { datetime: date.toISOString() },
  date.toLocaleDateString(undefined, { dateStyle: "long" }));
