import { createAirtableOAuth } from "./airtable-oauth.js";
import { config } from "./config.js";
import { createRouter } from "./router.js";
import { authCallback } from "./views/auth-callback.js";
import { login } from "./views/login.js";
import { loginFailure } from "./views/login-failure.js";
import { loginSuccess } from "./views/login-success.js";

const oauth = createAirtableOAuth(config);
const connected = () => oauth.session() !== null;

const router = createRouter(document.getElementById("view"), {
  "/": {
    title: "Connect",
    view: (state) => login(app, state),
    allowed: () => !connected(),
    otherwise: "/login-success",
  },
  "/auth-callback": { title: "Connecting", view: () => authCallback(app) },
  "/login-success": {
    title: "Connected",
    view: () => loginSuccess(app),
    allowed: connected,
    otherwise: "/",
  },
  "/login-failure": { title: "Not connected", view: (state) => loginFailure(app, state) },
});

const app = { oauth, navigate: router.navigate };

router.show();
