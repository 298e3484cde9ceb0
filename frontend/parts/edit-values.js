/** @typedef {import("../airtable-oauth.js").Field} Field */

const TEXTS = new Set(["singleLineText", "multilineText", "email", "url", "phoneNumber"]);
const NUMBERS = new Set(["number", "currency", "percent"]);
/** A number in JavaScript keeps this many digits. */
const MOST_DIGITS = 15;

/**
 * How a field is edited. Null if it is not edited here: Airtable computes it, its type has no form yet, or its
 * value has a shape that Airtable does not document.
 *
 * @param {Field} field
 * @param {unknown} value
 * @returns {"text" | "number" | "checkbox" | "select" | null}
 */
export function editorOf({ type, options }, value) {
  const isEmpty = value === undefined || value === null;
  if (TEXTS.has(type)) return isEmpty || typeof value === "string" ? "text" : null;
  if (NUMBERS.has(type)) return isEmpty || typeof value === "number" ? "number" : null;
  if (type === "checkbox") return "checkbox";
  if (type === "singleSelect" && Array.isArray(options?.choices)) {
    return isEmpty || typeof value === "string" ? "select" : null;
  }
  return null;
}

/**
 * A number as a person types it, with every digit that it has. A percentage is a hundred times its value.
 *
 * @param {Field} field
 * @param {number | null | undefined} value
 * @param {string} [locale] The browser's by default.
 */
export function numberText(field, value, locale) {
  if (value === undefined || value === null) return "";
  const text = String(field.type === "percent" ? shifted(value, 2) : value);
  if (!/^-?\d+(\.\d+)?$/.test(text)) return text; // 1e+21
  const [whole, decimals = ""] = text.split(".");
  const shown = decimals.padEnd(precisionOf(field) ?? 0, "0");
  return shown ? `${whole}${marks(locale).decimal}${shown}` : whole;
}

/**
 * The number that a person has typed: `1,234.50`, `-$5`, `35%`. Null if it is empty.
 *
 * @param {Field} field
 * @param {string} text
 * @param {string} [locale] The browser's by default.
 * @returns {{value: number | null} | {problem: string}}
 */
export function parseNumber(field, text, locale) {
  const { group, decimal } = marks(locale);
  const precision = precisionOf(field);
  const bare = bareNumber(field, withLatinDigits(text, locale));
  if (bare === "") return { value: null };
  const [sign, digits] = bare.startsWith("-") ? ["-", bare.slice(1)] : ["", bare];
  const [whole, decimals = "", ...rest] = digits.split(decimal);
  if (rest.length > 0 || !isWhole(whole, group) || !/^\d*$/.test(decimals) || !/\d/.test(digits)) {
    return { problem: precision === 0 ? "Enter a whole number." : `Enter a number, such as ${(1234.5).toLocaleString(locale)}.` };
  }
  if (precision !== undefined && decimals.replace(/0+$/, "").length > precision) {
    const places = precision === 1 ? "decimal place" : "decimal places";
    return { problem: precision === 0 ? "Enter a whole number." : `Use at most ${precision} ${places}.` };
  }
  const plain = `${whole.split(group).join("")}.${decimals}`;
  if (plain.replace(".", "").replace(/^0+|0+$/g, "").length > MOST_DIGITS) {
    return { problem: `Use at most ${MOST_DIGITS} digits.` };
  }
  return { value: Number(`${sign}0${plain}0e${field.type === "percent" ? -2 : 0}`) + 0 }; // + 0: not -0
}

/** Without the field's symbol, spaces, and apostrophes between thousands. @param {Field} field @param {string} text */
function bareNumber({ type, options }, text) {
  const symbol = type === "percent" ? "%" : type === "currency" ? options?.symbol : null;
  const rest = symbol ? text.split(symbol).join("") : text;
  return rest.replace(/[\s'’\u061c\u200e\u200f]/g, "").replace("−", "-"); // with marks of the writing direction
}

/** A text with Latin digits and their marks, also if the language writes numbers with digits of its own. @param {string} text @param {string} [locale] */
function withLatinDigits(text, locale) {
  const digits = new Intl.NumberFormat(locale, { useGrouping: false }).format(9876543210);
  if (digits === "9876543210") return text;
  const [own, latin] = [marks(locale, {}), marks(locale)];
  const replaced = new Map([[own.decimal, latin.decimal], [own.group, latin.group]]);
  [...digits].forEach((digit, place) => replaced.set(digit, String(9 - place)));
  return [...text].map((character) => replaced.get(character) ?? character).join("");
}

/** Whether the digits before the decimal point have no groups, or valid ones. @param {string} text @param {string} group */
function isWhole(text, group) {
  const parts = text.split(group);
  if (!parts.every((part) => /^\d*$/.test(part))) return false;
  return parts.length === 1 || (/^\d{1,3}$/.test(parts[0]) && parts.slice(1, -1).every((part) => /^\d{2,3}$/.test(part))
    && /^\d{3}$/.test(parts[parts.length - 1]));
}

/** How many decimals Airtable shows. @param {Field} field @returns {number | undefined} */
function precisionOf({ type, options }) {
  return options?.precision ?? (type === "currency" ? 2 : type === "percent" ? 0 : undefined);
}

/** The number with its decimal point moved, without the errors of a multiplication. @param {number} value @param {number} places */
function shifted(value, places) {
  return /e/.test(String(value)) ? value * 10 ** places : Number(`${value}e${places}`);
}

/**
 * How a language writes numbers: with Latin digits or, if `digits` is empty, with its own.
 *
 * @param {string} [locale]
 * @param {{numberingSystem?: string}} [digits]
 */
function marks(locale, digits = { numberingSystem: "latn" }) {
  const parts = new Intl.NumberFormat(locale, digits).formatToParts(1234567.5);
  /** @param {string} type @param {string} otherwise */
  const mark = (type, otherwise) => parts.find((part) => part.type === type)?.value ?? otherwise;
  const group = mark("group", ",");
  return { group: /\s/.test(group) ? "\u00a0" : group, decimal: mark("decimal", ".") };
}
