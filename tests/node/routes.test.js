import assert from "node:assert/strict";
import { test } from "node:test";

import { findRoute } from "../../frontend/routes.js";

const ROUTES = { "/": "start", "/bases/:base": "base", "/bases/:base/:table": "table" };

for (const [path, route, parameters] of [
  ["/", "start", {}],
  ["/bases/app1", "base", { base: "app1" }],
  ["/bases/app1/tbl1", "table", { base: "app1", table: "tbl1" }],
  ["/bases/a%2Fb/%D8%B9", "table", { base: "a/b", table: "ع" }],
  ["/bases/100%", "base", { base: "100%" }],
]) {
  test(`${path} has the route of the ${route}`, () => {
    assert.deepEqual(findRoute(ROUTES, path), { route, parameters });
  });
}

test("a path with more, fewer or empty parts has no route", () => {
  for (const path of ["/bases", "/bases/", "/bases//tbl1", "/bases/app1/", "/bases/app1/tbl1/rec1", "//", ""]) {
    assert.equal(findRoute(ROUTES, path), null, path);
  }
});
