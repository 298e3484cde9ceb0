import assert from "node:assert/strict";
import { test } from "node:test";
import { createDraft, forgetDrafts } from "../../frontend/parts/drafts.js";
import { define } from "./service.js";

/** Its keys are properties, as those of a browser's storage are. */
const createStorage = () => Object.create({
  getItem(key) { return this[key] ?? null; },
  setItem(key, value) { this[key] = value; },
  removeItem(key) { delete this[key]; },
});

const MINA = { user: { id: "usr1" } };
const NOAH = { user: { id: "usr2" } };
const UNKNOWN = { user: null };

for (const [writer, reader, isShown] of [
  [MINA, MINA, true], [MINA, UNKNOWN, true], [UNKNOWN, MINA, true], [MINA, NOAH, false],
]) {
  test(`What ${writer.user?.id ?? "an unknown user"} typed is ${isShown ? "" : "not "}shown to ${reader.user?.id ?? "an unknown user"}`, (t) => {
    define(t, "sessionStorage", createStorage());
    createDraft(writer, "app1", "rec1").keep({ fld1: "Typed" });
    assert.deepEqual(createDraft(reader, "app1", "rec1").read(), isShown ? { fld1: "Typed" } : null);
    assert.equal(createDraft(reader, "app1", "rec2").read(), null);
    forgetDrafts();
    assert.equal(createDraft(writer, "app1", "rec1").read(), null);
  });
}
