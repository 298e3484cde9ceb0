/**
 * An object's own property, not one that it inherits.
 *
 * Names come from Airtable: a field may be called `constructor` or `__proto__`, which every object inherits.
 *
 * @param {Record<string, any>} object
 * @param {string} name
 */
export const own = (object, name) => Object.hasOwn(object, name) ? object[name] : undefined;
