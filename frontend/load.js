/** @type {Map<string, Promise<void>>} */
const sheets = new Map();

/**
 * The module of a page, once its style sheets are there.
 *
 * @template M
 * @param {Promise<M>} module
 * @param {...string} styles Names in `styles/`.
 * @returns {Promise<M>}
 */
export async function loadPage(module, ...styles) {
  const [loaded] = await Promise.all([module, ...styles.map(loadStyle)]);
  return loaded;
}

/** @param {string} name */
function loadStyle(name) {
  const known = sheets.get(name);
  if (known) return known;
  const loading = insert(name);
  sheets.set(name, loading);
  return loading;
}

/** A page without its style is better than no page, so a sheet that fails to load is not an error. @param {string} name @returns {Promise<void>} */
function insert(name) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = `/styles/${name}.css`;
  return new Promise((resolve) => {
    link.addEventListener("load", () => resolve());
    link.addEventListener("error", () => {
      sheets.delete(name); // the next page tries again
      link.remove();
      resolve();
    });
    document.head.append(link);
  });
}
