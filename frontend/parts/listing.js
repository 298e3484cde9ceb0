/**
 * @typedef {import("../airtable-oauth.js").AirtableRecord} AirtableRecord
 * @typedef {import("../airtable-oauth.js").RecordPage} RecordPage
 * @typedef {{field: string, direction: "asc" | "desc"} | null} Sort
 * @typedef {{number: number, sort: Sort, isFresh?: boolean}} Wanted A page, counted from 0. `isFresh`: begin a
 *   new listing, and read its pages from the first to this one.
 * @typedef {{records: AirtableRecord[], number: number, sort: Sort, hasNext: boolean, readAt: Date}} Page
 */

/**
 * The pages of a table. Each page's offset is in the answer that has the page before.
 *
 * @param {(options: {offset?: string, sort?: {field: string, direction: "asc" | "desc"}[], signal: AbortSignal}) => Promise<RecordPage>} read
 */
export function createListing(read) {
  /** Where each page begins, as far as pages were read. @type {(string | undefined)[]} */
  let offsets = [undefined];
  /** @type {{key: string, controller: AbortController, result: Promise<Page | null>} | null} */
  let current = null;

  /**
   * Read a page. The call before is cancelled and resolves to null, unless it asks for the same: then both get the
   * same answer. If a call fails, the pages that are known stay known.
   *
   * @param {Wanted} wanted
   * @returns {Promise<Page | null>}
   */
  function page(wanted) {
    const key = JSON.stringify(wanted);
    if (current?.key === key) return current.result;
    current?.controller.abort();
    const controller = new AbortController();
    const result = attempt(wanted, controller.signal).finally(() => {
      if (current?.controller === controller) current = null;
    });
    current = { key, controller, result };
    return result;
  }

  /** @param {Wanted} wanted @param {AbortSignal} signal */
  async function attempt(wanted, signal) {
    try {
      const found = await walk(wanted, signal);
      return signal.aborted ? null : found;
    } catch (failure) {
      if (signal.aborted) return null;
      throw failure;
    }
  }

  /** @param {Wanted} wanted @param {AbortSignal} signal @returns {Promise<Page>} */
  async function walk({ number, sort, isFresh = false }, signal) {
    const known = isFresh ? [undefined] : [...offsets];
    for (let at = isFresh ? 0 : number; ; at++) {
      const { records, offset } = await read({ offset: known[at], sort: sort ? [sort] : undefined, signal });
      known[at + 1] = offset;
      if (at < number && offset) continue;
      if (!signal.aborted) offsets = known.slice(0, at + 2);
      return { records, number: at, sort, hasNext: offset !== undefined, readAt: new Date() };
    }
  }

  /** Cancel what is being read. */
  const stop = () => current?.controller.abort();

  return { page, stop };
}

/** The next sort after a click on a column's heading: ascending, descending, none. @param {Sort} sort @param {string} field @returns {Sort} */
export function nextSort(sort, field) {
  if (sort?.field !== field) return { field, direction: "asc" };
  return sort.direction === "asc" ? { field, direction: "desc" } : null;
}
