/**
 * A property that an object has itself.
 *
 * Names come from Airtable: a field may be called `constructor` or `__proto__`, which every object inherits.
 *
 * @param {Record<string, any>} object
 * @param {string} name
 */
export const own = (object, name) => Object.hasOwn(object, name) ? object[name] : undefined;
