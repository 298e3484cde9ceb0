import { h } from "../dom.js";
import { full, valueOf } from "./cells.js";
import { copyButton } from "./copy-button.js";

/**
 * @typedef {import("../airtable-oauth.js").AirtableRecord} AirtableRecord
 * @typedef {import("../airtable-oauth.js").Field} Field
 */

/**
 * The fields of a record, in full, and what can be done with it.
 *
 * @param {object} options
 * @param {Field[]} options.fields
 * @param {AirtableRecord} options.record
 * @param {import("./links.js").Links} options.links
 * @param {string} options.address The record's address in Airtable.
 * @param {(() => void) | null} options.onEdit
 * @returns {HTMLElement[]}
 */
export function recordView({ fields, record, links, address, onEdit }) {
  return [
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Fields" }, // so that the keyboard can scroll it
      h("dl", { class: "fields" }, ...fields.map((field) => h("div", { class: "field" }, ...fieldView(field, record, links)))),
      h("div", { class: "meta" },
        h("p", { class: "soft" }, "Created ", created(record), " · ", h("code", {}, record.id)),
        copyButton("Copy ID", record.id))),
    h("div", { class: "foot" }, h("div", { class: "row" },
      onEdit && h("button", { type: "button", class: "primary edit-record", onclick: onEdit }, "Edit"),
      h("a", { class: "button", href: address, target: "_blank", rel: "noreferrer" },
        "Open in Airtable", h("span", { "aria-hidden": "true" }, " ↗")))),
  ];
}

/**
 * The name and the value of a field.
 *
 * @param {Field} field
 * @param {AirtableRecord} record
 * @param {import("./links.js").Links} links
 * @param {[string, string]} [tags]
 */
export const fieldView = (field, record, links, [name, value] = ["dt", "dd"]) => [
  h(name, { class: "name", dir: "auto" }, field.name),
  h(value, { class: "value", dir: "auto" }, full(field, valueOf(record, field), links) ?? h("span", { class: "soft" }, "Empty")),
];

/** While a record loads. */
export const skeleton = () => h("div", { class: "scroll", "aria-hidden": "true" },
  h("div", { class: "fields" }, ...Array.from({ length: 6 }, () =>
    h("div", { class: "field" }, h("span", { class: "bone" }), h("span", { class: "bone" })))));

/** @param {AirtableRecord} record */
const created = ({ createdTime }) => h("time", { datetime: createdTime },
  new Date(createdTime).toLocaleDateString(undefined, { dateStyle: "long" }));
