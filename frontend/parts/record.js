import { announce, h, setTitle } from "../dom.js";
import { mayBeStored } from "../words.js";
import { columnsOf, textOf, valueOf } from "./cells.js";
import { createDraft } from "./drafts.js";
import { editForm } from "./edit-form.js";
import { editorOf } from "./edit-values.js";
import { beginning } from "./formats.js";
import { showModal } from "./modal.js";
import { recordView, skeleton } from "./record-view.js";
import { trouble } from "./trouble.js";
import { createQuestion, watchLeaving } from "./unsaved.js";

/**
 * @typedef {import("../airtable-oauth.js").AirtableOAuthError} AirtableOAuthError
 * @typedef {import("../airtable-oauth.js").AirtableRecord} AirtableRecord
 * @typedef {import("../airtable-oauth.js").Field} Field
 *
 * @typedef {object} RecordOptions
 * @property {{id: string, permissionLevel?: string}} base
 * @property {import("../airtable-oauth.js").Table} table
 * @property {import("../airtable-oauth.js").Session} session
 * @property {AirtableRecord} [record] It is loaded if it is not given.
 * @property {string} recordId
 * @property {import("./links.js").Links} links The names of linked records.
 * @property {() => void} onClose Called once, when the person has closed it.
 * @property {(record: AirtableRecord) => void} [onChanged] Called with the stored record after each edit.
 */

/**
 * Show a record in full, in a dialog, and let the person edit it if they may.
 *
 * @param {import("../app.js").App} app
 * @param {RecordOptions} options
 * @returns {() => void} Closes it without `onClose`.
 */
export function openRecord(app, options) {
  const { base, table, session, recordId, links, onClose, onChanged } = options;
  const fields = columnsOf(table);
  const draft = createDraft(session, base.id, table.id, recordId);
  const loading = new AbortController();
  const titleBefore = document.title;
  const { dialog, title, body } = frame(table.name, leave);
  /** @type {import("./edit-form.js").EditForm | null} */
  let form = null;
  let isUncertain = false; // whether a change may be stored that is not shown

  async function load() {
    dialog.setAttribute("aria-busy", "true");
    title.textContent = "Loading record…";
    if (body.contains(document.activeElement)) title.focus(); // the button that tries again goes away
    body.replaceChildren(skeleton());
    try {
      show(await read(loading.signal));
    } catch (failure) {
      if (loading.signal.aborted) return;
      title.textContent = "Record";
      body.replaceChildren(h("div", { class: "scroll" },
        trouble(app, "Couldn't load this record.", /** @type {AirtableOAuthError} */ (failure), load)));
    } finally {
      dialog.removeAttribute("aria-busy");
    }
  }

  /** Show what is stored, in place of the form. */
  function reload() {
    form = null;
    draft.forget();
    return load();
  }

  /** Read the record as it is stored. @param {AbortSignal} [signal] */
  async function read(signal) {
    const record = await app.oauth.records.get(base.id, table.id, recordId, { signal });
    if (isUncertain) onChanged?.(record);
    isUncertain = false;
    return record;
  }

  /** @param {AirtableRecord} record */
  function show(record) {
    const typed = draft.read();
    view(record);
    if (typed && isEditable(options, record)) edit(record, typed);
  }

  /** @param {AirtableRecord} record */
  function view(record) {
    form = null;
    draft.forget();
    const [primary, ...others] = fields;
    title.textContent = textOf(primary, valueOf(record, primary));
    setTitle(`${beginning(title.textContent, 100)} · ${table.name}`);
    body.replaceChildren(...recordView({
      fields: others,
      record,
      links,
      address: `https://airtable.com/${base.id}/${table.id}/${record.id}`,
      onEdit: isEditable(options, record) ? () => edit(record) : null,
    }));
  }

  /** @param {AirtableRecord} record @param {import("./drafts.js").Draft | null} [typed] */
  function edit(record, typed = null) {
    form = editForm(app, {
      fields,
      record,
      links,
      draft: typed,
      save,
      onSaved: (stored) => finish(record, stored),
      onCancel: () => ifDiscarded(() => isUncertain ? reload() : backToView(record)),
    });
    body.replaceChildren(form.element);
    form.focus();
  }

  /** @param {Record<string, any>} values @returns {Promise<AirtableRecord>} */
  async function save(values) {
    try {
      return await app.oauth.records.update(base.id, table.id, recordId, values);
    } catch (caught) {
      const failure = /** @type {AirtableOAuthError} */ (caught);
      if (["renew", "reconnect", "restart_login"].includes(failure.action)) keepDraft();
      if (mayBeStored(failure)) isUncertain = true;
      throw failure;
    }
  }

  function keepDraft() {
    if (form?.isChanged()) draft.keep(form.draft());
  }

  /** @param {AirtableRecord} before @param {AirtableRecord} stored */
  function finish(before, stored) {
    if (stored !== before) {
      isUncertain = false;
      onChanged?.(stored);
    }
    if (!dialog.isConnected) return draft.forget();
    if (isUncertain) return reload(); // the person took the change back, and there was nothing to send
    backToView(stored);
    if (stored !== before) announce("Saved");
  }

  /** @param {AirtableRecord} record */
  function backToView(record) {
    view(record);
    /** @type {HTMLElement | null} */ (dialog.querySelector(".edit-record"))?.focus();
  }

  function leave() {
    if (form?.isSaving()) return;
    ifDiscarded(() => {
      if (!dialog.isConnected) return;
      draft.forget();
      if (isUncertain) read().catch(() => {}); // the grid stays as it is
      end(`a[href$="/${CSS.escape(recordId)}"]`, "h1");
      onClose();
    });
  }

  /** @param {...string} refocus */
  function end(...refocus) {
    loading.abort();
    stopWatching();
    document.title = titleBefore;
    close(...refocus);
  }

  const isChanged = () => form !== null && form.isChanged();
  const ifDiscarded = createQuestion(isChanged);
  const stopWatching = watchLeaving(() => dialog.isConnected && isChanged(), leave);
  const close = showModal(dialog, leave);
  if (options.record) show(options.record);
  else load();
  return () => {
    if (!dialog.isConnected) return;
    keepDraft();
    end();
  };
}

/** The dialog, before the record is there. @param {string} tableName @param {() => void} onClose */
function frame(tableName, onClose) {
  const title = h("h2", { id: "record-title", tabindex: "-1", autofocus: true, dir: "auto" });
  const body = h("div", { class: "body" });
  const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { class: "record", "aria-labelledby": "record-title" },
    h("div", { class: "top" },
      h("div", { class: "titles" }, h("p", { class: "table-name", dir: "auto" }, tableName), title),
      h("button", { type: "button", class: "quiet close", "aria-label": "Close", onclick: onClose }, "✕")),
    body,
    h("p", { class: "visually-hidden", "aria-live": "polite", "data-live": true })));
  return { dialog, title, body };
}

/**
 * Whether the person may edit the record, as far as that is known before Airtable decides.
 *
 * @param {RecordOptions} options
 * @param {AirtableRecord} record
 */
const isEditable = ({ session, base, table }, record) => session.scopes.includes("data.records:write")
  && !["comment", "read", "none"].includes(base.permissionLevel ?? "")
  && table.fields.some((field) => editorOf(field, valueOf(record, field)) !== null);
