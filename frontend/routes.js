/**
 * The route of a path, and the values of its parts.
 *
 * @template R
 * @param {Record<string, R>} routes By path, in which `:name` matches any part.
 * @param {string} pathname
 * @returns {{route: R, parameters: Record<string, string>} | null}
 */
export function findRoute(routes, pathname) {
  for (const [pattern, route] of Object.entries(routes)) {
    const parameters = match(pattern.split("/"), pathname.split("/"));
    if (parameters) return { route, parameters };
  }
  return null;
}

/** @param {string[]} pattern @param {string[]} parts */
function match(pattern, parts) {
  if (pattern.length !== parts.length) return null;
  /** @type {Record<string, string>} */
  const parameters = {};
  for (const [place, name] of pattern.entries()) {
    const part = parts[place] ?? "";
    if (name.startsWith(":") && part) parameters[name.slice(1)] = decoded(part);
    else if (name !== part) return null;
  }
  return parameters;
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
