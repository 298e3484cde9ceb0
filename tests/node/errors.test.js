import assert from "node:assert/strict";
import { test } from "node:test";
import { AirtableOAuthError, createAirtableOAuth } from "../../frontend/airtable-oauth.js";
import { createAirtableOAuthWithTokens } from "../../frontend/airtable-oauth-tokens.js";
import { asPage, failureOf, serve } from "./service.js";

async function failureOfAnswer(t, answer) {
  const { url } = await serve(t, [answer]);
  return failureOf(createAirtableOAuth({ apiUrl: url }).whoami());
}

test("An error of the service keeps all that its body and headers say", async (t) => {
  const failure = await failureOfAnswer(t, {
    status: 503,
    headers: { "Retry-After": "7" },
    json: { error: "store_unavailable", error_description: "Try again.", action: "retry", request_id: "r7", return_to: "/x" },
  });
  assert.ok(failure instanceof AirtableOAuthError);
  assert.equal(failure.name, "AirtableOAuthError");
  assert.equal(failure.message, "Try again.");
  const { code, action, requestId, retryAfter, returnTo, status } = failure;
  assert.deepEqual({ code, action, requestId, retryAfter, returnTo, status }, {
    code: "store_unavailable", action: "retry", requestId: "r7", retryAfter: 7, returnTo: "/x", status: 503,
  });
});

const AIRTABLE = [
  ["an object", { error: { type: "NOT_FOUND", message: "No such table" } }, "NOT_FOUND", "No such table"],
  ["a string", { error: "NOT_FOUND" }, "NOT_FOUND", "The server answered with NOT_FOUND."],
  ["a list", { errors: [{ error: "INVALID_X", message: "Wrong" }] }, "INVALID_X", "Wrong"],
  ["nothing known", { detail: "?" }, "HTTP_404", "The server answered with HTTP_404."],
  ["null", null, "HTTP_404", "The server answered with HTTP_404."],
];
for (const [shape, json, code, message] of AIRTABLE) {
  test(`Airtable's error may be ${shape}`, async (t) => {
    const failure = await failureOfAnswer(t, { status: 404, text: JSON.stringify(json), headers: { "X-Request-ID": "r9" } });
    assert.equal(failure.code, code);
    assert.equal(failure.message, message);
    assert.equal(failure.action, "fix_request");
    assert.equal(failure.requestId, "r9");
  });
}

const ACTIONS = [[401, "reconnect"], [403, "fix_request"], [404, "fix_request"], [408, "retry"], [422, "fix_request"],
  [429, "retry"], [500, "retry"], [503, "retry"]];
for (const [status, action] of ACTIONS) {
  test(`Airtable's status ${status} leads to ${action}`, async (t) => {
    const failure = await failureOfAnswer(t, { status, json: { error: { type: "X", message: "Y" } } });
    assert.equal(failure.action, action);
    assert.equal(failure.status, status);
  });
}

test("Airtable's monthly limit is not a reason to try again", async (t) => {
  const json = { error: { type: "PUBLIC_API_BILLING_LIMIT_EXCEEDED", message: "Limit reached" } };
  assert.equal((await failureOfAnswer(t, { status: 429, json })).action, "fix_config");
});

test("With tokens in the browser, Airtable's 401 leads to renew", async (t) => {
  const storage = asPage(t) && globalThis.sessionStorage;
  const { url } = await serve(t, [{ status: 401, json: { error: { type: "AUTHENTICATION_REQUIRED" } } }]);
  storage.setItem(`airtable-oauth ${url} tokens`, JSON.stringify({ access_token: "a", scope: "", expires_at: Infinity }));
  const failure = await failureOf(createAirtableOAuthWithTokens({ apiUrl: url, airtableApiUrl: url }).whoami());
  assert.equal(failure.action, "renew");
});

test("A 401 that is not Airtable's does not ask the user to reconnect", async (t) => {
  const failure = await failureOfAnswer(t, { status: 401, json: { detail: "Sign in first" } });
  assert.equal(failure.code, "HTTP_401");
  assert.equal(failure.action, "fix_request");
});

const PAGES = [[200, "retry"], [401, "fix_config"], [404, "fix_config"], [429, "retry"], [502, "retry"]];
for (const [status, action] of PAGES) {
  test(`An HTML page with status ${status} leads to ${action}`, async (t) => {
    const failure = await failureOfAnswer(t, { status, text: "<h1>A proxy</h1>", headers: { "Retry-After": "3" } });
    assert.equal(failure.code, "invalid_response");
    assert.equal(failure.action, action);
    assert.equal(failure.status, status);
    assert.equal(failure.retryAfter, 3);
    assert.ok(failure.cause);
  });
}

test("An empty answer of Airtable's is null", async (t) => {
  const { url } = await serve(t, [{ status: 200, text: "" }]);
  assert.equal(await createAirtableOAuth({ apiUrl: url }).request("/v0/x", { method: "POST" }), null);
});

test("JSON that is neither the service's nor Airtable's is an invalid response", async (t) => {
  const { url, requests } = await serve(t, [{ json: { hello: "world" } }]);
  asPage(t);
  const oauth = createAirtableOAuth({ apiUrl: url });
  const calls = [
    oauth.session, oauth.begin, oauth.connections, oauth.bases,
    () => oauth.tables("app1"), () => oauth.records.page("app1", "tbl1"), () => oauth.records.all("app1", "tbl1").next(),
  ];
  for (const call of calls) {
    assert.equal((await failureOf(call())).code, "invalid_response");
  }
  assert.equal(requests.length, calls.length);
});

test("Retry-After may be a date, and is null if it makes no sense", async (t) => {
  const inTenSeconds = new Date(Date.now() + 10_000).toUTCString();
  for (const [header, isRight] of [
    [inTenSeconds, (value) => value >= 8 && value <= 10],
    ["Thu, 01 Jan 1970 00:00:00 GMT", (value) => value === 0],
    ["soon", (value) => value === null],
  ]) {
    const failure = await failureOfAnswer(t, { status: 429, headers: { "Retry-After": header }, json: { error: "X" } });
    assert.ok(isRight(failure.retryAfter), `${header}: ${failure.retryAfter}`);
  }
});

test("A server that cannot be reached is `unreachable`, with the cause", async () => {
  const failure = await failureOf(createAirtableOAuth({ apiUrl: "http://127.0.0.1:1" }).session());
  assert.equal(failure.code, "unreachable");
  assert.equal(failure.action, "retry");
  assert.equal(failure.status, null);
  assert.ok(failure.cause instanceof TypeError);
});
