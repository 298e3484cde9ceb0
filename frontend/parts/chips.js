import { h } from "../dom.js";
import { firstCharacter } from "./formats.js";

/** @typedef {import("./cells.js").Content} Content */

const MOST = 3; // items of a cell in the grid; the number of the others follows
const FRAME = 3.5; // the space around a chip's text, in characters
const MORE = 4; // the space for the number of the others
const PICTURE = 5; // the width of a small picture

/**
 * The items of a value, on one line.
 *
 * @template T
 * @param {T[]} values
 * @param {(value: T) => Content} show
 * @param {number} room In characters.
 */
export function chips(values, show, room) {
  const shown = fitting(values.map(lengthOf), room);
  return h("span", { class: "chips" }, ...values.slice(0, shown).map(show).map(chip), more(values.length - shown));
}

/**
 * How many items fit on a line: at least one. On an endless line, all do.
 *
 * @param {number[]} lengths In characters.
 * @param {number} room
 */
export function fitting(lengths, room) {
  if (room === Infinity) return lengths.length;
  let count = 0;
  let used = 0;
  while (count < Math.min(MOST, lengths.length)) {
    used += lengths[count] + FRAME;
    const isLast = count + 1 === lengths.length;
    if (count > 0 && used + (isLast ? 0 : MORE) > room) break;
    count++;
  }
  return count;
}

/** @param {any} value */
const lengthOf = (value) => typeof value === "string" ? value.length
  : value?.name?.length ?? (value?.thumbnails ? PICTURE : value?.filename?.length) ?? PICTURE;

/** @param {number} rest */
const more = (rest) => rest > 0 && h("span", { class: "more", title: `${rest} more` }, `+${rest}`);

/** Text gets a chip around it. An element stays as it is. @param {Content} content */
const chip = (content) => typeof content === "string" ? h("span", { class: "chip", dir: "auto" }, content) : content;

/** An option of a select. @param {string} name @param {{options?: any}} field */
export function option(name, { options }) {
  const colour = options?.choices?.find((/** @type {any} */ choice) => choice.name === name)?.color;
  return h("span", { class: "chip option", dir: "auto", "data-colour": colour?.match(/^[a-z]+/)[0] }, name);
}

/** @param {{id: string, name?: string, email?: string}} user */
export function person({ id, name, email }) {
  const shown = name ?? email ?? id;
  return h("span", { class: "chip person", dir: "auto", "data-initial": firstCharacter(shown).toLocaleUpperCase() }, shown);
}

/**
 * Linked records: placeholders, which the names replace once they are loaded.
 *
 * @param {string[]} ids
 * @param {{options?: any}} field
 * @param {import("./cells.js").Place} place
 */
export function linked(ids, field, { links, room }) {
  const wanted = room === Infinity ? ids : ids.slice(0, MOST);
  const rest = ids.length - wanted.length;
  const element = h("span", { class: "chips" }, ...wanted.map(() => link("…")), more(rest));
  links?.names(field.options?.linkedTableId, wanted).then((names) => element.replaceChildren(...named(names, rest, room).filter(isNode)));
  return element;
}

/** @param {(string | null)[]} names Null if it could not be read. @param {number} rest @param {number} room */
function named(names, rest, room) {
  const known = names.filter(isText);
  const unknown = names.length - known.length;
  if (known.length === 0) return [unnamed(unknown + rest)];
  const shown = fitting(known.map((name) => name.length), rest > 0 ? room - MORE : room);
  const hidden = more(rest + known.length - shown);
  return [...known.slice(0, shown).map(link), unknown > 0 && unnamed(unknown), hidden];
}

/** @param {string} name */
const link = (name) => h("span", { class: "chip link", dir: "auto" }, name);

/** @param {string | null} name @returns {name is string} */
const isText = (name) => name !== null;

/** Records whose names could not be read. @param {number} count */
const unnamed = (count) => link(`${count} linked ${count === 1 ? "record" : "records"}`);

/** @param {HTMLElement | false} node @returns {node is HTMLElement} */
const isNode = (node) => node !== false;
