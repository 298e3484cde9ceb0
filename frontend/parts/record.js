import { columnsOf, full, valueOf } from "./cells.js";
import { h } from "../dom.js";

/** A dialog that shows a record in full, over the grid. */
export function record(table, found, links) {
  const [primary, ...others] = columnsOf(table);
  const close = () => dialog.close();
  const dialog = h("dialog", { class: "record", "aria-labelledby": "record-title", onclose: () => dialog.remove() },
    h("div", { class: "head" },
      h("h2", { id: "record-title" }, full(primary, valueOf(found, primary), links) ?? "Unnamed record"),
      h("button", { type: "button", onclick: close }, "Close")),
    h("dl", { class: "fields" }, ...others.flatMap((field) => [
      h("dt", {}, field.name),
      h("dd", {}, full(field, valueOf(found, field), links) ?? h("span", { class: "soft" }, "Empty")),
    ])),
    h("p", { class: "soft" }, "Created ", created(found), " · ", h("code", {}, found.id)),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && close()); // outside it
  return dialog;
}

const created = ({ createdTime }) => h("time", { datetime: createdTime },
  new Date(createdTime).toLocaleDateString(undefined, { dateStyle: "long" }));
