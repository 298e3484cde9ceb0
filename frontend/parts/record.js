import { columnsOf, full, textOf, valueOf } from "./cells.js";
import { h } from "../dom.js";
import { trouble } from "./trouble.js";

/**
 * Show a record in full, in a dialog over the grid. Returns a function that closes it without `onClose`.
 *
 * @param {any} app
 * @param {any} options
 */
export function openRecord(app, { base, table, record: given, recordId, links, onClose }) {
  const close = h("button", { type: "button", onclick: () => leave() }, "Close");
  const dialog = h("dialog", { class: "record", "aria-labelledby": "record-title" });
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && leave()); // outside it

  async function load() {
    dialog.replaceChildren(h("div", { class: "head" }, h("h2", { id: "record-title" }, "Loading record…"), close));
    try {
      fill(await app.oauth.records.get(base.id, table.id, recordId));
    } catch (failure) {
      dialog.append(trouble(app, "Couldn't load this record.", failure, load));
    }
  }

  function fill(record) {
    const [primary, ...others] = columnsOf(table);
    dialog.replaceChildren(
      h("div", { class: "head" }, h("h2", { id: "record-title", dir: "auto" }, textOf(primary, valueOf(record, primary))), close),
      h("dl", { class: "fields" }, ...others.flatMap((field) => [
        h("dt", {}, field.name),
        h("dd", {}, full(field, valueOf(record, field), links) ?? h("span", { class: "soft" }, "Empty")),
      ])),
      h("p", { class: "soft" }, "Created ", created(record), " · ", h("code", {}, record.id)),
    );
  }

  function end() {
    dialog.close();
    dialog.remove();
  }

  function leave() {
    if (!dialog.isConnected) return;
    end();
    onClose();
  }

  if (given) fill(given);
  else load();
  (document.querySelector("main") ?? document.body).append(dialog);
  dialog.showModal();
  return end;
}

const created = ({ createdTime }) => h("time", { datetime: createdTime },
  new Date(createdTime).toLocaleDateString(undefined, { dateStyle: "long" }));
