/**
 * The first script. The login page is a template in the document, so a browser that remembers no connection can show
 * it at once, while the other scripts are loading and the session is asked for.
 */

/** @typedef {"localStorage" | "sessionStorage"} Place */

const CONNECTED = "connect-airtable:connected";
/** @type {Place[]} */
const PLACES = ["localStorage", "sessionStorage"];

const view = /** @type {HTMLElement} */ (document.getElementById("view"));
const { state, flash } = history.state ?? {};

/** What the document shows while it is loading. */
export const skeleton = /** @type {HTMLElement} */ (view.firstElementChild);

/** @type {HTMLElement | null} The login page that is shown already. */
let shown = null;

if (location.pathname === "/" && !state && !flash && !wasConnected()) show();

/** The login page: the one that is shown already, or a new one. Its button is busy if it has already been clicked. */
export function takeLoginPage() {
  const page = shown?.isConnected ? shown : create();
  const button = page.querySelector("button");
  const late = page.querySelector(".late");
  button?.removeEventListener("click", markBusy);
  if (late?.contains(document.activeElement)) button?.focus();
  late?.remove();
  shown = null;
  return page;
}

/**
 * Store whether there is a connection, for the next time that this script runs.
 *
 * @param {boolean} isConnected
 * @param {Place} place `sessionStorage` if the connection belongs to this tab.
 */
export function rememberConnection(isConnected, place) {
  for (const each of PLACES) use(each, (storage) => storage.removeItem(CONNECTED));
  if (isConnected) use(place, (storage) => storage.setItem(CONNECTED, "yes"));
}

function wasConnected() {
  return PLACES.some((place) => use(place, (storage) => storage.getItem(CONNECTED)));
}

/**
 * Null if the browser blocks the storage. The login page is then shown first.
 *
 * @template T
 * @param {Place} place
 * @param {(storage: Storage) => T} action
 */
function use(place, action) {
  try {
    return action(globalThis[place]);
  } catch {
    return null;
  }
}

function show() {
  shown = create();
  shown.querySelector("button")?.addEventListener("click", markBusy);
  view.replaceChildren(shown);
  view.removeAttribute("aria-busy");
  shown.querySelector("h1")?.focus({ preventScroll: true });
}

/** @returns {HTMLElement} */
function create() {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById("login"));
  return /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
}

/** The button's action is not loaded yet. Once it is, `activate` begins it, because the button is busy. @param {Event} event */
function markBusy({ currentTarget }) {
  const button = /** @type {HTMLElement} */ (currentTarget);
  if (button.getAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  const late = skeleton.querySelector(".late");
  if (late) button.after(late.cloneNode(true));
}
