import { h, present, setTitle } from "../dom.js";
import { textOf } from "../parts/cells.js";
import { createGrid } from "../parts/grid.js";
import { createLinks } from "../parts/links.js";
import { openRecord } from "../parts/record.js";
import { notAllowed, trouble } from "../parts/trouble.js";

/**
 * @typedef {import("../airtable-oauth.js").Session} Session
 * @typedef {import("../airtable-oauth.js").Table} Table
 * @typedef {{base: string, table?: string, record?: string}} Address What is shown: a base, one of its tables, and a record.
 */

/**
 * A base: a tab for each table, the records of one of them, and one record in full if the address names it.
 *
 * @param {any} app
 * @param {Session} session
 * @param {Address} address
 */
export function base(app, session, address) {
  const baseId = address.base;
  const body = h("div", { class: "page" });
  const element = h("div", { class: "page wide" },
    h("nav", { "aria-label": "Breadcrumb" }, h("a", { class: "back", href: "/login-success" }, "← All bases")), body);
  /** @type {ReturnType<typeof createTables> | null} */
  let tables = null;

  /** Show the base, or why it isn't there. The focus follows, unless the person has gone elsewhere. @param {...HTMLElement} content */
  function showAll(...content) {
    const isWaiting = element.isConnected && [document.body, element.parentElement].includes(/** @type {any} */ (document.activeElement));
    body.replaceChildren(...content);
    if (isWaiting) present(element);
  }

  async function load() {
    body.replaceChildren(h("p", { role: "status" }, "Loading the base…"));
    try {
      const [bases, found] = await Promise.all([app.oauth.bases(), app.oauth.tables(baseId)]);
      if (!element.isConnected) return; // the user has left this page
      const { name = "Base", permissionLevel } = bases.find((/** @type {{id: string}} */ each) => each.id === baseId) ?? {};
      tables = createTables(app, session, { id: baseId, name, permissionLevel, tables: found });
      showAll(...tables.elements);
      tables.show(address);
    } catch (failure) {
      showAll(h("h1", {}, "Couldn't open this base"), trouble(app, "", /** @type {any} */ (failure), load));
    }
  }

  if (session.scopes.includes("schema.bases:read")) load();
  else body.append(unknownBase(), notAllowed(app, session, "schema.bases:read", "This app doesn't have permission to view base structure."));
  return {
    element,
    /** Go to another table or record of this base. Returns false for another base. @param {Address} to */
    follow(to) {
      if (to.base !== baseId) return false;
      address = to;
      tables?.show(address);
      return true;
    },
    leave: () => tables?.leave(),
  };
}

/** The heading if the base's name is not known. */
const unknownBase = () => h("h1", {}, "Base");

/** @param {any} app @param {Session} session @param {import("../parts/links.js").OpenBase & {name: string, permissionLevel?: string}} base */
function createTables(app, session, base) {
  const links = createLinks(app.oauth, base, textOf);
  const records = h("div", {});
  const tabs = base.tables.map((table) =>
    h("a", { class: "tab", href: pathOf(table), dir: "auto" }, table.name));
  /** @type {Table | null} */
  let current = null;
  /** @type {ReturnType<typeof createGrid> | null} */
  let grid = null;
  let closeRecord = () => {};

  /** @param {Table} table @param {string} [recordId] */
  function pathOf(table, recordId) {
    return ["/bases", base.id, table.id, ...(recordId ? [encodeURIComponent(recordId)] : [])].join("/");
  }

  /** @param {Address} address */
  function show({ table: tableId, record: recordId }) {
    closeRecord();
    closeRecord = () => {};
    const [first] = base.tables;
    if (!tableId && first) {
      const isHere = location.pathname === `/bases/${base.id}`; // the person may have gone elsewhere while it was loaded
      if (isHere) app.navigate(pathOf(first), { replace: true });
      return;
    }
    const table = base.tables.find((each) => each.id === tableId);
    setTitle(table ? `${table.name} · ${base.name}` : base.name);
    if (!table) {
      showTable(null);
      records.replaceChildren(h("p", {}, base.tables.length === 0
        ? "This base has no tables."
        : "Couldn't find this table. It may have been deleted."));
      return;
    }
    if (table !== current) showTable(table);
    if (recordId && grid) showRecord(table, recordId);
  }

  /** @param {Table | null} table */
  function showTable(table) {
    grid?.stop();
    grid = null;
    current = table;
    base.tables.forEach((each, place) => {
      if (each === table) {
        tabs[place].setAttribute("aria-current", "page");
        tabs[place].scrollIntoView({ block: "nearest", inline: "nearest" });
      } else tabs[place].removeAttribute("aria-current");
    });
    if (!table) return;
    if (!session.scopes.includes("data.records:read")) {
      records.replaceChildren(notAllowed(app, session, "data.records:read", "This app doesn't have permission to view records."));
      return;
    }
    grid = createGrid(app, {
      base, table, links,
      pathOf: (recordId) => pathOf(table, recordId),
      onOpen: (recordId) => app.navigate(pathOf(table, recordId)),
    });
    records.replaceChildren(grid.element);
  }

  /** @param {Table} table @param {string} recordId */
  function showRecord(table, recordId) {
    closeRecord = openRecord(app, {
      base, table, session, links, recordId,
      record: grid?.find(recordId),
      onChanged: (record) => grid?.replace(record),
      onClose() {
        closeRecord = () => {};
        app.back(pathOf(table));
      },
    });
  }

  return {
    elements: [h("h1", { dir: "auto" }, base.name), h("nav", { class: "tabs", "aria-label": "Tables" }, ...tabs), records],
    show,
    leave() {
      grid?.stop();
      links.stop();
      closeRecord();
    },
  };
}
