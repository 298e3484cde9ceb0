/**
 * @typedef {import("./airtable-oauth.js").Session} Session
 * @typedef {import("./router.js").Place} Place
 * @typedef {import("./router.js").Passage} Passage
 * @typedef {(place: Place) => Promise<Passage>} Guard
 */

const HOME = "/login-success";

/**
 * The guards of the pages. Each decides whether its page may be shown. A guard that asks for the session and gets
 * no answer fails: it does not guess.
 *
 * @param {{session: () => Promise<Session | null>}} oauth
 */
export function createGuards(oauth) {
  return {
    /** For users without a connection. @type {Guard} */
    async whenAnonymous({ state }) {
      return (await oauth.session()) ? { otherwise: state?.from ?? HOME } : {};
    },

    /** For a page that needs a connection. Other users are sent to the page where they connect or reconnect. @type {Guard} */
    async whenConnected({ path }) {
      const session = await oauth.session();
      if (!session) return { otherwise: "/", state: { from: path } };
      return isEnded(session) ? { otherwise: "/reconnect", state: { from: path } } : { context: session };
    },

    /**
     * For the redirect from Airtable. After a reload the parameters are gone, and the login may be finished: the guard of
     * `/` asks for the session.
     *
     * @type {Guard}
     */
    async whenReturning({ path }) {
      return path.includes("?") ? {} : { otherwise: "/" };
    },

    /** For a connection that has ended. @type {Guard} */
    async whenEnded({ state }) {
      const session = await oauth.session();
      if (!session) return { otherwise: "/", state };
      return isEnded(session) ? { context: session } : { otherwise: state?.from ?? HOME };
    },

    /** For a login that failed. If an earlier connection still works, the bases are shown instead. @type {Guard} */
    async whenFailed({ state, flash }) {
      if (!state?.failure) return { otherwise: "/" };
      const session = await oauth.session();
      if (!session || isEnded(session)) return { context: session };
      return { otherwise: HOME, flash: flash?.isNew && { failure: state.failure } };
    },
  };
}

/** @param {Session} session */
const isEnded = (session) => session.status === "reconnect_required";

/**
 * Whether a page would show something else for this session. A user who becomes known later is not another one.
 *
 * @param {Session | null | undefined} before
 * @param {Session | null | undefined} now
 */
export function isOtherSession(before, now) {
  if (!before || !now) return Boolean(before) !== Boolean(now);
  const isOtherUser = before.user !== null && now.user !== null && before.user.id !== now.user.id;
  return isOtherUser || shownOf(before) !== shownOf(now);
}

/** @param {Session} session */
const shownOf = ({ scopes, status }) => JSON.stringify([scopes, status === "renewal_required"]);
