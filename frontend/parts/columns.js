/** @typedef {import("../airtable-oauth.js").Field} Field */

const NUMBERS = new Set(["number", "percent", "currency", "duration", "count", "autoNumber"]);
/** Airtable cannot sort by these, or not in an order that a person would expect. */
const UNSORTABLE = new Set(["multipleAttachments", "multipleRecordLinks", "button"]);

/** Widths in rem, by type. @type {Record<string, number>} */
const WIDTHS = {
  checkbox: 7, rating: 8, number: 8, percent: 7, count: 7, autoNumber: 7, currency: 9, duration: 8,
  date: 9, dateTime: 13, createdTime: 13, lastModifiedTime: 13, phoneNumber: 11,
  singleSelect: 10, barcode: 10, button: 9, singleCollaborator: 12, createdBy: 12, lastModifiedBy: 12,
  multilineText: 18, richText: 18, aiText: 18, multipleSelects: 15, multipleRecordLinks: 14, multipleCollaborators: 16,
};
const OTHER = 12;
const LIST = 14; // of a lookup, which is a list
const LONG_DATE = 3; // added if the month is spelled out
const FIRST = 16;
const MOST_FOR_NAME = 13;

/** The type of a field's values: for a computed one, that of its result. @param {{type: string, options?: any}} field @returns {string} */
const typeOf = (field) => field.options?.result?.type ?? field.type;

/** Whether a column holds numbers, whose digits are aligned. @param {Field} field */
export const isNumeric = (field) => field.type !== "multipleLookupValues" && NUMBERS.has(typeOf(field));

/** Whether Airtable can sort by a field. @param {Field} field */
export const isSortable = (field) => !UNSORTABLE.has(field.type);

/** A column has room for its values and, as a rule, for its name. @param {Field} field */
const widthOf = (field) => Math.max(valueWidthOf(field), Math.min(2.5 + field.name.length * .55, MOST_FOR_NAME));

/** @param {{type: string, options?: any}} field */
function valueWidthOf(field) {
  const options = field.options?.result?.options ?? field.options;
  const width = (WIDTHS[typeOf(field)] ?? OTHER) + (options?.dateFormat?.format === "LL" ? LONG_DATE : 0);
  return field.type === "multipleLookupValues" ? Math.max(width, LIST) : width;
}

/** For how many characters of chips a cell has room. @param {{type: string, options?: any}} field */
export const roomOf = (field) => 2 * valueWidthOf(field) - 3;

/**
 * The columns of a grid as CSS: their widths, and the total. All rows must have the same widths, so these do not
 * depend on what is in a row.
 *
 * @param {Field[]} fields
 */
export function tracksOf(fields) {
  const widths = fields.map((field, place) => place === 0 ? FIRST : widthOf(field));
  const [first = FIRST, ...others] = widths;
  return {
    tracks: [`minmax(var(--first), ${first}fr)`, ...others.map((width) => `minmax(${width}rem, ${width}fr)`)].join(" "),
    width: `calc(var(--first) + ${others.reduce((sum, width) => sum + width, 0)}rem)`,
  };
}
