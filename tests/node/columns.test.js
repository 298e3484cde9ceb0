import assert from "node:assert/strict";
import { test } from "node:test";

import { isNumeric, isSortable, tracksOf } from "../../frontend/parts/columns.js";

const field = (type, options, name = "Name") => ({ id: "fld1", name, type, options });

test("every column but the first is as wide as its type and its name need", () => {
  const { tracks, width } = tracksOf([field("singleLineText"), field("checkbox"), field("checkbox", {}, "A name of 21 letters")]);
  assert.equal(tracks, "minmax(var(--first), 16fr) minmax(7rem, 7fr) minmax(13rem, 13fr)");
  assert.equal(width, "calc(var(--first) + 20rem)");
});

test("a computed field holds numbers if its result does, but a lookup does not", () => {
  assert.equal(isNumeric(field("formula", { result: { type: "currency" } })), true);
  assert.equal(isNumeric(field("rollup", { result: { type: "singleLineText" } })), false);
  assert.equal(isNumeric(field("multipleLookupValues", { result: { type: "number" } })), false);
});

test("attachments, links to records and buttons are not sorted", () => {
  const types = ["multipleAttachments", "multipleRecordLinks", "button", "number", "formula"];
  assert.deepEqual(types.map((type) => isSortable(field(type))), [false, false, false, true, true]);
});
