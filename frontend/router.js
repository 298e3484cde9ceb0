import { present } from "./dom.js";
import { findRoute } from "./routes.js";

/**
 * Where the user is.
 *
 * @typedef {object} Place
 * @property {string} path With the query.
 * @property {Record<string, string>} parameters The values of the path's parts that begin with `:`.
 * @property {any} state Given to `navigate`. It stays with the entry of the history.
 * @property {any} flash Given to `navigate`, for one view: a reload or the back button does not see it.
 * @property {any} context Returned by the guard.
 */

/**
 * What a guard decides: the page's context, or the path to go to instead.
 *
 * @typedef {object} Passage
 * @property {any} [context]
 * @property {string} [otherwise]
 * @property {any} [state]
 * @property {any} [flash]
 */

/**
 * @typedef {object} Page
 * @property {HTMLElement} element
 * @property {(parameters: any) => boolean} [follow] Called with the values of a new path that has the same route.
 *   Returns whether the page shows it now; otherwise the page is created again.
 * @property {() => void} [leave] Called when another page takes its place.
 */

/**
 * @typedef {object} Route
 * @property {string} title For as long as the page has no heading.
 * @property {() => Promise<(place: Place) => HTMLElement | Page | Promise<HTMLElement | Page>>} load Loads the page's modules, and returns the
 *   function that creates it.
 * @property {(place: Place) => Promise<Passage>} [guard] Asked before the page is created.
 */

/**
 * @typedef {object} Options
 * @property {(failure: any) => HTMLElement} failed Creates what is shown if a guard fails or a page cannot be loaded.
 * @property {(context: any) => void} passed Told what the guard of the page returned.
 * @property {(before: any, now: any) => boolean} changed Whether a page must be created again for another context.
 */

const PATIENCE = 300; // milliseconds until a skeleton takes the place of the page before

/**
 * Shows the page of the current path. Nothing else touches the history.
 *
 * @param {HTMLElement} outlet What it contains at the start stays until the first page is there.
 * @param {HTMLElement} skeleton What is shown while a later page is being loaded.
 * @param {Record<string, Route>} routes By path. The first is shown for unknown paths.
 * @param {Options} options
 */
export function createRouter(outlet, skeleton, routes, { failed, passed, changed }) {
  const start = Object.keys(routes)[0] ?? "/";
  let turn = 0;
  /** @type {any} What the guard of the page before returned. */
  let last = null;
  let isNew = false; // whether the page should begin at its top
  let patience = 0;
  let isWaiting = false; // whether a page is being created
  let hasShown = false; // whether the first page is there
  /** @type {{route: Route, page: Page, place: Place} | null} Null if a failure is shown. */
  let current = null;
  /** @type {Promise<boolean> | null} */
  let checking = null;

  /**
   * Go to a path.
   *
   * @param {string} path
   * @param {{state?: any, flash?: any, replace?: boolean}} [options] With `replace`, or if the path is the
   *   current one, the current entry of the history is replaced.
   */
  function navigate(path, { state = null, flash = null, replace = false } = {}) {
    const here = pathOf(location);
    if (replace || path === here) history.replaceState({ ...history.state, state, flash }, "", path);
    else history.pushState({ state, flash, previous: here }, "", path);
    isNew = true;
    return follow();
  }

  /** Go back to a path if the user came from there. Otherwise replace the current one. @param {string} path */
  function back(path) {
    if (history.state?.previous === path) history.back();
    else navigate(path, { replace: true });
  }

  /** Remove the query from the address and the history. Returns it. */
  function takeQuery() {
    const query = new URLSearchParams(location.search);
    history.replaceState(history.state, "", location.pathname);
    return query;
  }

  /** Show the current path: in the page that is there, if it can. */
  function follow() {
    const found = here();
    if (!current || found?.route !== current.route || !current.page.follow?.(found.place.parameters)) return show();
    turn++;
    isNew = false;
    settle();
    current.place = { ...found.place, context: current.place.context };
    return Promise.resolve();
  }

  /** Create the page of the current path, after its guard. @returns {Promise<void>} */
  async function show() {
    const mine = ++turn;
    const found = here();
    if (!found) return navigate(start, { replace: true });
    const { route, place } = found;
    wait();
    try {
      const loading = route.load();
      loading.catch(() => {}); // it does not matter if the guard leads elsewhere
      const passage = await ask(route, place);
      if (mine !== turn) return;
      if (passage.otherwise) return await redirect(passage.otherwise, passage);
      const create = await loading;
      if (mine !== turn) return;
      const placed = { ...place, context: passage.context };
      const page = asPage(await create(placed));
      if (mine !== turn) return;
      last = passage.context;
      passed(last);
      put(page.element, route.title);
      if (history.state?.flash) history.replaceState({ ...history.state, flash: null }, "");
      current = { route, page, place: placed };
    } catch (failure) {
      if (mine === turn) put(failed(failure), route.title);
    }
  }

  /**
   * Ask the guard of the current page again. Returns whether another page is shown or loading, so that the caller has
   * nothing left to do. Calls at the same time share one check.
   *
   * @returns {Promise<boolean>}
   */
  function recheck() {
    checking ??= check().finally(() => { checking = null; });
    return checking;
  }

  async function check() {
    if (!current) return false;
    const { route, page, place } = current;
    const passage = await ask(route, place).catch(() => null); // no answer: the page stays
    if (isWaiting || current?.page !== page) return true;
    if (!passage) return false;
    if (passage.otherwise) {
      await redirect(passage.otherwise, passage);
      return true;
    }
    if (!changed(place.context, passage.context)) return false;
    await show();
    return true;
  }

  /**
   * A guard leads elsewhere. `hasEnded` tells the page there whether the page before had a context, such as a session.
   *
   * @param {string} path
   * @param {Passage} passage
   */
  function redirect(path, { state, flash }) {
    const hasEnded = Boolean(last);
    return navigate(path, { state, flash: { ...flash, hasEnded }, replace: true });
  }

  /** @param {HTMLElement} element It may be shown already, with the focus in it. @param {string} title */
  function put(element, title) {
    settle();
    hasShown = true;
    const isShown = element.isConnected;
    if (!isShown) clear(element);
    if (isNew) scrollTo(0, 0);
    isNew = false;
    present(outlet, title, { focus: !isShown });
  }

  /** Say that a page is being loaded, at first without a change to the page before. */
  function wait() {
    clearTimeout(patience);
    isWaiting = true;
    if (!hasShown) return; // what the document shows stays: its skeleton, or the login page
    outlet.setAttribute("aria-busy", "true");
    patience = setTimeout(() => clear(skeleton), PATIENCE);
  }

  /** @param {HTMLElement} content */
  function clear(content) {
    current?.page.leave?.();
    current = null;
    outlet.replaceChildren(content);
  }

  function settle() {
    clearTimeout(patience);
    isWaiting = false;
    outlet.removeAttribute("aria-busy");
  }

  function here() {
    const found = findRoute(routes, location.pathname);
    const { state = null, flash = null } = history.state ?? {};
    return found && {
      route: found.route,
      place: { path: pathOf(location), parameters: found.parameters, state, flash, context: null },
    };
  }

  addEventListener("popstate", follow);
  addEventListener("pageshow", (event) => event.persisted && show());
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element && event.target.closest("a[href^='/']");
    if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(link.getAttribute("href") ?? start);
  });

  return { navigate, back, show, recheck, takeQuery };
}

/** @param {{pathname: string, search: string}} location */
const pathOf = ({ pathname, search }) => pathname + search;

/** @param {Route} route @param {Place} place @returns {Promise<Passage>} */
const ask = async (route, place) => (await route.guard?.(place)) ?? {};

/** @param {HTMLElement | Page} made @returns {Page} */
const asPage = (made) => made instanceof HTMLElement ? { element: made } : made;
