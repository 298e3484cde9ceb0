import assert from "node:assert/strict";
import { test } from "node:test";

import { editorOf, numberText, parseNumber } from "../../frontend/parts/edit-values.js";

const field = (type, options) => ({ id: "fld1", name: "Field", type, options });
const parsed = (type, options, text, locale = "en-GB") => parseNumber(field(type, options), text, locale);

for (const [type, options, text, value] of [
  ["number", {}, "", null],
  ["number", {}, "  ", null],
  ["number", {}, "0", 0],
  ["number", {}, "-0", 0],
  ["number", {}, "1,234.50", 1234.5],
  ["number", {}, "12,34,567", 1234567],
  ["number", {}, "1 234", 1234],
  ["number", {}, "1’234.5", 1234.5],
  ["number", {}, ".5", 0.5],
  ["number", {}, "5.", 5],
  ["number", {}, "−7", -7],
  ["number", { precision: 0 }, "1.0", 1],
  ["number", {}, "0.1", 0.1],
  ["percent", {}, "35%", 0.35],
  ["percent", {}, "7", 0.07],
  ["percent", { precision: 1 }, "12.3 %", 0.123],
  ["percent", {}, "-250", -2.5],
  ["currency", { symbol: "$", precision: 2 }, "-$1,234.50", -1234.5],
  ["currency", { symbol: "kr." }, "kr. 12.50", 12.5],
  ["currency", { precision: 0, symbol: "¥" }, "¥1,200", 1200],
]) {
  test(`"${text}" in a field for ${type} is ${value}`, () => {
    assert.deepEqual(parsed(type, options, text), { value });
  });
}

for (const [type, options, text, problem] of [
  ["number", {}, "cheap", "Enter a number, such as 1,234.5."],
  ["number", {}, "1,5", "Enter a number, such as 1,234.5."],
  ["number", {}, "1.2.3", "Enter a number, such as 1,234.5."],
  ["number", {}, "--5", "Enter a number, such as 1,234.5."],
  ["number", {}, "-", "Enter a number, such as 1,234.5."],
  ["number", {}, ".", "Enter a number, such as 1,234.5."],
  ["number", {}, "1e5", "Enter a number, such as 1,234.5."],
  ["number", {}, "Infinity", "Enter a number, such as 1,234.5."],
  ["number", { precision: 0 }, "many", "Enter a whole number."],
  ["number", { precision: 0 }, "1.5", "Enter a whole number."],
  ["number", { precision: 1 }, "1.25", "Use at most 1 decimal place."],
  ["currency", { symbol: "€" }, "€1.255", "Use at most 2 decimal places."],
  ["percent", {}, "12.5", "Enter a whole number."],
  ["number", {}, "1234567890123456", "Use at most 15 digits."],
]) {
  test(`"${text}" is refused: ${problem}`, () => {
    assert.deepEqual(parsed(type, options, text), { problem });
  });
}

test("a decimal comma is read as such where people write one", () => {
  assert.deepEqual(parsed("number", {}, "1.234,5", "de-DE"), { value: 1234.5 });
  assert.deepEqual(parsed("number", {}, "1\u202f234,5", "fr-FR"), { value: 1234.5 });
  assert.deepEqual(parsed("number", {}, "1.5", "de-DE"), { problem: "Enter a number, such as 1.234,5." });
  assert.equal(numberText(field("currency", {}), 1234.5, "de-DE"), "1234,50");
});

for (const locale of ["ar-EG", "fa-IR", "mr-IN", "de-DE"]) {
  test(`a number may have the digits and marks that ${locale} shows it with`, () => {
    for (const value of [0, 1234.5, -1234567.25]) {
      assert.deepEqual(parsed("number", {}, value.toLocaleString(locale), locale), { value });
    }
    const { problem } = parsed("number", {}, "x", locale);
    const example = problem.replace("Enter a number, such as ", "").slice(0, -1);
    assert.deepEqual(parsed("number", {}, example, locale), { value: 1234.5 });
  });
}

for (const [type, options, value, text] of [
  ["number", {}, undefined, ""],
  ["number", {}, null, ""],
  ["number", {}, -3, "-3"],
  ["number", { precision: 2 }, 0.12345, "0.12345"],
  ["number", {}, 1e21, "1e+21"],
  ["currency", {}, 34.5, "34.50"],
  ["percent", {}, 0.07, "7"],
  ["percent", { precision: 1 }, 0.123, "12.3"],
  ["percent", { precision: 1 }, 0.5, "50.0"],
]) {
  test(`${value} in a field for ${type} is edited as "${text}"`, () => {
    assert.equal(numberText(field(type, options), value, "en-GB"), text);
  });
}

test("what is shown is read as the same number", () => {
  for (const type of ["number", "currency", "percent"]) {
    for (const value of [0, 0.01, 0.07, 0.29, 0.57, 1.1, 19.99, 1234567.89, -4.35]) {
      const of = field(type, { precision: 8 });
      for (const locale of ["en-GB", "de-DE", "fr-FR", "de-CH", "ar-EG", "hi-IN"]) {
        assert.deepEqual(parseNumber(of, numberText(of, value, locale), locale), { value }, `${type} ${value} ${locale}`);
      }
    }
  }
});

test("only the types that have a form, with values of their shape, are edited", () => {
  assert.equal(editorOf(field("email"), undefined), "text");
  assert.equal(editorOf(field("email"), 7), null);
  assert.equal(editorOf(field("percent"), 0.5), "number");
  assert.equal(editorOf(field("number"), { specialValue: "NaN" }), null);
  assert.equal(editorOf(field("checkbox"), undefined), "checkbox");
  assert.equal(editorOf(field("singleSelect", { choices: [] }), "Done"), "select");
  assert.equal(editorOf(field("singleSelect"), "Done"), null);
  for (const type of ["formula", "createdTime", "multipleRecordLinks", "date", "constructor", "__proto__"]) {
    assert.equal(editorOf(field(type), undefined), null);
  }
});
