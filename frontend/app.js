import { oauth, session } from "./early.js";
import { skeleton } from "./first-view.js";
import { createGuards, isOtherSession } from "./guards.js";
import { loadPage } from "./load.js";
import { pageTrouble } from "./pages/page-trouble.js";
import { createRouter } from "./router.js";

/**
 * What every page is given.
 *
 * @typedef {object} App
 * @property {import("./airtable-oauth.js").AirtableOAuth & {renew?: () => Promise<void>}} oauth
 * @property {ReturnType<typeof createRouter>["navigate"]} navigate
 * @property {ReturnType<typeof createRouter>["back"]} back
 * @property {ReturnType<typeof createRouter>["show"]} show Ask the guard of the current path, and create its page again.
 * @property {ReturnType<typeof createRouter>["recheck"]} recheck
 * @property {ReturnType<typeof createRouter>["takeQuery"]} takeQuery
 * @property {() => Promise<void>} disconnect
 */

/** @typedef {import("./router.js").Route} Route */
/** @typedef {import("./airtable-oauth.js").Session} Session */

const guards = createGuards({ session });
let isDisconnecting = false;
/** @type {Session | null} The session that the bar shows. */
let known = null;

/** @type {Route} */
const base = {
  title: "Base",
  guard: guards.whenConnected,
  load: withAccess(async () => {
    const page = await loadPage(import("./pages/base.js"), "home", "grid", "record", "dialog");
    return ({ context, parameters }) => page.base(app, context, /** @type {any} */ (parameters));
  }),
};

const { navigate, back, show, recheck, takeQuery } = createRouter(byId("view"), skeleton, {
  "/": {
    title: "Connect",
    guard: guards.whenAnonymous,
    load: async () => {
      const { login } = await import("./pages/login.js");
      return (place) => login(app, place);
    },
  },
  "/auth-callback": {
    title: "Connecting",
    guard: guards.whenReturning,
    load: async () => {
      const { authCallback } = await import("./pages/auth-callback.js");
      return () => authCallback(app);
    },
  },
  "/login-success": {
    title: "Connected",
    guard: guards.whenConnected,
    load: withAccess(async () => {
      const { loginSuccess } = await loadPage(import("./pages/login-success.js"), "home");
      return (place) => loginSuccess(app, place);
    }),
  },
  "/bases/:base": base,
  "/bases/:base/:table": base,
  "/bases/:base/:table/:record": base,
  "/reconnect": {
    title: "Reconnect",
    guard: guards.whenEnded,
    load: async () => {
      const { reconnect } = await import("./pages/reconnect.js");
      return (place) => reconnect(app, place);
    },
  },
  "/login-failure": {
    title: "Couldn't connect",
    guard: guards.whenFailed,
    load: async () => {
      const { loginFailure } = await import("./pages/login-failure.js");
      return (place) => loginFailure(app, place);
    },
  },
}, { failed: (failure) => pageTrouble(app, failure), passed: updateBar, changed: isOtherSession });

/** @type {App} */
const app = { oauth, navigate, back, show, recheck, takeQuery, disconnect };

/**
 * A page that needs an access token. If the token in this tab has expired, a page that refreshes it is shown instead.
 *
 * @param {Route["load"]} load
 * @returns {Route["load"]}
 */
function withAccess(load) {
  return async () => {
    const create = await load();
    return async (place) => {
      if (place.context.status !== "renewal_required") return create(place);
      return (await import("./pages/access-expired.js")).accessExpired(app);
    };
  };
}

/** End the connection, and say so on the login page. */
async function disconnect() {
  isDisconnecting = true;
  try {
    await oauth.disconnect();
  } finally {
    isDisconnecting = false;
  }
  await navigate("/", { flash: { disconnected: true } });
}

/** Who is connected, and how to disconnect. @param {Session | null | undefined} current */
async function updateBar(current = null) {
  const before = known;
  known = current;
  const bar = byId("account");
  if (!current) return bar.replaceChildren();
  const isShown = bar.querySelector(".who:not(:empty)") !== null;
  if (isShown && !isOtherSession(before, current)) return;
  const loaded = await loadPage(import("./parts/account.js"), "dialog").catch(() => null); // the next page tries again
  if (loaded && known === current) bar.replaceChildren(loaded.account(app, current));
}

/** @param {string} id */
function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found;
}

oauth.onChange(() => { if (!isDisconnecting) recheck(); }); // also if another tab connects or disconnects
show();
