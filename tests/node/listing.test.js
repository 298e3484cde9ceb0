import assert from "node:assert/strict";
import { test } from "node:test";

import { createListing, nextSort } from "../../frontend/parts/listing.js";

/** A listing of three pages of one record each. With `state.hold`, requests wait until they are released or cancelled. */
function watched() {
  const seen = [];
  const held = [];
  let listings = 0;
  const state = { hold: false, fail: false, pages: 3 };
  async function read({ offset, sort, signal }) {
    seen.push(sort ? `${offset ?? "start"} ${sort[0].field} ${sort[0].direction}` : offset ?? "start");
    if (state.hold) {
      await new Promise((resolve, reject) => {
        held.push(resolve);
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    }
    if (state.fail) throw new Error("away");
    const [listing, at] = offset?.split("/") ?? [++listings, "0"];
    const next = Number(at) + 1;
    return { records: [{ id: `rec${at}`, createdTime: "", fields: {} }], offset: next < state.pages ? `${listing}/${next}` : undefined };
  }
  return { listing: createListing(read), seen, held, state };
}

const at = (number, sort = null) => ({ number, sort });
const brief = (page) => page && [page.records[0].id, page.number, page.hasNext];

test("pages follow each other, forwards and back", async () => {
  const { listing, seen } = watched();
  const shown = [];
  for (const number of [0, 1, 2, 1]) shown.push(brief(await listing.page(at(number))));
  assert.deepEqual(shown, [["rec0", 0, true], ["rec1", 1, true], ["rec2", 2, false], ["rec1", 1, true]]);
  assert.deepEqual(seen, ["start", "1/1", "1/2", "1/1"]);
});

test("two calls for the same page are one request", async () => {
  const { listing, seen, held, state } = watched();
  state.hold = true;
  const both = Promise.all([listing.page(at(0)), listing.page(at(0))]);
  held[0]();
  const [first, second] = await both;
  assert.equal(first, second);
  assert.equal(seen.length, 1);
});

test("the last call wins, and the one before is cancelled", async () => {
  const { listing, held, state } = watched();
  state.hold = true;
  const first = listing.page(at(0));
  const second = listing.page(at(0, { field: "A", direction: "asc" }));
  assert.equal(await first, null);
  held[1]();
  assert.equal((await second).sort.field, "A");
});

test("after a failure the pages that are known can be read", async () => {
  const { listing, seen, state } = watched();
  await listing.page(at(0));
  state.fail = true;
  await assert.rejects(listing.page(at(1)), /away/);
  state.fail = false;
  assert.deepEqual(brief(await listing.page(at(1))), ["rec1", 1, true]);
  assert.deepEqual(seen, ["start", "1/1", "1/1"]);
});

test("a fresh page belongs to a new listing, and is the last one if the table became shorter", async () => {
  const { listing, seen, state } = watched();
  for (const number of [0, 1, 2]) await listing.page(at(number));
  state.pages = 2;
  assert.deepEqual(brief(await listing.page({ number: 2, sort: null, isFresh: true })), ["rec1", 1, false]);
  assert.deepEqual(seen.slice(3), ["start", "2/1"]);
});

test("stopping cancels what is being read", async () => {
  const { listing, state } = watched();
  state.hold = true;
  const page = listing.page(at(0));
  listing.stop();
  assert.equal(await page, null);
});

test("a heading sorts up, then down, then not at all", () => {
  const up = nextSort(null, "A");
  const down = nextSort(up, "A");
  assert.deepEqual([up, down, nextSort(down, "A"), nextSort(down, "B")], [
    { field: "A", direction: "asc" }, { field: "A", direction: "desc" }, null, { field: "B", direction: "asc" },
  ]);
});
