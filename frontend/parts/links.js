import { valueOf } from "./cells.js";

/**
 * The names of linked records. A cell has only their ids.
 *
 * The primary field of each linked table is read once, for its first thousand records. Records
 * beyond these are shown as a count.
 */
export function createLinks(oauth, base) {
  /** @type {Map<string, Promise<Map<string, string>>>} */
  const known = new Map();

  /** The names in a table, by id. */
  function names(tableId) {
    if (!known.has(tableId)) known.set(tableId, read(tableId).catch(() => new Map()));
    return known.get(tableId);
  }

  async function read(tableId) {
    const table = base.tables.find((each) => each.id === tableId);
    const primary = table?.fields.find((field) => field.id === table.primaryFieldId);
    const found = new Map();
    if (!primary) return found;
    let offset;
    for (let page = 0; page < 10; page++) {
      const answer = await oauth.records.page(base.id, tableId, { fields: [primary.name], offset });
      for (const record of answer.records) found.set(record.id, String(valueOf(record, primary) ?? "Unnamed record"));
      offset = answer.offset;
      if (!offset) break;
    }
    return found;
  }

  return { names };
}
