/**
 * @typedef {object} Route
 * @property {string} title
 * @property {(state: any, context: any, parameters: Record<string, string>) => HTMLElement} view
 *   Creates the page. `state` was given to `navigate`, `context` was returned by the guard, and
 *   `parameters` are the values of the path's parts that begin with `:`.
 * @property {() => Promise<{otherwise?: string, context?: any}>} [guard] Called before `view`. If it
 *   returns `otherwise`, the router goes to that path instead.
 */

/**
 * Shows the view of the current path.
 *
 * @param {HTMLElement} outlet
 * @param {Record<string, Route>} routes By path, in which `:name` matches any part. The first
 *   is shown for unknown paths.
 * @param {(failure: any) => HTMLElement} trouble What to show when a guard fails.
 */
export function createRouter(outlet, routes, trouble) {
  const start = Object.keys(routes)[0];
  let shown = 0;

  /** Go to a path. With `replace`, the current entry of the history is replaced. */
  function navigate(path, { state = null, replace = false } = {}) {
    history[replace ? "replaceState" : "pushState"](state, "", path);
    return show();
  }

  async function show() {
    const turn = ++shown;
    const { pathname, search } = location;
    const { route, parameters } = find(pathname);
    if (!route) return navigate(start, { replace: true });
    let element;
    try {
      const { otherwise, context } = await (route.guard?.() ?? {});
      if (turn !== shown) return; // the user has left this page
      if (otherwise) return navigate(otherwise, { state: { from: pathname + search }, replace: true });
      element = route.view(history.state, context, parameters);
    } catch (failure) {
      if (turn !== shown) return;
      element = trouble(failure);
    }
    document.title = `${route.title} · Connect Airtable`;
    outlet.replaceChildren(element);
    outlet.focus({ preventScroll: true });
  }

  function find(pathname) {
    const parts = pathname.split("/");
    for (const [path, route] of Object.entries(routes)) {
      const wanted = path.split("/");
      const fits = wanted.length === parts.length
        && wanted.every((name, place) => name === parts[place] || (name.startsWith(":") && parts[place]));
      if (!fits) continue;
      const open = wanted.map((name, place) => [name, parts[place]]).filter(([name]) => name.startsWith(":"));
      return { route, parameters: Object.fromEntries(open.map(([name, value]) => [name.slice(1), decoded(value)])) };
    }
    return {};
  }

  addEventListener("popstate", show);
  addEventListener("pageshow", (event) => event.persisted && show());
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element && event.target.closest("a[href^='/']");
    if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    navigate(link.getAttribute("href"));
  });

  return { navigate, show };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
