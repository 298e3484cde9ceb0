/**
 * @typedef {object} Route
 * @property {string} title
 * @property {(state: any, context: any) => HTMLElement} view Makes the page; `state` is what
 *   `navigate` was given, `context` what the guard found.
 * @property {() => Promise<{otherwise?: string, context?: any}>} [guard] Asked before the view is
 *   made: `otherwise` leads elsewhere.
 */

/**
 * Shows the view that belongs to the address.
 *
 * @param {HTMLElement} outlet
 * @param {Record<string, Route>} routes By path; the first is the start.
 * @param {(failure: any) => HTMLElement} trouble What to show when a guard fails.
 */
export function createRouter(outlet, routes, trouble) {
  const start = Object.keys(routes)[0];
  let shown = 0;

  /** Go somewhere. The entry that is left stays in the history unless `replace` is set. */
  function navigate(path, { state = null, replace = false } = {}) {
    history[replace ? "replaceState" : "pushState"](state, "", path);
    return show();
  }

  async function show() {
    const turn = ++shown;
    const { pathname, search } = location;
    const route = routes[pathname];
    if (!route) return navigate(start, { replace: true });
    let element;
    try {
      const { otherwise, context } = await (route.guard?.() ?? {});
      if (turn !== shown) return; // the person went on meanwhile
      if (otherwise) return navigate(otherwise, { state: { from: pathname + search }, replace: true });
      element = route.view(history.state, context);
    } catch (failure) {
      if (turn !== shown) return;
      element = trouble(failure);
    }
    document.title = `${route.title} · Connect Airtable`;
    outlet.replaceChildren(element);
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
