/**
 * @typedef {object} Route
 * @property {string} title
 * @property {(state: any) => HTMLElement} view Makes the page; `state` is what `navigate` was given.
 * @property {() => boolean} [allowed] The guard: false leads to `otherwise`.
 * @property {string} [otherwise]
 */

/**
 * Shows the view that belongs to the address.
 *
 * @param {HTMLElement} outlet
 * @param {Record<string, Route>} routes By path; the first is the start.
 */
export function createRouter(outlet, routes) {
  const start = Object.keys(routes)[0];

  /** Go somewhere. The entry that is left stays in the history unless `replace` is set. */
  function navigate(path, { state = null, replace = false } = {}) {
    history[replace ? "replaceState" : "pushState"](state, "", path);
    show();
  }

  function show() {
    const { pathname, search } = location;
    const route = routes[pathname];
    if (!route) return navigate(start, { replace: true });
    if (route.allowed && !route.allowed()) {
      return navigate(route.otherwise ?? start, { state: { from: pathname + search }, replace: true });
    }
    document.title = `${route.title} · Connect Airtable`;
    outlet.replaceChildren(route.view(history.state));
    outlet.focus({ preventScroll: true });
  }

  addEventListener("popstate", show);
  addEventListener("pageshow", (event) => event.persisted && show());
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element && event.target.closest("a[href^='/']");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    navigate(link.getAttribute("href"));
  });

  return { navigate, show };
}
