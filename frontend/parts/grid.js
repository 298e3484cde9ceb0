import { cell, columnsOf, isNumeric, valueOf } from "./cells.js";
import { h } from "../dom.js";
import { createLinks } from "./links.js";
import { record } from "./record.js";
import { trouble } from "./trouble.js";

/** The records of a table, one page at a time. A click on a record opens it in full. */
export function grid(app, base, table) {
  const links = createLinks(app.oauth, base);
  /** The offset at which each page begins, as far as pages have been loaded. */
  const offsets = [undefined];
  const section = h("section", { class: "card flush", "aria-label": table.name });
  let number = 0;

  async function load(wanted) {
    section.setAttribute("aria-busy", "true");
    for (const button of section.querySelectorAll(".pager button")) button.disabled = true;
    if (!section.hasChildNodes()) section.append(h("p", { class: "padded", role: "status" }, "Loading records…"));
    try {
      const page = await app.oauth.records.page(base.id, table.id, { offset: offsets[wanted] });
      number = wanted;
      offsets[wanted + 1] = page.offset;
      section.replaceChildren(...shown(page.records));
    } catch (failure) {
      const stale = failure.code === "LIST_RECORDS_ITERATOR_NOT_AVAILABLE";
      const again = () => {
        section.replaceChildren();
        load(stale ? 0 : wanted);
      };
      section.replaceChildren(h("div", { class: "padded" }, trouble(app, "The records did not come.", failure, again)));
    } finally {
      section.removeAttribute("aria-busy");
    }
  }

  function shown(records) {
    if (records.length === 0 && number === 0) {
      return [h("p", { class: "padded soft" }, "This table has no records yet.")];
    }
    return [
      h("div", { class: "sheet", role: "region", tabindex: "0", "aria-label": `Records of ${table.name}` },
        h("table", {},
          h("thead", {}, h("tr", {}, ...columns.map((field) =>
            h("th", { scope: "col", class: isNumeric(field) ? "number" : null }, field.name)))),
          h("tbody", {}, ...records.map(row)),
        )),
      pager(records.length),
    ];
  }

  function row(found) {
    return h("tr", {}, ...columns.map((field, place) => {
      const content = cell(field, valueOf(found, field), links);
      if (place > 0) return h("td", { class: isNumeric(field) ? "number" : null }, content);
      return h("th", { scope: "row" }, h("button", {
        type: "button", class: "open", onclick: () => open(found),
      }, content ?? "Unnamed record"));
    }));
  }

  function open(found) {
    const dialog = record(table, found, links);
    section.append(dialog);
    dialog.showModal();
  }

  function pager(count) {
    if (number === 0 && !offsets[1]) {
      return h("p", { class: "pager soft", role: "status" }, count === 1 ? "1 record" : `${count} records`);
    }
    const first = number * 100 + 1;
    return h("div", { class: "pager" },
      h("p", { role: "status" }, count === 0 ? "No more records" : `Records ${first}–${first + count - 1}`),
      h("div", { class: "row" },
        h("button", { type: "button", disabled: number === 0, onclick: () => load(number - 1) }, "Previous"),
        h("button", { type: "button", disabled: !offsets[number + 1], onclick: () => load(number + 1) }, "Next")),
    );
  }

  const columns = columnsOf(table);
  load(0);
  return section;
}
