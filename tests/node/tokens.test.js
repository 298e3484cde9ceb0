import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { createAirtableOAuthWithTokens } from "../../frontend/airtable-oauth-tokens.js";
import { asPage, failureOf, serve } from "./service.js";

const tokens = (number) => ({
  access_token: `access-${number}`, refresh_token: `refresh-${number}`, scope: "a b", expires_in: 3600, refresh_expires_in: 5_184_000,
});

/** A connected tab. `answers` gives the answers after the login. */
async function openTab(t, answers) {
  asPage(t);
  let logins = 0;
  const { url, requests } = await serve(t, (request) => {
    if (request.url.pathname === "/authorization-url") {
      logins++;
      return { json: { authorizationUrl: `https://airtable.test/?state=s${logins}` } };
    }
    if (request.url.pathname === "/token-exchange") return { json: { ...tokens(1), return_to: "/bases" } };
    return answers(request);
  });
  const load = () => createAirtableOAuthWithTokens({ apiUrl: `${url}/`, airtableApiUrl: `${url}/web/` });
  const oauth = load();
  await oauth.begin();
  assert.deepEqual(await oauth.finish("code=c1&state=s1"), { returnTo: "/bases" });
  requests.length = 0;
  return { oauth, load, requests };
}

test("The tab calls Airtable with its token, without the service's headers", async (t) => {
  const { oauth, requests } = await openTab(t, () => ({ json: { id: "usr1" } }));
  assert.deepEqual(await oauth.whoami(), { id: "usr1" });
  const [{ headers, url }] = requests;
  assert.equal(url.pathname, "/web/v0/meta/whoami");
  assert.equal(headers.authorization, "Bearer access-1");
  assert.equal(headers["x-csrf"], undefined);
  const session = await oauth.session();
  assert.deepEqual(session.scopes, ["a", "b"]);
  assert.equal(session.status, "connected");
  assert.ok(session.expiresAt > new Date() && session.reconnectBy > session.expiresAt);
});

test("The session has the user once Airtable was asked, until the next login", async (t) => {
  const { oauth } = await openTab(t, ({ url }) =>
    ({ json: url.pathname === "/token-refresh" ? tokens(2) : { id: "usr1", email: "mina@example.com", scopes: [] } }));
  assert.equal((await oauth.session()).user, null);
  assert.equal((await oauth.whoami()).id, "usr1");
  await oauth.renew();
  assert.deepEqual((await oauth.session()).user, { id: "usr1", email: "mina@example.com" });
  await oauth.begin();
  await oauth.finish("code=c2&state=s2");
  assert.equal((await oauth.session()).user, null);
});

test("A refused token can be renewed", async (t) => {
  const { oauth, requests } = await openTab(t, ({ url }) =>
    url.pathname === "/token-refresh" ? { json: tokens(2) } : { status: 401, json: { error: { type: "AUTHENTICATION_REQUIRED" } } });
  assert.equal((await failureOf(oauth.whoami())).action, "renew");
  assert.equal((await oauth.session()).status, "renewal_required");
  await Promise.all([oauth.renew(), oauth.renew()]);
  assert.equal((await oauth.session()).status, "connected");
  const refreshes = requests.filter(({ url }) => url.pathname === "/token-refresh");
  assert.deepEqual(refreshes.map(({ body }) => body), [{ refresh_token: "refresh-1" }]);
});

test("A renewal that the caller no longer waits for keeps the new tokens", async (t) => {
  let release = () => {};
  const { oauth, requests } = await openTab(t, ({ url }) => url.pathname === "/token-refresh"
    ? { json: tokens(2), after: new Promise((resolve) => { release = resolve; }) }
    : { json: {} });
  const controller = new AbortController();
  const renewing = failureOf(oauth.renew({ signal: controller.signal }));
  while (requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort("left");
  assert.equal(await renewing, "left");
  release();
  await oauth.renew(); // shares the one in progress
  await oauth.whoami();
  assert.equal(requests.at(-1).headers.authorization, "Bearer access-2");
  assert.equal(requests.length, 2);
});

test("A renewal does not bring back tokens that the user has erased meanwhile", async (t) => {
  let release = () => {};
  const { oauth, requests } = await openTab(t, () => ({ json: tokens(2), after: new Promise((resolve) => { release = resolve; }) }));
  const renewing = oauth.renew();
  while (requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await oauth.disconnect();
  release();
  await renewing;
  assert.equal(await oauth.session(), null);
});

test("A refresh token that has ended is told to listeners", async (t) => {
  const { oauth } = await openTab(t, () => ({ status: 400, json: { error: "invalid_grant", action: "reconnect" } }));
  const heard = [];
  oauth.onChange((change) => heard.push(change));
  assert.equal((await failureOf(oauth.renew())).code, "invalid_grant");
  const { status, reason } = await oauth.session();
  assert.deepEqual({ status, reason }, { status: "reconnect_required", reason: "revoked" });
  assert.deepEqual(heard, [{ connected: false }]);
});

for (const [why, lost] of [
  ["had no answer that could be read", { status: 502, text: "<h1>Bad gateway</h1>" }],
  ["was sent by another tab first", { status: 409, json: { error: "already_refreshed", action: "reconnect" } }],
]) {
  test(`A refresh that ${why} is not called a revocation`, async (t) => {
    const answers = [lost, { status: 400, json: { error: "invalid_grant", action: "reconnect" } }];
    const { oauth } = await openTab(t, () => answers.shift());
    await failureOf(oauth.renew());
    await failureOf(oauth.renew());
    const { status, reason } = await oauth.session();
    assert.deepEqual({ status, reason }, { status: "reconnect_required", reason: "rotation_lost" });
  });
}

test("A path without its slash sends the token nowhere", async (t) => {
  const { oauth, requests } = await openTab(t, () => ({ json: {} }));
  const failure = await failureOf(oauth.request("v0/meta/whoami"));
  assert.deepEqual([failure.code, failure.action], ["invalid_request", "fix_request"]);
  assert.deepEqual(requests, []);
});

test("An answer without tokens replaces none", async (t) => {
  const { oauth } = await openTab(t, () => ({ json: { hello: "world" } }));
  assert.equal((await failureOf(oauth.renew())).code, "invalid_response");
  assert.equal((await oauth.session()).status, "connected");
});

test("Without tokens nothing is sent", async (t) => {
  const { oauth, requests } = await openTab(t, () => ({ json: {} }));
  await oauth.disconnect();
  for (const call of [oauth.whoami, oauth.renew]) {
    const { code, action } = await failureOf(call());
    assert.deepEqual([code, action], ["not_connected", "restart_login"]);
  }
  assert.deepEqual(requests, []);
});

test("The sixth request to a base within a second waits, and can be aborted", async (t) => {
  const { oauth, requests } = await openTab(t, () => ({ json: { records: [] } }));
  const page = (options) => oauth.records.page("app1", "Orders", options);
  await Promise.all(Array.from({ length: 5 }, () => page()));
  const controller = new AbortController();
  const began = Date.now();
  const sixth = failureOf(page({ signal: controller.signal }));
  setTimeout(() => controller.abort("left"), 20);
  assert.equal(await sixth, "left");
  assert.ok(Date.now() - began < 500);
  await oauth.whoami(); // no base, no wait
  await page();
  assert.ok(Date.now() - began > 900);
  assert.equal(requests.length, 7);
});

test("A reload of the page does not forget the requests of the last second", async (t) => {
  const { oauth, load, requests } = await openTab(t, () => ({ json: { records: [] } }));
  await Promise.all(Array.from({ length: 5 }, () => oauth.records.page("app1", "Orders")));
  t.mock.timers.enable({ apis: ["Date", "setTimeout"], now: Date.now() });
  const sixth = load().records.page("app1", "Orders");
  await setImmediate();
  t.mock.timers.tick(500); // a request that does not wait would be sent now
  await answered();
  assert.equal(requests.length, 5);
  t.mock.timers.tick(600);
  await sixth;

  /** The time in which another request gets its answer. */
  async function answered() {
    const whoami = oauth.whoami();
    await setImmediate();
    t.mock.timers.tick(0);
    await whoami;
    requests.pop();
  }
});

test("A clock that was put back does not make requests wait", async (t) => {
  const { oauth, requests } = await openTab(t, () => ({ json: { records: [] } }));
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 3600_000 });
  await Promise.all(Array.from({ length: 5 }, () => oauth.records.page("app1", "Orders")));
  t.mock.timers.setTime(Date.now() - 3600_000);
  await oauth.records.page("app1", "Orders", { signal: AbortSignal.timeout(1000) });
  assert.equal(requests.length, 6);
});

test("A request that is aborted while it waits leaves its turn to the next one", async (t) => {
  const { oauth, requests } = await openTab(t, () => ({ json: { records: [] } }));
  const page = (options) => oauth.records.page("app1", "Orders", options);
  await Promise.all(Array.from({ length: 5 }, () => page()));
  const began = Date.now();
  for (let abandoned = 0; abandoned < 5; abandoned++) {
    const controller = new AbortController();
    const waiting = failureOf(page({ signal: controller.signal }));
    controller.abort("left");
    assert.equal(await waiting, "left");
  }
  assert.equal(await failureOf(page({ signal: AbortSignal.abort("gone") })), "gone");
  await page();
  assert.ok(Date.now() - began < 2000, "if the six requests kept their turns, it would wait one second more");
  assert.equal(requests.length, 6);
});

test("A request that is aborted after its turn takes no turn from others", async (t) => {
  const { oauth, requests } = await openTab(t, () => ({ json: { records: [] } }));
  const page = (options) => oauth.records.page("app1", "Orders", options);
  t.mock.timers.enable({ apis: ["Date", "setTimeout"], now: Date.now() });
  const controller = new AbortController();
  const late = failureOf(page({ signal: controller.signal }));
  await setImmediate();
  t.mock.timers.setTime(Date.now() + 2000); // the browser has delayed the timers of the tab
  const five = Array.from({ length: 5 }, () => page());
  await setImmediate();
  controller.abort("left");
  assert.equal(await late, "left");
  const sixth = page();
  await setImmediate();
  t.mock.timers.tick(1000);
  await Promise.all(five);
  assert.equal(requests.length, 5);
  t.mock.timers.tick(1000);
  await sixth;
  assert.equal(requests.length, 6);
});
