import assert from "node:assert/strict";
import { test } from "node:test";

import { columnsOf, valueOf } from "../../frontend/parts/cells.js";
import { fitting } from "../../frontend/parts/chips.js";
import { roomOf } from "../../frontend/parts/columns.js";

test("the primary field comes first, and the others keep their order", () => {
  const fields = ["fld1", "fld2", "fld3"].map((id) => ({ id, name: id, type: "number" }));
  const table = { id: "tbl1", name: "Orders", primaryFieldId: "fld2", fields, views: [] };
  assert.deepEqual(columnsOf(table).map(({ id }) => id), ["fld2", "fld1", "fld3"]);
});

test("a field that is called like a property of every object is empty", () => {
  const record = { id: "rec1", createdTime: "", fields: { Name: "One" } };
  assert.equal(valueOf(record, { name: "Name" }), "One");
  for (const name of ["constructor", "toString", "__proto__"]) assert.equal(valueOf(record, { name }), undefined);
});

test("as many items are shown as fit, with the number of the others", () => {
  assert.equal(fitting([], 20), 0);
  assert.equal(fitting([5, 5], 17), 2, "two items of 5, with their frames");
  assert.equal(fitting([5, 5], 16), 1);
  assert.equal(fitting([5, 5, 5], 17), 1, "a third item needs room for its number");
  assert.equal(fitting([5, 5, 5], 21), 2);
  assert.equal(fitting([1, 1, 1, 1], 100), 3, "three at most");
  assert.equal(fitting([50, 1], 10), 1, "one at least");
  assert.equal(fitting([50, 50, 50, 50], Infinity), 4);
});

test("a wider column has room for more", () => {
  const day = { type: "date", options: {} };
  const inWords = { type: "date", options: { dateFormat: { format: "LL" } } };
  assert.ok(roomOf(inWords) > roomOf(day));
  assert.ok(roomOf({ type: "multipleLookupValues", options: { result: day } }) > roomOf(day));
});
