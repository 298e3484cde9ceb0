import { createClient } from "./client.js";
import { createGuards } from "./guards.js";
import { createRouter } from "./router.js";
import { authCallback } from "./pages/auth-callback.js";
import { base } from "./pages/base.js";
import { login } from "./pages/login.js";
import { loginFailure } from "./pages/login-failure.js";
import { loginSuccess } from "./pages/login-success.js";
import { reconnect } from "./pages/reconnect.js";

const oauth = await createClient();

const guards = createGuards(oauth);
const router = createRouter(document.getElementById("view"), {
  "/": { title: "Connect", view: (state) => login(app, state), guard: guards.whenAnonymous },
  "/auth-callback": { title: "Connecting", view: () => authCallback(app) },
  "/login-success": {
    title: "Connected",
    view: (_, session) => loginSuccess(app, session),
    guard: guards.whenConnected,
  },
  "/bases/:base": {
    title: "Base",
    view: (_, session, parameters) => base(app, session, parameters),
    guard: guards.whenConnected,
  },
  "/bases/:base/:table": {
    title: "Base",
    view: (_, session, parameters) => base(app, session, parameters),
    guard: guards.whenConnected,
  },
  "/reconnect": {
    title: "Connect again",
    view: (state, session) => reconnect(app, session, state),
    guard: guards.whenEnded,
  },
  "/login-failure": { title: "Not connected", view: (state) => loginFailure(app, state) },
}, (failure) => loginFailure(app, { ...failure, from: location.pathname + location.search }));

const app = { oauth, navigate: router.navigate };

router.show();
