/**
 * The first script. The login page is a template in the document, so a browser that knows of no connection can show
 * it at once, while the other scripts are loading and the session is asked for.
 */

const CONNECTED = "connect-airtable:connected";
const view = /** @type {HTMLElement} */ (document.getElementById("view"));

/** What the document shows while it is loading. */
export const skeleton = /** @type {HTMLElement} */ (view.firstElementChild);

/** @type {HTMLElement | null} The login page that is shown already. */
let shown = null;

if (location.pathname === "/" && !history.state?.state && !wasConnected()) show();

/** The login page: the one that is shown already, or a new one. If its button was clicked already, it is busy. */
export function loginPage() {
  const page = shown?.isConnected ? shown : create();
  page.querySelector("button")?.removeEventListener("click", markBusy);
  page.querySelector(".late")?.remove();
  shown = null;
  return page;
}

/** Remember whether this browser has a connection. Only this script reads it. @param {boolean} isConnected */
export function remember(isConnected) {
  try {
    if (isConnected) localStorage.setItem(CONNECTED, "yes");
    else localStorage.removeItem(CONNECTED);
  } catch {
    // the storage is blocked: the login page is shown first
  }
}

function wasConnected() {
  try {
    return localStorage.getItem(CONNECTED) !== null;
  } catch {
    return false;
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

/** The button's action isn't loaded yet. It begins once it is. Until then the button is busy. @param {Event} event */
function markBusy({ currentTarget }) {
  const button = /** @type {HTMLElement} */ (currentTarget);
  if (button.getAttribute("aria-busy")) return;
  for (const name of ["aria-disabled", "aria-busy"]) button.setAttribute(name, "true");
  const late = skeleton.querySelector(".late");
  if (late) button.after(late.cloneNode(true));
}
