import assert from "node:assert/strict";
import { test } from "node:test";
import { createAirtableOAuth } from "../../frontend/airtable-oauth.js";
import { asPage, createStorage, define, failureOf, NOT_CONNECTED, serve, SESSION } from "./service.js";

const AUTHORIZE = "https://airtable.test/authorize?state=s1";

/** A service that begins and finishes logins. */
const answers = ({ method, url }) => {
  if (url.pathname === "/authorization-url") return { json: { authorizationUrl: AUTHORIZE } };
  return { json: method === "POST" ? { ...SESSION, return_to: "/bases" } : SESSION };
};

test("A login begins, leaves the page, and is finished with its state", async (t) => {
  const opened = asPage(t);
  const { url, requests } = await serve(t, answers);
  const oauth = createAirtableOAuth({ apiUrl: url });
  await oauth.connect({ returnTo: "/bases", connection: "con_1", parameters: { workspace: "12" } });
  assert.deepEqual(opened, [AUTHORIZE]);
  assert.equal(requests[0].url.search, "?workspace=12&connection=con_1&return_to=%2Fbases");
  assert.deepEqual(await oauth.finish("?code=c1&state=s1&other=x"), { returnTo: "/bases" });
  assert.deepEqual(requests[1].body, { code: "c1", state: "s1" });
});

test("Two clicks begin one login and open one page", async (t) => {
  const opened = asPage(t);
  const { url, requests } = await serve(t, answers);
  const oauth = createAirtableOAuth({ apiUrl: url });
  await Promise.all([oauth.connect(), oauth.connect()]);
  assert.equal(requests.length, 1);
  assert.deepEqual(opened, [AUTHORIZE]);
});

test("`connect` does not leave the page after it was aborted", async (t) => {
  const opened = asPage(t);
  const { url } = await serve(t, answers);
  const oauth = createAirtableOAuth({ apiUrl: url });
  const controller = new AbortController();
  const failing = failureOf(oauth.connect({ signal: controller.signal }));
  controller.abort("left");
  assert.equal(await failing, "left");
  await oauth.session();
  assert.deepEqual(opened, []);
});

test("`finish` refuses a state of another tab, and keeps its own", async (t) => {
  asPage(t);
  const { url, requests } = await serve(t, answers);
  const oauth = createAirtableOAuth({ apiUrl: url });
  await oauth.begin();
  for (const query of ["code=c1&state=other", "code=c1", ""]) {
    const failure = await failureOf(oauth.finish(query));
    assert.equal(failure.code, "state_mismatch");
    assert.equal(failure.action, "restart_login");
  }
  assert.equal(requests.length, 1);
  assert.deepEqual(await oauth.finish("code=c1&state=s1"), { returnTo: "/bases" });
});

test("A second call of `finish` shares the first, even if that is no longer waited for", async (t) => {
  asPage(t);
  const { url, requests } = await serve(t, answers);
  const oauth = createAirtableOAuth({ apiUrl: url });
  await oauth.begin();
  const controller = new AbortController(); // as React does with an effect that it runs twice
  const first = failureOf(oauth.finish("code=c1&state=s1", { signal: controller.signal }));
  controller.abort("unmounted");
  assert.deepEqual(await oauth.finish("code=c1&state=s1"), { returnTo: "/bases" });
  assert.deepEqual(await oauth.finish("code=c1&state=s1"), { returnTo: "/bases" });
  assert.equal(await first, "unmounted");
  assert.equal(requests.filter(({ method }) => method === "POST").length, 1);
});

test("`finish` does not begin if its signal has aborted", async (t) => {
  asPage(t);
  const { url, requests } = await serve(t, answers);
  const oauth = createAirtableOAuth({ apiUrl: url });
  await oauth.begin();
  const signal = AbortSignal.abort("left");
  assert.equal(await failureOf(oauth.finish("code=c1&state=s1", { signal })), "left");
  await oauth.session();
  assert.equal(requests.filter(({ method }) => method === "POST").length, 0);
  assert.deepEqual(await oauth.finish("code=c1&state=s1"), { returnTo: "/bases" });
});

test("`finish` can be called again after a failure that says `retry`, and only then", async (t) => {
  asPage(t);
  let answer = { status: 502, text: "<h1>A proxy</h1>" };
  const { url, requests } = await serve(t, (request) => request.method === "POST" ? answer : answers(request));
  const oauth = createAirtableOAuth({ apiUrl: url });
  await oauth.begin();
  assert.equal((await failureOf(oauth.finish("code=c1&state=s1"))).action, "retry");
  answer = { status: 400, json: { error: "invalid_grant", action: "restart_login" } };
  assert.equal((await failureOf(oauth.finish("code=c1&state=s1"))).code, "invalid_grant");
  assert.equal((await failureOf(oauth.finish("code=c1&state=s1"))).code, "invalid_grant");
  assert.equal(requests.filter(({ method }) => method === "POST").length, 2);
});

test("A reload of the callback after it succeeded is no failure", async (t) => {
  asPage(t);
  const { url, requests } = await serve(t, answers);
  const before = createAirtableOAuth({ apiUrl: url });
  await before.begin();
  await before.finish("code=c1&state=s1");
  const reloaded = createAirtableOAuth({ apiUrl: url });
  assert.deepEqual(await reloaded.finish("code=c1&state=s1"), { returnTo: null });
  assert.equal(requests.filter(({ method }) => method === "POST").length, 1);
});

test("After a disconnect, the callback of before is refused", async (t) => {
  asPage(t);
  let isConnected = true;
  const { url } = await serve(t, (request) => {
    if (request.url.pathname === "/session" && request.method === "GET" && !isConnected) return NOT_CONNECTED;
    return answers(request);
  });
  const oauth = createAirtableOAuth({ apiUrl: url });
  await oauth.begin();
  await oauth.finish("code=c1&state=s1");
  await oauth.disconnect();
  isConnected = false;
  const failure = await failureOf(createAirtableOAuth({ apiUrl: url }).finish("code=c1&state=s1"));
  assert.equal(failure.code, "state_mismatch");
});

const BROKEN = {
  "that throws": { getItem: refuse, setItem: refuse, removeItem: refuse },
  "that is full": { ...createStorage(), setItem: refuse },
  "that is absent": undefined,
};
function refuse() {
  throw new DOMException("Not here", "SecurityError");
}
for (const [kind, storage] of Object.entries(BROKEN)) {
  test(`A login works within one page with a storage ${kind}`, async (t) => {
    asPage(t);
    define(t, "sessionStorage", storage);
    const { url } = await serve(t, answers);
    const oauth = createAirtableOAuth({ apiUrl: url });
    await oauth.begin();
    assert.deepEqual(await oauth.finish("code=c1&state=s1"), { returnTo: "/bases" });
    await oauth.disconnect();
  });
}

test("A storage that works again is not overruled by what was kept in memory", async (t) => {
  asPage(t);
  const storage = createStorage();
  const { setItem } = storage;
  let state = 0;
  const { url } = await serve(t, () => ({ json: { authorizationUrl: `https://airtable.test/?state=s${++state}` } }));
  const oauth = createAirtableOAuth({ apiUrl: url, storage });
  storage.setItem = refuse;
  await oauth.begin();
  storage.setItem = setItem;
  await oauth.begin();
  assert.equal((await failureOf(oauth.finish("code=c1&state=s1"))).code, "state_mismatch");
});

test("Two services in one origin do not share their entries", async (t) => {
  asPage(t);
  const [one, other] = [await serve(t, answers), await serve(t, answers)];
  await createAirtableOAuth({ apiUrl: one.url }).begin();
  const failure = await failureOf(createAirtableOAuth({ apiUrl: other.url }).finish("code=c1&state=s1"));
  assert.equal(failure.code, "state_mismatch");
  assert.deepEqual([...globalThis.sessionStorage.entries.keys()], [`airtable-oauth ${one.url} state`]);
});
