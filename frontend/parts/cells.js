import { h } from "../dom.js";
import { own } from "../own.js";
import { chips, option, person, linked } from "./chips.js";
import { roomOf } from "./columns.js";
import { outside, picture, thumbnail } from "./files.js";
import {
  beginning, formatCurrency, formatDay, formatDuration, formatMoment, formatNumber, formatPercent,
} from "./formats.js";

// How each field type is shown. The shapes of the values: airtable.com/developers/web/api/field-model

/**
 * @typedef {import("../airtable-oauth.js").AirtableRecord} AirtableRecord
 * @typedef {import("../airtable-oauth.js").Table} Table
 * @typedef {import("./links.js").Links} Links
 * @typedef {{type: string, name?: string, options?: any}} Field
 * @typedef {Node | string | null} Content
 * @typedef {{links: Links | null, room: number}} Place Where a value is shown, and the characters for which there is room.
 */

export const UNNAMED = "Unnamed record";
const COMPUTED = new Set(["formula", "rollup", "multipleLookupValues", "lookup"]);
/** @type {Record<string, string>} */
const RATINGS = { heart: "♥", thumbsUp: "👍", flag: "⚑", dot: "●" };

/** @type {Record<string, (value: any, field: Field, place: Place) => Content>} */
const SHOWN = {
  checkbox: (value) => value ? h("span", { class: "check", role: "img", "aria-label": "Yes" }, "✓") : null,
  singleSelect: (value, field) => option(value, field),
  multipleSelects: (value, field, place) => chips(value, (name) => option(name, field), place.room),
  externalSyncSource: (value, field) => option(value.name ?? value, field),
  number: (value, { options }) => formatNumber(value, options?.precision),
  count: (value) => formatNumber(value),
  autoNumber: (value) => String(value),
  percent: (value, { options }) => formatPercent(value, options?.precision),
  currency: (value, { options }) => formatCurrency(value, options),
  duration: (value, { options }) => formatDuration(value, options?.durationFormat),
  rating: (value, { options }) => rating(value, options),
  date: (value, { options }) => time(value, formatDay(value, options)),
  dateTime: (value, { options }) => time(value, formatMoment(value, options), options?.timeZone),
  createdTime: (value, { options }) => stamp(value, options?.result),
  lastModifiedTime: (value, { options }) => stamp(value, options?.result),
  email: (value) => h("a", { href: `mailto:${encodeURIComponent(value).replace("%40", "@")}` }, value),
  phoneNumber: (value) => h("a", { href: `tel:${value.replace(/[^+\d]/g, "")}` }, value),
  url: (value) => outside(value, value),
  singleCollaborator: (value) => person(value),
  createdBy: (value) => person(value),
  lastModifiedBy: (value) => person(value),
  multipleCollaborators: (value, _, place) => chips(value, person, place.room),
  multipleRecordLinks: (value, field, place) => linked(value, field, place),
  multipleAttachments: (value, _, place) => chips(value, thumbnail, place.room),
  barcode: (value) => value.text ?? null,
  button: (value) => value.url ? outside(value.url, value.label ?? value.url) : value.label ?? null,
  aiText: (value) => value.value ?? null,
};

/** The value of a record in a field; undefined if the cell is empty. @param {AirtableRecord} record @param {{name: string}} field */
export const valueOf = (record, field) => own(record.fields, field.name);

/** The fields of a table, the primary one first. @param {Table} table */
export function columnsOf(table) {
  const primary = table.fields.filter((field) => field.id === table.primaryFieldId);
  return [...primary, ...table.fields.filter((field) => field.id !== table.primaryFieldId)];
}

/**
 * The content of a cell in the grid: small, on one line. Null if the cell is empty.
 *
 * @param {Field} field
 * @param {any} value
 * @param {Links | null} links
 * @returns {Content}
 */
export function cell(field, value, links) {
  const content = show(field, value, { links, room: roomOf(field) });
  return typeof content === "string" ? beginning(content) : content;
}

/** The content of a cell in an open record, in full. @param {Field} field @param {any} value @param {Links | null} links @returns {Content} */
export function full(field, value, links) {
  if (field.type === "multipleAttachments" && value?.length) {
    return h("div", { class: "gallery" }, ...value.map(picture));
  }
  if (field.type === "checkbox") return value ? "Yes" : "No";
  const content = show(field, value, { links, room: Infinity });
  return typeof content === "string" ? h("span", { class: "text", dir: "auto" }, content) : content;
}

/** The text of a value, such as a record's name. @param {Field} field @param {any} value */
export function textOf(field, value) {
  const content = show(field, value, { links: null, room: Infinity });
  return (typeof content === "string" ? content : content?.textContent) || UNNAMED;
}

/** @param {Field} field @param {any} value @param {Place} place @returns {Content} */
function show(field, value, place) {
  if (value === undefined || value === null || value === "") return null;
  try {
    if (COMPUTED.has(field.type)) return computed(field, value, place);
    const known = own(SHOWN, field.type);
    return known ? known(value, field, place) : plain(value);
  } catch {
    return plain(value); // a shape that Airtable does not document
  }
}

/** @param {Field} field @param {any} value @param {Place} place @returns {Content} */
function computed(field, value, place) {
  if (typeof value === "object" && !Array.isArray(value)) {
    return h("span", { class: "soft" }, value.error ?? value.specialValue ?? plain(value));
  }
  const result = field.options?.result ?? { type: "singleLineText" };
  const one = COMPUTED.has(result.type) ? { type: "singleLineText" } : result;
  const isList = Array.isArray(value) && !(own(SHOWN, result.type) && result.type.startsWith("multiple"));
  return isList
    ? chips(value.filter((each) => each !== null), (each) => show(one, each, place), place.room)
    : show(one, value, place);
}

/** @param {any} value @returns {string} */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** @param {number} value @param {{icon?: string, max?: number}} [options] */
function rating(value, { icon = "star", max = 5 } = {}) {
  const sign = own(RATINGS, icon) ?? "★";
  return h("span", { class: "rating", role: "img", "aria-label": `${value} of ${max}` },
    sign.repeat(value), h("span", { class: "faint" }, sign.repeat(Math.max(0, max - value))));
}

/** @param {string} value @param {string} text @param {string} [timeZone] */
const time = (value, text, timeZone) =>
  h("time", { datetime: value, title: timeZone && timeZone !== "client" ? `${text} (${timeZone})` : null }, text);

/** When a record was created or changed. @param {string} value @param {{type?: string, options?: any}} [result] */
const stamp = (value, { type, options } = {}) => type === "date"
  ? time(value, formatDay(value, options)) : time(value, formatMoment(value, options), options?.timeZone);
