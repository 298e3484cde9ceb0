/**
 * @typedef {import("./airtable-oauth.js").Session} Session
 * @typedef {object} Passage What a guard decides: the page's context, or the path to go to instead.
 * @property {string} [otherwise]
 * @property {Session} [context]
 */

/**
 * The guards of the pages. Each asks for the session, and decides whether its page may be shown.
 *
 * @param {{session: () => Promise<Session | null>}} oauth
 */
export function createGuards(oauth) {
  return {
    /** For users without a connection. Others are sent to their connection's page. @returns {Promise<Passage>} */
    async whenAnonymous() {
      return (await oauth.session()) ? { otherwise: "/login-success" } : {};
    },

    /** For a page that needs a connection. Other users are sent to the page where they connect or reconnect. @returns {Promise<Passage>} */
    async whenConnected() {
      const session = await oauth.session();
      if (!session) return { otherwise: "/" };
      return session.status === "reconnect_required" ? { otherwise: "/reconnect" } : { context: session };
    },

    /** For a connection that has ended. @returns {Promise<Passage>} */
    async whenEnded() {
      const session = await oauth.session();
      if (!session) return { otherwise: "/" };
      return session.status === "reconnect_required" ? { context: session } : { otherwise: "/login-success" };
    },
  };
}
