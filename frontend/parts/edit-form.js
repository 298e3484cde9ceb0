import { h } from "../dom.js";
import { own } from "../own.js";
import { failedSave, refusedValue } from "../words.js";
import { valueOf } from "./cells.js";
import { editField } from "./edit-field.js";
import { failureText } from "./failure.js";
import { fieldView } from "./record-view.js";
import { trouble } from "./trouble.js";

/**
 * @typedef {import("../airtable-oauth.js").AirtableOAuthError} AirtableOAuthError
 * @typedef {import("../airtable-oauth.js").AirtableRecord} AirtableRecord
 * @typedef {import("../airtable-oauth.js").Field} Field
 * @typedef {import("./edit-field.js").EditField} EditField
 *
 * @typedef {object} EditForm
 * @property {HTMLFormElement} element
 * @property {() => boolean} isChanged Whether something was typed that is not stored.
 * @property {() => boolean} isSaving
 * @property {() => import("./drafts.js").Draft} draft What was typed and is not stored.
 * @property {() => void} focus
 */

/**
 * A form for the fields of a record. Those that cannot be edited here are shown.
 *
 * @param {import("../app.js").App} app
 * @param {object} options
 * @param {Field[]} options.fields
 * @param {AirtableRecord} options.record
 * @param {import("./links.js").Links} options.links
 * @param {(fields: Record<string, any>) => Promise<AirtableRecord>} options.save Stores the changed fields, by id.
 * @param {(record: AirtableRecord) => void} options.onSaved With the record itself if nothing was changed.
 * @param {() => void} options.onCancel
 * @param {import("./drafts.js").Draft | null} [options.draft] What was typed before.
 * @returns {EditForm}
 */
export function editForm(app, { fields, record, links, save, onSaved, onCancel, draft = null }) {
  const shown = fields.map((field) => ({ field, edited: editField(field, valueOf(record, field)) }));
  const edits = shown.flatMap(({ edited }) => edited ?? []);
  const rows = h("div", { class: "fields" }, ...shown.map(({ field, edited }) =>
    edited?.element ?? h("div", { class: "field fixed" }, ...fieldView(field, record, links, ["p", "div"]))));
  const failed = h("div", { class: "failed" });
  const button = h("button", { type: "submit", class: "primary" }, "Save");
  let isSaving = false;

  /** @param {boolean} value */
  function setSaving(value) {
    isSaving = value;
    rows.toggleAttribute("inert", value); // what is typed now would not be sent
    button.textContent = value ? "Saving…" : "Save";
    for (const name of ["aria-busy", "aria-disabled"]) { // `disabled` would lose the focus
      if (value) button.setAttribute(name, "true");
      else button.removeAttribute(name);
    }
  }

  async function submit() {
    if (isSaving) return;
    const changed = edits.filter((edit) => edit.isChanged());
    const values = valuesOf(changed);
    failed.replaceChildren();
    if (values === null) return;
    if (changed.length === 0) return onSaved(record);
    button.focus();
    setSaving(true);
    try {
      const stored = await save(values);
      setSaving(false);
      onSaved(stored);
    } catch (caught) {
      setSaving(false);
      showFailure(/** @type {AirtableOAuthError} */ (caught), changed);
    }
  }

  /** @param {AirtableOAuthError} failure @param {EditField[]} changed */
  function showFailure(failure, changed) {
    const refused = refusedField(failure, changed);
    if (refused) {
      refused.setProblem(refusedValue(failure));
      return refused.focus();
    }
    if (failure.action === "retry") { // the button has the focus, and sends the same values again
      button.textContent = "Try again";
      failed.replaceChildren(failureText(failedSave(failure), failure));
    } else failed.replaceChildren(trouble(app, failedSave(failure), failure, readyAgain));
  }

  /** The access token is new: the person can save now. */
  function readyAgain() {
    failed.replaceChildren();
    button.focus();
  }

  const element = /** @type {HTMLFormElement} */ (h("form", { novalidate: true, "aria-label": "Edit record" },
    h("div", { class: "scroll" }, rows),
    h("div", { class: "foot" }, failed,
      h("div", { class: "row" }, button, h("button", { type: "button", onclick: () => isSaving || onCancel() }, "Cancel")))));
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  const restored = edits.filter(({ field }) => own(draft ?? {}, field.id) !== undefined);
  for (const edit of restored) edit.restore(own(draft ?? {}, edit.field.id));
  if (restored.length > 0) failed.append(h("p", { class: "notice" }, "These changes aren't saved yet."));
  return {
    element,
    draft: () => Object.fromEntries(edits.filter((edit) => edit.isChanged()).map((edit) => [edit.field.id, edit.state()])),
    isChanged: () => edits.some((edit) => edit.isChanged()),
    isSaving: () => isSaving,
    focus: () => edits[0].focus(),
  };
}

/**
 * The values to send, by the id of their field. If one is wrong, null, and its field says so.
 *
 * @param {EditField[]} changed
 * @returns {Record<string, any> | null}
 */
function valuesOf(changed) {
  /** @type {EditField[]} */
  const wrong = [];
  /** @type {Record<string, any>} */
  const values = {};
  for (const edit of changed) {
    const reading = edit.read();
    edit.setProblem("problem" in reading ? reading.problem : null);
    if ("problem" in reading) wrong.push(edit);
    else values[edit.field.id] = reading.value;
  }
  wrong[0]?.focus();
  return wrong.length > 0 ? null : values;
}

/**
 * The field whose value Airtable has refused, if that can be told. Airtable's message has the name or id of the field,
 * or the name of the option that a field does not have. If only one changed field is possible, it is that one.
 *
 * @param {AirtableOAuthError} failure
 * @param {EditField[]} changed
 */
function refusedField({ code, message }, changed) {
  if (code === "INVALID_VALUE_FOR_COLUMN") {
    return changed.find(({ field }) => message.includes(`"${field.name}"`) || message.includes(field.id))
      ?? (changed.length === 1 ? changed[0] : undefined);
  }
  if (code !== "INVALID_MULTIPLE_CHOICE_OPTIONS") return undefined;
  const selects = changed.filter(({ field }) => field.type === "singleSelect");
  return selects.find((edit) => {
    const reading = edit.read();
    return "value" in reading && message.includes(`"${reading.value}"`);
  }) ?? (selects.length === 1 ? selects[0] : undefined);
}
