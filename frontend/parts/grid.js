import { announce, h, refill } from "../dom.js";
import { button } from "./button.js";
import { createListing, nextSort } from "./listing.js";
import { createPager, rangeInWords } from "./pager.js";
import { createSheet } from "./sheet.js";
import { expiredList, trouble } from "./trouble.js";

/**
 * @typedef {import("./listing.js").Page} Page
 * @typedef {import("./listing.js").Wanted} Wanted
 * @typedef {import("../airtable-oauth.js").AirtableRecord} AirtableRecord
 */

/**
 * The records of a table, one page at a time.
 *
 * @param {any} app
 * @param {object} options
 * @param {import("./links.js").OpenBase} options.base
 * @param {import("../airtable-oauth.js").Table} options.table
 * @param {import("./links.js").Links} options.links
 * @param {(recordId: string) => string} options.pathOf
 * @param {(recordId: string) => void} options.onOpen
 */
export function createGrid(app, { base, table, links, pathOf, onOpen }) {
  /** @type {Page | null} */
  let shown = null;
  const listing = createListing((options) => app.oauth.records.page(base.id, table.id, options));
  const sheet = createSheet({ table, links, pathOf, onOpen, onSort });
  const pager = createPager((step) => load({ number: (shown?.number ?? 0) + step, sort: shown?.sort ?? null }));
  const updated = h("p", {});
  const place = h("div", {}, h("p", { class: "padded soft" }, "Loading records…"));
  const element = h("section", { class: "card flush", "aria-label": table.name },
    h("div", { class: "toolbar" }, updated,
      button("Refresh", refresh, { kind: "quiet" }),
      h("a", { class: "elsewhere", href: `https://airtable.com/${base.id}/${table.id}`, target: "_blank", rel: "noreferrer" },
        "Open in Airtable")),
    place, pager.element);
  pager.element.hidden = true;

  function refresh() {
    links.forget();
    return load({ number: shown?.number ?? 0, sort: shown?.sort ?? null, isFresh: true });
  }

  /** @param {string} field */
  function onSort(field) {
    return load({ number: 0, sort: nextSort(shown?.sort ?? null, field), isFresh: true });
  }

  /** @param {Wanted} wanted */
  async function load(wanted) {
    wait(true);
    try {
      const page = await listing.page(wanted);
      if (page === null) return; // a later request replaced this one, and ends the waiting
      if (page !== shown) show(page);
    } catch (failure) {
      fail(/** @type {any} */ (failure), wanted);
    }
    wait(false);
  }

  /** @param {boolean} isBusy */
  function wait(isBusy) {
    element.setAttribute("aria-busy", String(isBusy));
    pager.wait(isBusy);
  }

  /** @param {Page} page */
  function show(page) {
    shown = page;
    sheet.show(page.records, page.sort);
    const isEmpty = page.records.length === 0 && page.number === 0;
    const content = isEmpty ? h("p", { class: "padded soft" }, "This table has no records yet.") : sheet.element;
    const hadFocus = place.contains(document.activeElement) && content !== place.firstChild;
    if (content !== place.firstChild) place.replaceChildren(content); // what stays in the page stays scrolled
    if (hadFocus && !isEmpty) sheet.focus();
    updated.replaceChildren("Updated ", time(page.readAt));
    pager.element.hidden = isEmpty;
    pager.show(page);
    announce(rangeInWords(page));
  }

  /** @param {import("../airtable-oauth.js").AirtableOAuthError} failure @param {Wanted} wanted */
  function fail(failure, wanted) {
    const isStale = failure.code === "LIST_RECORDS_ITERATOR_NOT_AVAILABLE";
    const what = isStale
      ? expiredList(() => load({ number: 0, sort: wanted.sort, isFresh: true }))
      : trouble(app, "Couldn't load records.", failure, () => load(wanted));
    if (shown) pager.fail(what);
    else refill(place, h("div", { class: "padded" }, what));
  }

  load({ number: 0, sort: null });
  return {
    element,
    stop: listing.stop,
    /** The record, if it is on the page that is shown. @param {string} recordId */
    find: (recordId) => shown?.records.find((each) => each.id === recordId),
    /** Show a record's new values. @param {AirtableRecord} record */
    replace(record) {
      if (!shown) return;
      shown.records = shown.records.map((each) => each.id === record.id ? record : each);
      sheet.replace(record);
    },
  };
}

/** @param {Date} date */
const time = (date) => h("time", { datetime: date.toISOString() },
  date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" }));
