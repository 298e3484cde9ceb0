/** The first script of every page: it asks for the session while the browser loads the others. */

import { createClient } from "./client.js";

/** @type {import("./app.js").App["oauth"]} */
export const oauth = await createClient();

/** The callback route makes a session, so there the answer would be out of date. */
let early = location.pathname === "/auth-callback" ? null : oauth.session();
early?.catch(() => {}); // the caller of `session` gets the failure

/** The session. The first call gets the answer to the request that is sent already. */
export function session() {
  const answer = early ?? oauth.session();
  early = null;
  return answer;
}
