import { h } from "../dom.js";
import { inWords } from "../scopes.js";
import { connectButton } from "./connect-button.js";

const INTEGRATIONS = "https://airtable.com/?integrations=thirdParty";
const LEVELS = { create: "Creator", edit: "Editor", comment: "Commenter", read: "Read only", none: "No access" };

/** The guarded page: who is connected, until when, what was granted, and the bases. */
export function loginSuccess(app) {
  const { oauth, navigate } = app;

  function logout() {
    oauth.disconnect();
    navigate("/");
  }

  return h("div", { class: "page" },
    h("section", { class: "head" },
      h("div", {},
        h("h1", {}, "Your Airtable is connected"),
        fill(h("p", { class: "who", role: "status" }, "Asking Airtable who you are…"), who(oauth)),
      ),
      h("button", { type: "button", onclick: logout }, "Log out"),
    ),
    fill(h("section", { class: "card", "aria-labelledby": "bases" },
      h("h2", { id: "bases" }, "Bases"), h("p", { role: "status" }, "Loading bases…")), bases(app)),
    h("div", { class: "columns" },
      h("section", { class: "card", "aria-labelledby": "access" },
        h("h2", { id: "access" }, "Access"), ...access(app)),
      h("section", { class: "card", "aria-labelledby": "scopes" },
        h("h2", { id: "scopes" }, "What this app may do"),
        h("ul", { class: "checks" },
          ...oauth.session().scopes.map((scope) =>
            h("li", {}, inWords(scope), h("code", {}, scope)))),
      ),
    ),
  );
}

/** Put what a promise brings in the place of an element, or say why it did not come. */
function fill(element, content) {
  content.then((found) => element.replaceWith(found));
  return element;
}

async function who(oauth) {
  try {
    const user = await oauth.whoami();
    return h("p", { class: "who" }, "As ", h("strong", {}, user.email ?? user.id));
  } catch {
    return h("p", { class: "who" }, "Airtable does not say who you are at the moment.");
  }
}

async function bases(app) {
  const section = h("section", { class: "card", "aria-labelledby": "bases" },
    h("h2", { id: "bases" }, "Bases"));
  try {
    section.append(...shown(await app.oauth.bases()));
  } catch (failure) {
    section.append(...excuse(app, failure));
  }
  return section;
}

function shown(bases) {
  if (bases.length === 0) {
    return [h("p", {}, "You chose no base. Connect again to add some."),];
  }
  return [h("ul", { class: "tiles" }, ...bases.map((base) =>
    h("li", { class: "tile" },
      h("span", { class: "initial", "aria-hidden": "true" }, base.name.slice(0, 1)),
      h("strong", {}, base.name),
      h("span", { class: "soft" }, LEVELS[base.permissionLevel] ?? base.permissionLevel),
      h("code", {}, base.id),
    )))];
}

function excuse(app, failure) {
  if (failure.action !== "reconnect") {
    return [h("p", { role: "alert" }, "Airtable did not list the bases. Reload the page to try again.")];
  }
  return [
    h("p", { role: "alert" }, "Airtable no longer accepts this access: it ended or was taken back."),
    connectButton(app, { label: "Connect again" }),
  ];
}

function access({ oauth, navigate }) {
  const { expiresAt, reconnectBy } = oauth.session();
  const ended = expiresAt <= new Date();

  async function renew() {
    button.disabled = true;
    try {
      await oauth.renew();
      navigate("/login-success", { replace: true });
    } catch (failure) {
      message.textContent = failure.action === "reconnect"
        ? "It cannot be renewed any more. Log out and connect again."
        : "That did not work. Try again in a moment.";
      button.disabled = failure.action === "reconnect";
    }
  }

  const button = h("button", { type: "button", onclick: renew }, "Renew now");
  const message = h("p", { role: "status", class: "soft" });
  return [
    h("dl", {},
      h("dt", {}, ended ? "Access ended" : "Access ends"), h("dd", {}, time(expiresAt)),
      reconnectBy && h("dt", {}, "Connect again by"), reconnectBy && h("dd", {}, day(reconnectBy)),
    ),
    h("div", { class: "row" }, button),
    message,
    h("p", { class: "soft" }, "Logging out forgets the access here. Airtable keeps the app on ",
      h("a", { href: INTEGRATIONS, rel: "noreferrer" }, "your list of integrations"), " until you remove it."),
  ];
}

const time = (date) => h("time", { datetime: date.toISOString() },
  date.toLocaleString(undefined, { weekday: "long", hour: "2-digit", minute: "2-digit" }));
const day = (date) => h("time", { datetime: date.toISOString() },
  date.toLocaleDateString(undefined, { dateStyle: "long" }));
