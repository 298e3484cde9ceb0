import { h } from "../dom.js";
import { grid } from "../parts/grid.js";
import { notAllowed, trouble } from "../parts/trouble.js";

/** A base: a tab for each table, and the records of one of them. */
export function base(app, session, { base: baseId, table: tableId }) {
  const body = h("div", { class: "page" });
  const page = h("div", { class: "page" },
    h("nav", { "aria-label": "Breadcrumb" }, h("a", { class: "back", href: "/login-success" }, "← All bases")), body);

  async function load() {
    body.replaceChildren(h("p", { role: "status" }, "Loading the base…"));
    try {
      const [bases, tables] = await Promise.all([app.oauth.bases(), app.oauth.tables(baseId)]);
      const name = bases.find((each) => each.id === baseId)?.name ?? "Base";
      if (!page.isConnected) return; // the user has left this page
      document.title = `${name} · Connect Airtable`;
      body.replaceChildren(...shown(app, session, { id: baseId, name, tables }, tableId));
    } catch (failure) {
      body.replaceChildren(trouble(app, "This base could not be opened.", failure, load));
    }
  }

  if (session.scopes.includes("schema.bases:read")) load();
  else body.append(notAllowed(app, "This app may not see how bases are built."));
  return page;
}

function shown(app, session, base, tableId) {
  const records = h("div", {});
  const tabs = base.tables.map((table) => h("a", {
    class: "tab", href: `/bases/${base.id}/${table.id}`, onclick: (event) => choose(event, table),
  }, table.name));

  function choose(event, table) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (tabs[base.tables.indexOf(table)].hasAttribute("aria-current")) return; // it is shown already
    history.pushState(null, "", `/bases/${base.id}/${table.id}`);
    show(table);
  }

  function show(table) {
    base.tables.forEach((each, place) => {
      if (each === table) tabs[place].setAttribute("aria-current", "page");
      else tabs[place].removeAttribute("aria-current");
    });
    records.replaceChildren(session.scopes.includes("data.records:read")
      ? grid(app, base, table)
      : notAllowed(app, "This app may not see the data in records."));
  }

  const first = base.tables.find((table) => table.id === tableId) ?? base.tables[0];
  if (first) show(first);
  else records.append(h("p", {}, "This base has no tables."));
  return [
    h("h1", {}, base.name),
    h("nav", { class: "tabs", "aria-label": "Tables" }, ...tabs),
    records,
  ];
}
