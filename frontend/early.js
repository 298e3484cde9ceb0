/** Asks for the session while the browser loads the other scripts. */

import { createClient } from "./client.js";
import { config } from "./config.js";
import { rememberConnection } from "./first-view.js";

/** @type {import("./app.js").App["oauth"]} */
export const oauth = await createClient();

/** The callback route makes a session, so there the answer would be out of date. */
let early = location.pathname === "/auth-callback" ? null : oauth.session();
early?.catch(() => {}); // the caller of `session` gets the failure

/** The session. The first call gets the answer to the request that is sent already. */
export async function session() {
  const asked = early ?? oauth.session();
  early = null;
  const answer = await asked;
  rememberConnection(answer !== null, config.tokens === "browser" ? "sessionStorage" : "localStorage");
  return answer;
}
