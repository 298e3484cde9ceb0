import assert from "node:assert/strict";
import { test } from "node:test";

import { createLinks, formulaFor } from "../../frontend/parts/links.js";

const base = {
  id: "app1",
  tables: [
    { id: "tbl1", name: "People", primaryFieldId: "fld1", fields: [{ id: "fld1", name: "Name", type: "singleLineText" }], views: [] },
    { id: "tbl2", name: "Teams", primaryFieldId: "fld2", fields: [{ id: "fld2", name: "Team", type: "singleLineText" }], views: [] },
  ],
};

/** Links whose requests are noted. Each record is called like its id, in capitals. */
function watched(failures = 0) {
  const requests = [];
  const records = {
    async page(baseId, table, { signal, ...options }) {
      signal.throwIfAborted();
      requests.push({ table, ...options });
      if (requests.length <= failures) throw new Error("away");
      const ids = [...options.filterByFormula.matchAll(/"(\w+)"/g)].map((found) => found[1]);
      const [field] = options.fields;
      return {
        records: ids.filter((id) => id !== "gone").map((id) => ({ id, createdTime: "", fields: { [field]: id.toUpperCase() } })),
      };
    },
  };
  return { links: createLinks({ records }, base, (field, value) => `${field.name} ${value}`), requests };
}

test("all names of a page are one request for each linked table", async () => {
  const { links, requests } = watched();
  const found = await Promise.all([
    links.names("tbl1", ["a", "b"]), links.names("tbl2", ["t"]), links.names("tbl1", ["b", "c"]), links.names("tbl1", []),
  ]);
  assert.deepEqual(found, [["Name A", "Name B"], ["Team T"], ["Name B", "Name C"], []]);
  assert.deepEqual(requests, [
    { table: "tbl1", filterByFormula: formulaFor(["a", "b", "c"]), fields: ["Name"] },
    { table: "tbl2", filterByFormula: formulaFor(["t"]), fields: ["Team"] },
  ]);
});

test("a name that is known is not read again until it is forgotten", async () => {
  const { links, requests } = watched();
  await links.names("tbl1", ["a"]);
  await links.names("tbl1", ["a", "b"]);
  assert.equal(requests[1].filterByFormula, formulaFor(["b"]));
  links.forget();
  await links.names("tbl1", ["a"]);
  assert.equal(requests.length, 3);
});

test("a request has at most a hundred ids", async () => {
  const { links, requests } = watched();
  const ids = Array.from({ length: 230 }, (_, place) => `rec${place}`);
  const found = await links.names("tbl1", ids);
  assert.equal(found[229], "Name REC229");
  assert.deepEqual(requests.map((each) => each.filterByFormula.split(",").length), [100, 100, 30]);
});

test("a missing record has no name, and neither has a record of an unknown table", async () => {
  const { links, requests } = watched();
  assert.deepEqual(await links.names("tbl1", ["gone", "a"]), [null, "Name A"]);
  assert.deepEqual(await links.names("tblUnknown", ["a"]), [null]);
  assert.deepEqual(await links.names(undefined, ["a"]), [null]);
  assert.equal(requests.length, 1);
});

test("names that could not be read are asked for again by the next page", async () => {
  const { links } = watched(1);
  assert.deepEqual(await links.names("tbl1", ["a"]), [null]);
  assert.deepEqual(await links.names("tbl1", ["a"]), ["Name A"]);
});

test("after `stop`, no names are read", async () => {
  const { links, requests } = watched();
  const ids = Array.from({ length: 250 }, (_, place) => `rec${place}`);
  const names = links.names("tbl1", ids);
  links.stop();
  assert.deepEqual(await names, ids.map(() => null));
  assert.deepEqual(requests, []);
});
