import { h } from "../dom.js";
import { editorOf, numberText, parseNumber } from "./edit-values.js";

/**
 * @typedef {import("../airtable-oauth.js").Field} Field
 * @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Control
 *
 * @typedef {object} EditField A field of the form.
 * @property {Field} field
 * @property {HTMLElement} element
 * @property {() => boolean} isChanged Whether it differs from the record.
 * @property {() => {value: any} | {problem: string}} read What to send to Airtable, or why it cannot be sent.
 * @property {(problem: string | null) => void} setProblem Show what is wrong beside the control.
 * @property {() => string | boolean} state What was typed.
 * @property {(state: string | boolean) => void} restore
 * @property {() => void} focus
 */

/** @type {Record<string, Record<string, any>>} */
const KEYBOARDS = {
  email: { inputmode: "email", autocapitalize: "off", spellcheck: "false" },
  url: { inputmode: "url", autocapitalize: "off", spellcheck: "false" },
  phoneNumber: { inputmode: "tel" },
  number: { inputmode: "decimal" },
  currency: { inputmode: "decimal" },
  percent: { inputmode: "decimal" },
};

/**
 * A label, a control and what is wrong with its value. Null if the field is not edited here.
 *
 * @param {Field} field
 * @param {any} value
 * @returns {EditField | null}
 */
export function editField(field, value) {
  const editor = editorOf(field, value);
  if (editor === null) return null;
  const id = `edit-${field.id}`;
  const control = controlOf(editor, field, value, { id, "aria-describedby": `${id}-problem` });
  const initial = stateOf(control); // not `value`: a control may change line ends
  const problem = h("p", { id: `${id}-problem`, class: "problem" });

  /** @param {string | null} text */
  function setProblem(text) {
    problem.textContent = text;
    if (text === null) control.removeAttribute("aria-invalid");
    else control.setAttribute("aria-invalid", "true");
  }

  control.addEventListener("input", () => setProblem(null));
  return {
    field,
    element: editor === "checkbox"
      ? h("div", {}, h("label", { class: "field boxed" }, h("span", {}, field.name), control), problem) // one wide target
      : h("div", { class: "field" },
        h("label", { for: id, dir: "auto" }, field.name),
        h("div", { class: "edit" }, withUnit(field, control), problem)),
    isChanged: () => stateOf(control) !== initial,
    read: () => readingOf(editor, field, control),
    setProblem,
    state: () => stateOf(control),
    restore: (state) => setState(control, state),
    focus: () => control.focus(),
  };
}

/** @param {Control} control @returns {control is HTMLInputElement} */
const isCheckbox = (control) => control instanceof HTMLInputElement && control.type === "checkbox";

/** @param {Control} control */
const stateOf = (control) => isCheckbox(control) ? control.checked : control.value;

/** @param {Control} control @param {string | boolean} state */
function setState(control, state) {
  if (isCheckbox(control)) control.checked = state === true;
  else control.value = String(state);
}

/**
 * @param {NonNullable<ReturnType<typeof editorOf>>} editor
 * @param {Field} field
 * @param {any} value
 * @param {Record<string, any>} attributes
 * @returns {Control}
 */
function controlOf(editor, field, value, attributes) {
  if (editor === "select") return selectOf(field, value, attributes);
  const given = { ...attributes, ...KEYBOARDS[field.type], autocomplete: "off", dir: "auto" };
  if (field.type === "multilineText") {
    const area = /** @type {HTMLTextAreaElement} */ (h("textarea", { ...given, rows: 4 }));
    area.value = value ?? "";
    return area;
  }
  const type = editor === "checkbox" ? "checkbox" : "text"; // an input of the type email or url changes its value
  const input = /** @type {HTMLInputElement} */ (h("input", { ...given, type }));
  if (editor === "checkbox") input.checked = value === true;
  else input.value = editor === "number" ? numberText(field, value) : value ?? "";
  return input;
}

/** @param {Field} field @param {string | null | undefined} value @param {Record<string, any>} attributes */
function selectOf(field, value, attributes) {
  /** @type {string[]} */
  const names = field.options.choices.map((/** @type {{name: string}} */ choice) => choice.name);
  if (value && !names.includes(value)) names.unshift(value); // it was removed in the meantime
  const select = /** @type {HTMLSelectElement} */ (h("select", attributes,
    h("option", { value: "" }, "Empty"), ...names.map((name) => h("option", { value: name }, name))));
  select.value = value ?? "";
  return select;
}

/** The control, with the symbol of a currency or percentage beside it. @param {Field} field @param {Control} control */
function withUnit({ type, options }, control) {
  const unit = type === "percent" ? "%" : type === "currency" ? options?.symbol : null;
  if (!unit) return control;
  control.setAttribute("aria-describedby", `${control.id}-unit ${control.getAttribute("aria-describedby")}`);
  const shown = h("span", { id: `${control.id}-unit`, class: "unit" }, unit);
  return h("div", { class: "with-unit" }, ...(type === "percent" ? [control, shown] : [shown, control]));
}

/**
 * @param {NonNullable<ReturnType<typeof editorOf>>} editor
 * @param {Field} field
 * @param {Control} control
 * @returns {{value: any} | {problem: string}}
 */
function readingOf(editor, field, control) {
  if (editor === "checkbox") return { value: stateOf(control) };
  if (editor === "number") return parseNumber(field, control.value);
  return { value: control.value === "" ? null : control.value };
}
