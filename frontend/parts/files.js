import { h } from "../dom.js";
import { formatSize } from "./formats.js";

/** @typedef {{url: string, filename: string, type?: string, size?: number, thumbnails?: any}} Attachment */

/** A link to another site. Only its label, if the address is not an http or https URL. @param {string} address @param {string} label */
export function outside(address, label) {
  const url = parsed(address);
  return url && ["http:", "https:"].includes(url.protocol)
    ? h("a", { href: url.href, target: "_blank", rel: "noreferrer" }, label)
    : label;
}

/** @param {string} address */
function parsed(address) {
  try {
    return new URL(address);
  } catch {
    return null; // not URL.canParse, which many browsers do not have
  }
}

/** @param {Attachment} file */
const isPicture = (file) => file.type?.startsWith("image/") && file.thumbnails?.small && file.thumbnails.large;

/** A file in the grid. @param {Attachment} file */
export const thumbnail = (file) => isPicture(file)
  ? h("img", { class: "thumbnail", src: file.thumbnails.small.url, alt: file.filename, title: file.filename, height: 26, loading: "lazy" })
  : h("span", { class: "chip file", dir: "auto" }, file.filename);

/** A file in an open record. @param {Attachment} file */
export const picture = (file) => h("figure", {},
  isPicture(file) && h("img", { src: file.thumbnails.large.url, alt: "", loading: "lazy" }),
  h("figcaption", { dir: "auto" }, outside(file.url, file.filename), (file.size ?? 0) > 0 && ` ${formatSize(file.size ?? 0)}`));
