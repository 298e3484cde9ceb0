// Values as text, as Airtable shows them. Nothing here needs a page: `locale` is for tests, and is the browser's by default.

/** @typedef {string | undefined} Locale */
/** @typedef {{dateFormat?: {format?: string}, timeFormat?: {format?: string}, timeZone?: string}} TimeOptions */

/** Creating a formatter takes longer than its use. @type {Map<string, Intl.NumberFormat | Intl.DateTimeFormat>} */
const formatters = new Map();

/**
 * @template {Intl.NumberFormat | Intl.DateTimeFormat} F
 * @param {new (locale: Locale, options: any) => F} Format
 * @param {Locale} locale
 * @param {object} options
 * @returns {F}
 */
function formatter(Format, locale, options) {
  const key = JSON.stringify([Format.name, locale, options]);
  const found = /** @type {F | undefined} */ (formatters.get(key)) ?? new Format(locale, options);
  formatters.set(key, found);
  return found;
}

/**
 * @param {number} value
 * @param {number} [precision] Digits after the point. By default, those that the number has.
 * @param {Locale} [locale]
 */
export function formatNumber(value, precision, locale) {
  const digits = precision === undefined ? {} : { minimumFractionDigits: precision, maximumFractionDigits: precision };
  return withoutMinusZero(formatter(Intl.NumberFormat, locale, digits).format(value));
}

/** A fraction as a percentage: 0.5 is 50%. @param {number} value @param {number} [precision] @param {Locale} [locale] */
export const formatPercent = (value, precision = 0, locale) => `${formatNumber(value * 100, precision, locale)}%`;

/** The sign comes first. @param {number} value @param {{symbol?: string, precision?: number}} [options] @param {Locale} [locale] */
export function formatCurrency(value, { symbol = "", precision = 2 } = {}, locale) {
  const amount = formatNumber(value, precision, locale);
  return /^[-−]/.test(amount) ? amount[0] + symbol + amount.slice(1) : symbol + amount;
}

/** Seconds as `h:mm`, as `h:mm:ss`, or with as many decimals as `h:mm:ss.SSS` has. @param {number} seconds @param {string} [format] */
export function formatDuration(seconds, format = "h:mm") {
  const decimals = format.split(".")[1]?.length ?? 0;
  const perMinute = format.startsWith("h:mm:ss") ? 60 * 10 ** decimals : 1;
  const ticks = Math.round(Math.abs(seconds) / 60 * perMinute); // rounded first: 59.96 s is 0:01:00.0
  const minutes = Math.floor(ticks / perMinute);
  const rest = ((ticks % perMinute) / 10 ** decimals).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  const clock = `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;
  return `${seconds < 0 && ticks > 0 ? "-" : ""}${clock}${perMinute > 1 ? `:${rest}` : ""}`;
}

/**
 * A day, such as `2026-01-31`, or a moment of which only the day is shown.
 *
 * @param {string} value
 * @param {TimeOptions} [options] The field's options.
 * @param {Locale} [locale]
 */
export function formatDay(value, { dateFormat, timeZone } = {}, locale) {
  // A day has no time zone: it is the same day everywhere.
  return /^\d{4}-\d\d-\d\d$/.test(value)
    ? dayOf(new Date(`${value}T12:00:00Z`), dateFormat?.format, "UTC", locale)
    : dayOf(new Date(value), dateFormat?.format, zoneOf(timeZone), locale);
}

/** A moment in the field's time zone. @param {string} value @param {TimeOptions} [options] @param {Locale} [locale] */
export function formatMoment(value, { dateFormat, timeFormat, timeZone } = {}, locale) {
  const date = new Date(value);
  const zone = zoneOf(timeZone);
  return `${dayOf(date, dateFormat?.format, zone, locale)} ${timeOf(date, timeFormat?.format, zone, locale)}`;
}

/** @param {Date} date @param {string | undefined} format @param {string | undefined} timeZone @param {Locale} locale */
function dayOf(date, format, timeZone, locale) {
  const words = format === "l" ? { year: "numeric", month: "numeric", day: "numeric" }
    : { dateStyle: format === "LL" ? "long" : "medium" };
  if (format === undefined || format === "l" || format === "LL") {
    return formatter(Intl.DateTimeFormat, locale, { ...words, timeZone }).format(date);
  }
  const parts = partsOf(date, timeZone);
  return format.replace(/YYYY|MM|DD|M|D/g, (name) => ({
    YYYY: parts.year, MM: parts.month, DD: parts.day, M: String(Number(parts.month)), D: String(Number(parts.day)),
  })[name] ?? name);
}

/** @param {Date} date @param {string | undefined} format @param {string | undefined} timeZone @param {Locale} locale */
function timeOf(date, format, timeZone, locale) {
  if (format === undefined) return formatter(Intl.DateTimeFormat, locale, { timeStyle: "short", timeZone }).format(date);
  const { hour, minute } = partsOf(date, timeZone);
  if (format.startsWith("H")) return `${hour}:${minute}`;
  return `${Number(hour) % 12 || 12}:${minute}${Number(hour) < 12 ? "am" : "pm"}`;
}

/** The numbers of a date in a time zone, with leading zeros. @param {Date} date @param {string | undefined} timeZone @returns {Record<string, string>} */
function partsOf(date, timeZone) {
  const parts = formatter(Intl.DateTimeFormat, "en-GB", {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone,
  }).formatToParts(date);
  return Object.fromEntries(parts.map(({ type, value }) => [type, value]));
}

/** Airtable's `client` is the browser's own time zone. @param {string | undefined} name */
const zoneOf = (name) => !name || name === "client" ? undefined : name === "utc" ? "UTC" : name;

/** A file's size. @param {number} bytes @param {Locale} [locale] */
export const formatSize = (bytes, locale) => bytes < 1024 ? `${bytes} bytes` : bytes < 1024 ** 2
  ? `${formatNumber(bytes / 1024, 0, locale)} KB` : `${formatNumber(bytes / 1024 ** 2, 1, locale)} MB`;

/** The first character as a person counts them: an emoji is one. @param {string} text */
export function firstCharacter(text) {
  if (typeof Intl.Segmenter !== "function") return Array.from(text)[0] ?? ""; // Firefox before 2024
  for (const { segment } of new Intl.Segmenter().segment(text)) return segment;
  return "";
}

/** The beginning of a long text. A character is never cut in two. @param {string} text @param {number} [most] */
export function beginning(text, most = 300) {
  return text.length <= most ? text : `${text.slice(0, most).replace(/[\uD800-\uDBFF]$/, "")}…`;
}

/** What is rounded to zero has no sign. @param {string} text */
const withoutMinusZero = (text) => /^[-−][0.,]*$/.test(text) ? text.slice(1) : text;
