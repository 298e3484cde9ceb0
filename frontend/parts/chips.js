import { h } from "../dom.js";
import { firstCharacter } from "./formats.js";

/** @typedef {import("./cells.js").Content} Content */

const MOST = 4; // of a cell in the grid; the number of the others follows

/**
 * The items of a value in a row.
 *
 * @template T
 * @param {T[]} values
 * @param {(value: T) => Content} show
 * @param {boolean} isFull
 */
export function chips(values, show, isFull) {
  const { shown, rest } = cut(values, isFull);
  return h("span", { class: "chips" }, ...shown.map(show).map(chip), more(rest));
}

/** What fits in a cell, and how many do not. @template T @param {T[]} values @param {boolean} isFull */
function cut(values, isFull) {
  const shown = isFull ? values : values.slice(0, MOST);
  return { shown, rest: values.length - shown.length };
}

/** @param {number} rest */
const more = (rest) => rest > 0 && h("span", { class: "more", title: `${rest} more` }, `+${rest}`);

/** Text among other items is set apart. @param {Content} content */
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
export function linked(ids, field, { links, isFull }) {
  const { shown, rest } = cut(ids, isFull);
  const element = h("span", { class: "chips" }, ...shown.map(() => h("span", { class: "chip link" }, "…")), more(rest));
  links?.names(field.options?.linkedTableId, shown).then((names) => {
    const unknown = names.filter((name) => name === null).length;
    const known = names.filter((name) => name !== null);
    element.replaceChildren(
      ...known.map((name) => h("span", { class: "chip link", dir: "auto" }, name)),
      ...[unknown > 0 && unnamed(known.length === 0 ? ids.length : unknown), known.length > 0 && more(rest)].filter(isNode),
    );
  });
  return element;
}

/** Records whose names could not be read. @param {number} count */
const unnamed = (count) => h("span", { class: "chip link" }, `${count} linked ${count === 1 ? "record" : "records"}`);

/** @param {Node | false} node @returns {node is Node} */
const isNode = (node) => node !== false;
