import { own } from "../own.js";

/** @typedef {import("../airtable-oauth.js").Field} Field */
/** @typedef {import("../airtable-oauth.js").Table} Table */
/** @typedef {{id: string, name?: string, tables: Table[]}} OpenBase */

const MOST_IDS = 100; // of a formula; the address of a longer one might be too long for Airtable

/**
 * The names of linked records. A cell has only their ids.
 *
 * All names that are asked for at the same time are read together: one request for each linked table and 100
 * records, of the primary field alone. Airtable's `cellFormat=string` would need the page a second time, and joins
 * the names with commas, which names may contain.
 *
 * @param {Pick<import("../airtable-oauth.js").AirtableOAuth, "records">} oauth
 * @param {OpenBase} base
 * @param {(field: Field, value: any) => string} textOf The text of a value.
 */
export function createLinks(oauth, base, textOf) {
  /** By table and record. A name is null if the record could not be read. @type {Map<string, Map<string, Promise<string | null>>>} */
  let tables = new Map();
  /** What is asked for at the moment. @type {Map<string, Map<string, (name: string | null) => void>>} */
  const waiting = new Map();
  const leaving = new AbortController();

  /**
   * The names of these records, in the same order.
   *
   * @param {string | undefined} tableId
   * @param {string[]} ids
   * @returns {Promise<(string | null)[]>}
   */
  function names(tableId, ids) {
    if (tableId === undefined) return Promise.resolve(ids.map(() => null));
    const known = tables.get(tableId) ?? new Map();
    tables.set(tableId, known);
    for (const id of ids) {
      if (!known.has(id)) known.set(id, new Promise((resolve) => ask(tableId, id, resolve)));
    }
    return Promise.all(ids.map((id) => known.get(id)));
  }

  /** @param {string} tableId @param {string} id @param {(name: string | null) => void} resolve */
  function ask(tableId, id, resolve) {
    if (waiting.size === 0) queueMicrotask(readAll); // after all cells of a page have asked
    const asked = waiting.get(tableId) ?? new Map();
    waiting.set(tableId, asked.set(id, resolve));
  }

  async function readAll() {
    const wanted = [...waiting];
    waiting.clear();
    for (const [tableId, asked] of wanted) {
      const entries = [...asked];
      for (let start = 0; start < entries.length; start += MOST_IDS) {
        await answer(tableId, entries.slice(start, start + MOST_IDS));
      }
    }
  }

  /** @param {string} tableId @param {[string, (name: string | null) => void][]} asked */
  async function answer(tableId, asked) {
    const known = tables.get(tableId);
    const found = await read(tableId, asked.map(([id]) => id)).catch(() => {
      for (const [id] of asked) known?.delete(id); // the next page asks again
      return new Map();
    });
    for (const [id, resolve] of asked) resolve(found.get(id) ?? null);
  }

  /** @param {string} tableId @param {string[]} ids @returns {Promise<Map<string, string>>} */
  async function read(tableId, ids) {
    const table = base.tables.find((each) => each.id === tableId);
    const primary = table?.fields.find((field) => field.id === table.primaryFieldId);
    if (!primary) return new Map();
    const { records } = await oauth.records.page(base.id, tableId, {
      filterByFormula: formulaFor(ids), fields: [primary.name], signal: leaving.signal,
    });
    return new Map(records.map((record) => [record.id, textOf(primary, own(record.fields, primary.name))]));
  }

  /** Read all names again when they are asked for. */
  function forget() {
    tables = new Map();
  }

  return {
    names,
    forget,
    /** Stop reading names. Call this when the person leaves the base. */
    stop: () => leaving.abort(),
  };
}

/** @typedef {ReturnType<typeof createLinks>} Links */

/** A formula that is true for these records. @param {string[]} ids */
export const formulaFor = (ids) => `OR(${ids.map((id) => `RECORD_ID()="${id}"`).join(",")})`;
