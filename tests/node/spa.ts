// A small app that a reader of docs/frontend.md writes in TypeScript: bases, the first table of one, and an edit.
import { AirtableOAuthError, type AirtableRecord, type Base, type Table } from "./airtable-oauth.js";
import { airtable } from "./airtable.js";

const app = document.querySelector<HTMLElement>("#app")!;
let callback: URLSearchParams | null = null;
let leaving = new AbortController();

if (location.pathname === "/auth-callback") {
  callback = new URLSearchParams(location.search);
  history.replaceState(null, "", "/");
}

async function show(): Promise<void> {
  if (callback) {
    const { returnTo } = await airtable.finish(callback);
    callback = null;
    history.replaceState(null, "", returnTo ?? "/");
  }
  const session = await airtable.session();
  if (session === null || session.status === "reconnect_required") {
    app.replaceChildren(button("Connect Airtable", () => airtable.connect({ returnTo: location.pathname })));
    return;
  }
  const list = document.createElement("ul");
  for (const base of await airtable.bases()) {
    const item = document.createElement("li");
    item.append(button(base.name, () => open(base)));
    list.append(item);
  }
  app.replaceChildren(list, button("Disconnect", () => airtable.disconnect()));
}

async function open(base: Base): Promise<void> {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [table] = await airtable.tables(base.id, { signal });
  if (!table) return;
  const { records, offset } = await airtable.records.page(base.id, table.id, { pageSize: 10, signal });
  const heading = document.createElement("h1");
  heading.textContent = table.name;
  const status = document.createElement("p");
  status.role = "status";
  const rows = records.map((record) => row(base, table, record, status));
  app.replaceChildren(heading, status, ...rows, offset ? "There are more." : "", button("Disconnect", () => airtable.disconnect()));
}

function row(base: Base, table: Table, { id, fields }: AirtableRecord, status: HTMLElement): HTMLElement {
  const name = table.fields.find((field) => field.id === table.primaryFieldId)?.name ?? "";
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.value = String(fields[name] ?? "");
  label.append(name, input);
  const form = document.createElement("div");
  form.append(label, button("Save", async () => {
    await airtable.records.update(base.id, table.id, id, { [name]: input.value || null });
    status.textContent = "Saved.";
  }));
  return form;
}

function fail(failure: unknown): void {
  if (!(failure instanceof AirtableOAuthError)) throw failure;
  const alert = document.createElement("p");
  alert.role = "alert";
  alert.textContent = failure.message;
  app.replaceChildren(alert);
  const { action, retryAfter } = failure;
  if (action === "retry") app.append(button(`Try again in ${retryAfter ?? 0} seconds`, show));
  else callback = null;
  if (action === "restart_login" || action === "reconnect") app.append(button("Connect Airtable", () => airtable.connect()));
}

function button(label: string, act: () => Promise<void>): HTMLButtonElement {
  const made = document.createElement("button");
  made.textContent = label;
  made.addEventListener("click", () => void act().catch(fail));
  return made;
}

airtable.onChange(() => void show().catch(fail));
show().catch(fail);
