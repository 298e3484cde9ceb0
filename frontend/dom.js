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
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Have screen readers read a message, which is not shown. @param {string} message */
export function announce(message) {
  const region = document.querySelector("dialog[open] [data-live]") ?? document.getElementById("live");
  if (!region) return;
  region.textContent = "";
  setTimeout(() => { region.textContent = message; }, 50); // a text that is the same would not be read again
}
