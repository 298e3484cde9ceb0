/**
 * Create an element. Text is added as text nodes only, so no data becomes markup.
 *
 * @param {string} tag
 * @param {Record<string, any>} [properties] Attributes; `onclick` and the like are listeners.
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/**
 * Replace the content of an element. If that content has the focus, as *Try again* may, the focus goes to the first
 * control of the new content, or to the element.
 *
 * @param {HTMLElement} element
 * @param {...Node} content
 */
export function refill(element, ...content) {
  const hadFocus = element.contains(document.activeElement);
  element.replaceChildren(...content);
  if (!hadFocus) return;
  const control = /** @type {HTMLElement | null} */ (element.querySelector("a[href], button"));
  if (!control) element.setAttribute("tabindex", "-1");
  (control ?? element).focus({ preventScroll: true });
}

/** The timer that empties the live region, which would otherwise be read with the page. */
let silence = 0;

/**
 * Have screen readers read a message, which is not shown. While a dialog is open, they read nothing outside it:
 * it needs an element of its own with `aria-live` and `data-live`.
 *
 * @param {string} message
 */
export function announce(message) {
  const region = document.querySelector("dialog[open] [data-live]") ?? document.getElementById("live");
  if (!region) return;
  region.textContent = "";
  setTimeout(() => { region.textContent = message; }, 50); // a text that is the same would not be read again
  clearTimeout(silence);
  silence = setTimeout(() => { region.textContent = ""; }, 10_000);
}

/** The title of the tab names what is shown. @param {string} text */
export function setTitle(text) {
  document.title = `${text} · Connect Airtable`;
}

/**
 * A new view is on the screen: its heading becomes the title of the tab, and gets the focus.
 *
 * @param {HTMLElement} view
 * @param {string} [title] The title if the view has no heading yet.
 * @param {{focus?: boolean}} [options] If `focus` is false, the focus stays where it is. True by default.
 */
export function present(view, title, { focus = true } = {}) {
  const region = document.getElementById("live");
  if (region) region.textContent = ""; // what was said about the view before
  const heading = view.querySelector("h1");
  const name = heading?.textContent ?? title;
  if (name) setTitle(name);
  if (!focus) return;
  const target = heading ?? view;
  target.setAttribute("tabindex", "-1");
  target.focus({ preventScroll: true });
}
