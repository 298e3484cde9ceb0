import { h } from "../dom.js";
import { own } from "../own.js";

// How each field type is shown. The shapes of the values: airtable.com/developers/web/api/field-model

const NUMBERS = new Set(["number", "percent", "currency", "duration", "count", "autoNumber"]);
const COMPUTED = new Set(["formula", "rollup", "multipleLookupValues", "lookup"]);

const SHOWN = {
  checkbox: (value) => value ? h("span", { class: "check", role: "img", "aria-label": "Yes" }, "✓") : null,
  singleSelect: (value, field) => chip(value, field),
  multipleSelects: (value, field) => chips(value.map((name) => chip(name, field))),
  number: (value, { options }) => number(value, options?.precision),
  count: (value) => number(value),
  autoNumber: (value) => String(value),
  percent: (value, { options }) => `${number(value * 100, options?.precision ?? 0)} %`,
  currency: (value, { options }) => `${options?.symbol ?? ""}${number(value, options?.precision ?? 2)}`,
  duration: (value, { options }) => duration(value, options?.durationFormat),
  rating: (value, { options }) => rating(value, options?.max ?? 5),
  date: (value) => day(value),
  dateTime: (value) => moment(value),
  createdTime: (value) => moment(value),
  lastModifiedTime: (value) => moment(value),
  email: (value) => h("a", { href: `mailto:${encodeURIComponent(value).replace("%40", "@")}` }, value),
  phoneNumber: (value) => h("a", { href: `tel:${value.replace(/[^+\d]/g, "")}` }, value),
  url: (value) => outside(value, value),
  singleCollaborator: (value) => person(value),
  createdBy: (value) => person(value),
  lastModifiedBy: (value) => person(value),
  multipleCollaborators: (value) => chips(value.map(person)),
  multipleRecordLinks: (value, field, links) => linked(value, field, links),
  multipleAttachments: (value) => h("span", { class: "files" }, ...value.map(thumbnail)),
  barcode: (value) => value.text ?? null,
  button: (value) => value.url ? outside(value.url, value.label ?? value.url) : value.label ?? null,
  aiText: (value) => value.value ?? null,
};

/** The value of a record in a field; undefined if the cell is empty. */
export const valueOf = (record, field) => own(record.fields, field.name);

/** The fields of a table, the primary one first. */
export function columnsOf(table) {
  const primary = table.fields.filter((field) => field.id === table.primaryFieldId);
  return [...primary, ...table.fields.filter((field) => field.id !== table.primaryFieldId)];
}

/**
 * The content of a cell in the grid: small, on one line. Null if the cell is empty.
 *
 * @param {{type: string, options?: any}} field
 * @param {any} value
 * @param {ReturnType<import("./links.js").createLinks>} links
 */
export function cell(field, value, links) {
  if (value === undefined || value === null || value === "") return null;
  if (COMPUTED.has(field.type)) return computed(field, value, links);
  try {
    const show = own(SHOWN, field.type);
    return show ? show(value, field, links) : plain(value);
  } catch {
    return plain(value); // a shape that Airtable does not document
  }
}

/** The content of a cell in an open record, in full. */
export function full(field, value, links) {
  if (field.type === "multipleAttachments" && value?.length) {
    return h("div", { class: "gallery" }, ...value.map(picture));
  }
  if (field.type === "checkbox") return value ? "Yes" : "No";
  const content = cell(field, value, links);
  return typeof content === "string" ? h("span", { class: "text" }, content) : content;
}

/** Whether a column holds numbers, whose digits are aligned. */
export function isNumeric(field) {
  return NUMBERS.has(field.type) || (field.type === "formula" && NUMBERS.has(field.options?.result?.type));
}

function computed(field, value, links) {
  if (typeof value === "object" && !Array.isArray(value)) {
    return h("span", { class: "soft" }, value.error ?? value.specialValue ?? plain(value));
  }
  const result = field.options?.result ?? { type: "singleLineText" };
  const whole = Array.isArray(value) && !(own(SHOWN, result.type) && result.type.startsWith("multiple"));
  return whole
    ? chips(value.map((each) => cell(result, each, links)).filter((each) => each !== null))
    : cell(COMPUTED.has(result.type) ? { type: "singleLineText" } : result, value, links);
}

function plain(value) {
  if (Array.isArray(value)) return value.map(plain).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const number = (value, precision) => value.toLocaleString(undefined, precision === undefined
  ? {} : { minimumFractionDigits: precision, maximumFractionDigits: precision });

/** Seconds as `h:mm`, as `h:mm:ss`, or with as many decimals as `h:mm:ss.SSS` has. */
function duration(seconds, format = "h:mm") {
  const decimals = format.split(".")[1]?.length ?? 0;
  const perMinute = format.startsWith("h:mm:ss") ? 60 * 10 ** decimals : 1;
  const ticks = Math.round(Math.abs(seconds) / 60 * perMinute); // rounded first: 59.96 s is 0:01:00.0
  const minutes = Math.floor(ticks / perMinute);
  const rest = ((ticks % perMinute) / 10 ** decimals).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  const clock = `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;
  return `${seconds < 0 ? "−" : ""}${clock}${perMinute > 1 ? `:${rest}` : ""}`;
}

const rating = (value, most) => h("span", { class: "rating", role: "img", "aria-label": `${value} of ${most}` },
  "★".repeat(value), h("span", { class: "faint" }, "★".repeat(Math.max(0, most - value))));

/** A day has no time zone: it is the same day everywhere. */
const day = (value) => h("time", { datetime: value },
  new Date(`${value}T12:00:00Z`).toLocaleDateString(undefined, { dateStyle: "medium", timeZone: "UTC" }));

const moment = (value) => h("time", { datetime: value },
  new Date(value).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }));

const chips = (content) => h("span", { class: "chips" }, ...content);

function chip(name, { options } = {}) {
  const colour = options?.choices?.find((choice) => choice.name === name)?.color;
  return h("span", { class: "chip", "data-colour": colour?.match(/^[a-z]+/)[0] }, name);
}

const person = ({ id, name, email }) => h("span", { class: "chip person" }, name ?? email ?? id);

/** Linked records: placeholders, which the names replace once they are loaded. */
function linked(ids, field, links) {
  const shown = chips(ids.map(() => h("span", { class: "chip" }, "…")));
  links.names(field.options?.linkedTableId).then((names) => {
    const found = ids.filter((id) => names.has(id)).map((id) => h("span", { class: "chip" }, names.get(id)));
    const rest = ids.length - found.length;
    shown.replaceChildren(...found);
    if (rest > 0) shown.append(h("span", { class: "chip" }, `${rest} linked ${rest === 1 ? "record" : "records"}`));
  });
  return shown;
}

/** A link to another site. Only its label, if the address is not an http or https URL. */
function outside(address, label) {
  const url = parsed(address);
  return url && ["http:", "https:"].includes(url.protocol)
    ? h("a", { href: url.href, target: "_blank", rel: "noreferrer" }, label)
    : label;
}

function parsed(address) {
  try {
    return new URL(address);
  } catch {
    return null; // not URL.canParse, which many browsers do not have
  }
}

const isPicture = (file) => file.type?.startsWith("image/") && file.thumbnails?.small && file.thumbnails.large;

const thumbnail = (file) => isPicture(file)
  ? h("img", { src: file.thumbnails.small.url, alt: file.filename, title: file.filename, height: 28, loading: "lazy" })
  : h("span", { class: "chip file" }, file.filename);

const picture = (file) => h("figure", {},
  isPicture(file) && h("img", { src: file.thumbnails.large.url, alt: "", loading: "lazy" }),
  h("figcaption", {}, outside(file.url, file.filename), file.size > 0 && ` ${size(file.size)}`));

const size = (bytes) => bytes < 1024 ? `${bytes} bytes` : bytes < 1024 ** 2
  ? `${number(bytes / 1024, 0)} KB` : `${number(bytes / 1024 ** 2, 1)} MB`;
