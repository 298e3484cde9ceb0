// What a person has typed and not saved. It is kept in this tab if a save fails because the access or the connection
// has ended, or if the record closes before the page could ask. It is shown again when the same record is opened.

/** @typedef {Record<string, string | boolean>} Draft The state of the changed controls, by the id of their field. */

/**
 * @param {{user: {id: string} | null}} session The draft of another user is not shown.
 * @param {...string} place The ids of base, table and record.
 */
export function createDraft(session, ...place) {
  const key = ["draft", ...place].join(" ");
  const user = session.user?.id ?? null;
  return {
    /** @param {Draft} draft */
    keep: (draft) => attempt((storage) => storage.setItem(key, JSON.stringify({ user, draft }))),
    /** @returns {Draft | null} */
    read() {
      const kept = JSON.parse(attempt((storage) => storage.getItem(key)) ?? "null");
      const isOthers = user !== null && kept !== null && kept.user !== null && kept.user !== user;
      return kept === null || isOthers ? null : kept.draft;
    },
    forget: () => attempt((storage) => storage.removeItem(key)),
  };
}

/** Forget them all, at a disconnect: the next person at this tab may be another one. */
export function forgetDrafts() {
  attempt((storage) => {
    for (const key of Object.keys(storage)) if (key.startsWith("draft ")) storage.removeItem(key);
  });
}

/** @template T @param {(storage: Storage) => T} use @returns {T | null} */
function attempt(use) {
  try {
    return use(sessionStorage);
  } catch {
    return null; // it is full or blocked: nothing is kept
  }
}
