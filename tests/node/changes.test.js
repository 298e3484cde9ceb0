import assert from "node:assert/strict";
import { test } from "node:test";
import { createAirtableOAuth } from "../../frontend/airtable-oauth.js";
import { asPage, define, failureOf, NOT_CONNECTED, serve, SESSION } from "./service.js";

/** A service whose session can end. */
async function startService(t) {
  const state = { isConnected: true };
  const { url } = await serve(t, ({ method, url: { pathname } }) => {
    if (pathname === "/authorization-url") return { json: { authorizationUrl: "https://airtable.test/?state=s1" } };
    if (method === "POST") state.isConnected = true;
    if (!state.isConnected) return NOT_CONNECTED;
    if (method === "DELETE") state.isConnected = false;
    return { json: SESSION };
  });
  return { state, url };
}

/** A tab: a client, and the changes that it hears of. */
function openTab(t, url) {
  const oauth = createAirtableOAuth({ apiUrl: url });
  const heard = [];
  let notify = () => {};
  t.after(oauth.onChange(({ connected }) => {
    heard.push(connected);
    notify();
  }));
  /** Wait until so many changes were heard. */
  async function hears(count) {
    while (heard.length < count) await new Promise((resolve) => { notify = resolve; });
    return heard;
  }
  return { oauth, heard, hears };
}

test("Listeners hear when a connection begins and ends, in other tabs too", async (t) => {
  asPage(t);
  const { url } = await startService(t);
  const [here, there] = [openTab(t, url), openTab(t, url)];
  await here.oauth.begin();
  await here.oauth.finish("code=c1&state=s1");
  await there.hears(1);
  await there.oauth.disconnect();
  assert.deepEqual(await here.hears(2), [true, false]);
  assert.deepEqual(there.heard, [true, false]);
});

test("A tab that does not listen tells those that do", async (t) => {
  asPage(t);
  const { url } = await startService(t);
  const listening = openTab(t, url);
  await createAirtableOAuth({ apiUrl: url }).disconnect();
  assert.deepEqual(await listening.hears(1), [false]);
});

test("Tabs of another service do not hear it", async (t) => {
  asPage(t);
  const [one, other] = [await startService(t), await startService(t)];
  const [here, there, elsewhere] = [openTab(t, one.url), openTab(t, one.url), openTab(t, other.url)];
  await here.oauth.disconnect();
  await there.hears(1);
  assert.deepEqual(elsewhere.heard, []);
});

test("An answer that shows the end of the connection is a change, once", async (t) => {
  asPage(t);
  const { state, url } = await startService(t);
  const { oauth, heard } = openTab(t, url);
  await oauth.session();
  assert.deepEqual(heard, []);
  state.isConnected = false;
  await failureOf(oauth.whoami());
  await oauth.session();
  assert.deepEqual(heard, [false]);
});

test("An answer that shows a connection again is a change, once", async (t) => {
  asPage(t);
  const { state, url } = await startService(t);
  const { oauth, heard } = openTab(t, url);
  state.isConnected = false;
  await oauth.session();
  assert.deepEqual(heard, []);
  state.isConnected = true;
  await oauth.session();
  await oauth.session();
  assert.deepEqual(heard, [true]);
});

test("An answer that is older than a disconnect changes nothing", async (t) => {
  asPage(t);
  let release = () => {};
  const { url, requests } = await serve(t, ({ method }) => ({
    json: SESSION, after: method === "GET" ? new Promise((resolve) => { release = resolve; }) : undefined,
  }));
  const { oauth, heard } = openTab(t, url);
  const session = oauth.session();
  while (requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await oauth.disconnect();
  release();
  await session;
  assert.deepEqual(heard, [false]);
});

test("A listener that throws stops neither the others nor the call", async (t) => {
  asPage(t);
  const { url } = await startService(t);
  const oauth = createAirtableOAuth({ apiUrl: url });
  const reported = [];
  define(t, "reportError", (failure) => reported.push(failure.message));
  const heard = [];
  t.after(oauth.onChange(() => { throw new Error("a defect of the app"); }));
  t.after(oauth.onChange(({ connected }) => heard.push(connected)));
  await oauth.disconnect();
  assert.deepEqual(heard, [false]);
  assert.deepEqual(reported, ["a defect of the app"]);
});

test("A listener that was removed hears nothing", async (t) => {
  asPage(t);
  const { url } = await startService(t);
  const oauth = createAirtableOAuth({ apiUrl: url });
  const heard = [];
  oauth.onChange((change) => heard.push(change))();
  await oauth.disconnect();
  assert.deepEqual(heard, []);
});
