import { h, refill } from "../dom.js";
import { cell, columnsOf, textOf, valueOf } from "./cells.js";
import { isNumeric, isSortable, tracksOf } from "./columns.js";
import { beginning } from "./formats.js";
import { scrollTogether } from "./sideways.js";

/**
 * @typedef {import("../airtable-oauth.js").AirtableRecord} AirtableRecord
 * @typedef {import("../airtable-oauth.js").Field} Field
 * @typedef {import("./listing.js").Sort} Sort
 */

/** CSS lays out the table's parts as blocks, so their roles must be said. */
const role = (/** @type {string} */ name) => ({ role: name });

/**
 * A table of records. Its head stays in sight while the page scrolls; head and body scroll sideways together.
 *
 * @param {object} options
 * @param {import("../airtable-oauth.js").Table} options.table
 * @param {import("./links.js").Links} options.links
 * @param {(recordId: string) => string} options.pathOf The address of a record.
 * @param {(recordId: string) => void} options.onOpen
 * @param {(field: string) => void} options.onSort
 */
export function createSheet({ table, links, pathOf, onOpen, onSort }) {
  const columns = columnsOf(table);
  const headings = columns.map((field) => heading(field, onSort));
  const head = h("thead", role("rowgroup"), h("tr", role("row"), ...headings));
  const body = h("tbody", { ...role("rowgroup"), tabindex: "0" });
  const element = h("div", { class: "sheet" },
    h("table", { ...role("table"), "aria-label": `Records of ${table.name}` }, head, body));
  const { tracks, width } = tracksOf(columns);
  element.style.setProperty("--tracks", tracks);
  element.style.setProperty("--width", width);
  scrollTogether(element, head, body);
  body.addEventListener("click", (event) => open(event, onOpen));

  /** @param {AirtableRecord} record */
  const row = (record) => h("tr", { ...role("row"), "data-id": record.id }, ...columns.map((field, place) => {
    const value = valueOf(record, field);
    return place === 0
      ? h("th", { ...role("rowheader"), scope: "row" },
        h("a", { class: "open", dir: "auto", href: pathOf(record.id) }, beginning(textOf(field, value))))
      : h("td", { ...role("cell"), class: isNumeric(field) ? "number" : null, dir: "auto" }, cell(field, value, links));
  }));

  /** @param {string} recordId */
  const find = (recordId) => [...body.children].find((each) => each.getAttribute("data-id") === recordId);

  return {
    element,
    /** @param {AirtableRecord[]} records @param {Sort} sort */
    show(records, sort) {
      body.replaceChildren(...records.map(row));
      columns.forEach((field, place) => markSort(headings[place], field, sort));
    },
    focus: () => body.focus({ preventScroll: true }),
    /** Show a record's new values. @param {AirtableRecord} record */
    replace(record) {
      const before = find(record.id);
      if (before) refill(/** @type {HTMLElement} */ (before), ...row(record).childNodes);
    },
  };
}

/** @param {Field} field @param {(field: string) => void} onSort */
function heading(field, onSort) {
  const name = h("span", { dir: "auto" }, field.name);
  return h("th", { ...role("columnheader"), scope: "col", class: isNumeric(field) ? "number" : null, title: field.name },
    isSortable(field) ? h("button", { type: "button", class: "sort", onclick: () => onSort(field.name) }, name) : name);
}

/** @param {HTMLElement} th @param {Field} field @param {Sort} sort */
function markSort(th, field, sort) {
  if (!isSortable(field)) return;
  const isSorted = sort?.field === field.name;
  th.setAttribute("aria-sort", !isSorted ? "none" : sort.direction === "asc" ? "ascending" : "descending");
}

/** A click anywhere in a row opens its record, as its link does. @param {MouseEvent} event @param {(recordId: string) => void} onOpen */
function open(event, onOpen) {
  const target = /** @type {Element} */ (event.target);
  const row = target.closest("tr");
  const link = /** @type {HTMLAnchorElement | null | undefined} */ (row?.querySelector(".open"));
  const inner = target.closest("a, button");
  if (!row || !link || event.shiftKey || event.altKey || (inner && inner !== link)) return;
  if (event.ctrlKey || event.metaKey) {
    if (!inner) window.open(link.href, "_blank", "noopener");
    return;
  }
  const selection = getSelection();
  if (!inner && selection && !selection.isCollapsed && selection.containsNode(row, true)) return; // to copy it
  event.preventDefault();
  link.focus({ preventScroll: true }); // where the focus returns to
  onOpen(row.getAttribute("data-id") ?? "");
}
