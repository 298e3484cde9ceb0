import { h } from "../dom.js";
import { disconnectButton } from "../parts/disconnect-button.js";
import { notAllowed, trouble } from "../parts/trouble.js";
import { levelInWords, scopeInWords } from "../words.js";

/** The guarded page: who is connected, until when, what was granted, and the bases. */
export function loginSuccess(app, session) {
  return h("div", { class: "page" },
    h("section", { class: "head" },
      h("div", {},
        h("h1", {}, session.status === "renewal_required"
          ? "Your access to Airtable has ended"
          : "Your Airtable is connected"),
        fill(h("p", { class: "who", role: "status" }, "Asking Airtable who you are…"), who(app.oauth, session)),
      ),
      disconnectButton(app, "Log out"),
    ),
    fill(h("section", { class: "card", "aria-labelledby": "bases" },
      h("h2", { id: "bases" }, "Bases"), h("p", { role: "status" }, "Loading bases…")), bases(app, session)),
    h("div", { class: "columns" },
      h("section", { class: "card", "aria-labelledby": "access" },
        h("h2", { id: "access" }, "Access"), ...access(app, session)),
      h("section", { class: "card", "aria-labelledby": "scopes" },
        h("h2", { id: "scopes" }, "What this app may do"), ...scopes(session)),
    ),
  );
}

/** Replace an element with the one that a promise resolves to. */
function fill(element, content) {
  content.then((found) => element.replaceWith(found));
  return element;
}

async function who(oauth, session) {
  try {
    const user = session.user ?? await oauth.whoami();
    return h("p", { class: "who" }, "As ", h("strong", {}, user.email ?? user.id));
  } catch {
    return h("p", { class: "who" }, "Airtable does not say who you are at the moment.");
  }
}

async function bases(app, session) {
  const section = h("section", { class: "card", "aria-labelledby": "bases" },
    h("h2", { id: "bases" }, "Bases"));
  if (!session.scopes.includes("schema.bases:read")) {
    section.append(notAllowed(app, "This app may not see which bases there are."));
    return section;
  }
  try {
    section.append(...shown(await app.oauth.bases()));
  } catch (failure) {
    const again = () => app.navigate("/login-success", { replace: true });
    section.append(trouble(app, "Could not load your bases.", failure, again));
  }
  return section;
}

function shown(bases) {
  if (bases.length === 0) {
    return [h("p", {}, "You chose no base. Connect again to add some.")];
  }
  return [h("ul", { class: "tiles" }, ...bases.map((base) =>
    h("li", {}, h("a", { class: "tile", href: `/bases/${base.id}` },
      h("span", { class: "initial", "aria-hidden": "true" }, base.name.slice(0, 1)),
      h("strong", {}, base.name),
      h("span", { class: "soft" }, levelInWords(base.permissionLevel)),
    ))))];
}

function scopes({ scopes, missingScopes }) {
  return [
    h("ul", { class: "checks" }, ...scopes.map((scope) =>
      h("li", {}, scopeInWords(scope), h("code", {}, scope)))),
    missingScopes.length > 0 && h("p", { class: "soft" },
      `Asked for and not granted: ${missingScopes.map(scopeInWords).join(", ")}. What needs it will not work.`),
  ].filter(Boolean);
}

function access(app, session) {
  return !app.oauth.renew ? kept(session.reconnectBy) : held(app, session);
}

/** With tokens on the server, which renews them automatically. */
function kept(reconnectBy) {
  return [
    h("dl", {},
      h("dt", {}, "Renewed"), h("dd", {}, "automatically"),
      reconnectBy && h("dt", {}, "If unused, ends on"), reconnectBy && h("dd", {}, day(reconnectBy)),
    ),
    h("p", { class: "soft" }, "The access stays with the service: this page holds no token. Logging out erases it there."),
  ];
}

/** With tokens in this tab: they expire, and are renewed only when the user asks for it. */
function held({ oauth, navigate }, { status, expiresAt, reconnectBy }) {
  const ended = status === "renewal_required";

  async function renew() {
    button.disabled = true;
    try {
      await oauth.renew();
      navigate("/login-success", { replace: true });
    } catch (failure) {
      if (failure.action === "reconnect") navigate("/reconnect", { replace: true });
      message.textContent = "That did not work. Try again in a moment.";
      button.disabled = false;
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
    h("p", { class: "soft" }, "The access is kept in this tab and ends with it."),
  ];
}

const time = (date) => h("time", { datetime: date.toISOString() },
  date.toLocaleString(undefined, { weekday: "long", hour: "2-digit", minute: "2-digit" }));
const day = (date) => h("time", { datetime: date.toISOString() },
  date.toLocaleDateString(undefined, { dateStyle: "long" }));
