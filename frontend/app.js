import { createClient } from "./client.js";
import { createRouter } from "./router.js";
import { authCallback } from "./pages/auth-callback.js";
import { base } from "./pages/base.js";
import { login } from "./pages/login.js";
import { loginFailure } from "./pages/login-failure.js";
import { loginSuccess } from "./pages/login-success.js";
import { reconnect } from "./pages/reconnect.js";

const oauth = await createClient();

/** The guard of a page for users without a connection. Others are sent to their connection's page. */
async function whenAnonymous() {
  return (await oauth.session()) ? { otherwise: "/login-success" } : {};
}

/** The guard of a page that needs a connection. Other users are sent to the page where they connect or reconnect. */
async function whenConnected() {
  const session = await oauth.session();
  if (!session) return { otherwise: "/" };
  return session.status === "reconnect_required" ? { otherwise: "/reconnect" } : { context: session };
}

async function whenEnded() {
  const session = await oauth.session();
  if (!session) return { otherwise: "/" };
  return session.status === "reconnect_required" ? { context: session } : { otherwise: "/login-success" };
}

const router = createRouter(document.getElementById("view"), {
  "/": { title: "Connect", view: (state) => login(app, state), guard: whenAnonymous },
  "/auth-callback": { title: "Connecting", view: () => authCallback(app) },
  "/login-success": {
    title: "Connected",
    view: (_, session) => loginSuccess(app, session),
    guard: whenConnected,
  },
  "/bases/:base": {
    title: "Base",
    view: (_, session, parameters) => base(app, session, parameters),
    guard: whenConnected,
  },
  "/bases/:base/:table": {
    title: "Base",
    view: (_, session, parameters) => base(app, session, parameters),
    guard: whenConnected,
  },
  "/reconnect": {
    title: "Connect again",
    view: (state, session) => reconnect(app, session, state),
    guard: whenEnded,
  },
  "/login-failure": { title: "Not connected", view: (state) => loginFailure(app, state) },
}, (failure) => loginFailure(app, { ...failure, from: location.pathname + location.search }));

const app = { oauth, navigate: router.navigate };

router.show();
