import assert from "node:assert/strict";
import { test } from "node:test";

import {
  beginning, firstCharacter, formatCurrency, formatDay, formatDuration, formatMoment, formatNumber, formatPercent,
  formatSize,
} from "../../frontend/parts/formats.js";

const EN = "en-US";
const dollars = { symbol: "$", precision: 2 };

test("numbers have the digits of their field", () => {
  assert.equal(formatNumber(1234.5, 2, EN), "1,234.50");
  assert.equal(formatNumber(1234.5, undefined, EN), "1,234.5");
  assert.equal(formatNumber(-0.2, 0, EN), "0");
  assert.equal(formatNumber(-0.2, 1, EN), "-0.2");
});

test("the sign of an amount of money comes before the symbol", () => {
  assert.equal(formatCurrency(-1234.5, dollars, EN), "-$1,234.50");
  assert.equal(formatCurrency(1234.5, dollars, EN), "$1,234.50");
  assert.equal(formatCurrency(-0.001, dollars, EN), "$0.00");
  assert.equal(formatCurrency(12, { symbol: "kr", precision: 0 }, EN), "kr12");
  assert.equal(formatCurrency(5, undefined, EN), "5.00");
});

test("percents have no space", () => {
  assert.equal(formatPercent(0.35, 0, EN), "35%");
  assert.equal(formatPercent(-0.125, 1, EN), "-12.5%");
});

test("durations are rounded to the digits of their format", () => {
  const cases = [
    [5400, undefined, "1:30"], [-5400, "h:mm", "-1:30"], [-20, "h:mm", "0:00"], [3723, "h:mm:ss", "1:02:03"],
    [-3723, "h:mm:ss", "-1:02:03"], [59.6, "h:mm:ss", "0:01:00"], [59.96, "h:mm:ss.S", "0:01:00.0"],
    [3723.4, "h:mm:ss.SSS", "1:02:03.400"], [360000, "h:mm", "100:00"],
  ];
  for (const [seconds, format, text] of cases) assert.equal(formatDuration(seconds, format), text);
});

test("a day is the same in every time zone, in the format of its field", () => {
  const formats = {
    "l": "1/5/2026", "LL": "January 5, 2026", "M/D/YYYY": "1/5/2026", "D/M/YYYY": "5/1/2026", "YYYY-MM-DD": "2026-01-05",
  };
  for (const [format, text] of Object.entries(formats)) {
    assert.equal(formatDay("2026-01-05", { dateFormat: { format } }, EN), text);
    assert.equal(formatDay("2026-01-05", { dateFormat: { format }, timeZone: "Pacific/Kiritimati" }, EN), text);
  }
  assert.equal(formatDay("2026-01-05", {}, "en-GB"), "5 Jan 2026");
});

test("a moment is shown in the time zone of its field", () => {
  const iso = { dateFormat: { format: "YYYY-MM-DD" }, timeFormat: { format: "HH:mm" } };
  const at = "2026-01-05T23:30:00.000Z";
  assert.equal(formatMoment(at, { ...iso, timeZone: "utc" }), "2026-01-05 23:30");
  assert.equal(formatMoment(at, { ...iso, timeZone: "Europe/Berlin" }), "2026-01-06 00:30");
  assert.equal(formatMoment(at, { ...iso, timeZone: "America/New_York" }), "2026-01-05 18:30");
  const twelve = { ...iso, timeFormat: { format: "h:mma" } };
  assert.equal(formatMoment(at, { ...twelve, timeZone: "America/New_York" }), "2026-01-05 6:30pm");
  assert.equal(formatMoment(at, { ...twelve, timeZone: "Europe/Berlin" }), "2026-01-06 12:30am");
  assert.equal(formatMoment("2026-01-05T12:05:00.000Z", { ...twelve, timeZone: "utc" }), "2026-01-05 12:05pm");
});

test("the time zone `client` is the browser's own", () => {
  const local = new Date(2026, 0, 5, 14, 32).toISOString();
  const options = { dateFormat: { format: "YYYY-MM-DD" }, timeFormat: { format: "HH:mm" }, timeZone: "client" };
  assert.equal(formatMoment(local, options), "2026-01-05 14:32");
});

test("a moment whose field shows only the day is that day in the time zone of the field", () => {
  const options = { dateFormat: { format: "YYYY-MM-DD" }, timeZone: "Asia/Tokyo" };
  assert.equal(formatDay("2026-01-05T23:30:00.000Z", options), "2026-01-06");
});

test("what is not a date is refused", () => {
  assert.throws(() => formatDay("soon", {}, EN), RangeError);
  assert.throws(() => formatMoment("soon", { dateFormat: { format: "YYYY-MM-DD" } }, EN), RangeError);
});

test("sizes of files are rounded", () => {
  assert.deepEqual([900, 2048, 1_572_864].map((bytes) => formatSize(bytes, EN)), ["900 bytes", "2 KB", "1.5 MB"]);
});

test("the first character may be several code points", () => {
  assert.equal(firstCharacter("👩‍🚀 Mission"), "👩‍🚀");
  assert.equal(firstCharacter("🇳🇴 Norge"), "🇳🇴");
  assert.equal(firstCharacter("שלום"), "ש");
  assert.equal(firstCharacter(""), "");
});

test("the first character is whole where Intl.Segmenter is missing", () => {
  const { Segmenter } = Intl;
  Intl.Segmenter = undefined;
  try {
    assert.equal(firstCharacter("🎉 Party"), "🎉");
    assert.equal(firstCharacter(""), "");
  } finally {
    Intl.Segmenter = Segmenter;
  }
});

test("the beginning of a long text does not end in half a character", () => {
  assert.equal(beginning("short", 5), "short");
  assert.equal(beginning("abcd🎉ef", 5), "abcd…");
  assert.equal(beginning("abcd🎉ef", 6), "abcd🎉…");
});
