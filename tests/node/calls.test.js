import assert from "node:assert/strict";
import { test } from "node:test";
import { createAirtableOAuth } from "../../frontend/airtable-oauth.js";
import { asPage, failureOf, NOT_CONNECTED, serve, SESSION } from "./service.js";

const NEVER = new Promise(() => {});

test("A call ends after its timeout", async (t) => {
  const { url } = await serve(t, [{ after: NEVER }]);
  const failure = await failureOf(createAirtableOAuth({ apiUrl: url, timeout: 30 }).session());
  assert.equal(failure.code, "timeout");
  assert.equal(failure.action, "retry");
});

test("With a timeout of Infinity, a call waits without a limit", async (t) => {
  const { url } = await serve(t, [{ json: SESSION, after: new Promise((resolve) => setTimeout(resolve, 30)) }]);
  assert.equal((await createAirtableOAuth({ apiUrl: url, timeout: Infinity }).session()).status, "connected");
});

test("An aborted call rejects with the caller's reason", async (t) => {
  const { url, requests } = await serve(t, [{ after: NEVER }]);
  const oauth = createAirtableOAuth({ apiUrl: url });
  const reason = new Error("the user has left");
  for (const call of [oauth.session, oauth.bases, oauth.whoami, oauth.disconnect]) {
    const controller = new AbortController();
    const failing = failureOf(call({ signal: controller.signal }));
    setTimeout(() => controller.abort(reason), 10);
    assert.equal(await failing, reason);
  }
  const sent = requests.length;
  for (const call of [oauth.session, oauth.disconnect]) {
    assert.equal(await failureOf(call({ signal: AbortSignal.abort(reason) })), reason);
  }
  assert.equal(requests.length, sent, "a call whose signal has aborted sends nothing");
});

test("Trailing slashes of the address do not count", async (t) => {
  const { url, requests } = await serve(t, [{ json: SESSION }]);
  await createAirtableOAuth({ apiUrl: `${url}/base///` }).session();
  assert.equal(requests[0].url.pathname, "/base/session");
});

test("`session` has dates, and `reconnectBy` is the earlier of two ends", async (t) => {
  const { url } = await serve(t, [{ json: SESSION }, { json: { ...SESSION, reconnect_by: null, session_ends_at: null } }, NOT_CONNECTED]);
  const { session } = createAirtableOAuth({ apiUrl: url });
  assert.deepEqual(await session(), {
    id: null,
    status: "connected",
    reason: null,
    user: SESSION.user,
    scopes: SESSION.scopes,
    missingScopes: [],
    expiresAt: new Date(SESSION.expires_at),
    reconnectBy: new Date(SESSION.session_ends_at),
  });
  assert.equal((await session()).reconnectBy, null);
  assert.equal(await session(), null);
});

test("Only writes have the headers for which a browser sends a preflight", async (t) => {
  const { url, requests } = await serve(t, [{ json: { ...SESSION, bases: [], connections: [] } }]);
  const { session, request, disconnect, bases, connections, records } = createAirtableOAuth({ apiUrl: url });
  await session();
  await bases();
  await connections();
  await records.get("app1", "Orders", "rec1");
  await records.create("app1", "Orders", {});
  await records.update("app1", "Orders", "rec1", {});
  await records.delete("app1", "Orders", "rec1");
  await request("/v0/x", { method: "PUT", body: [] });
  await disconnect();
  const sent = requests.map(({ method, headers }) => `${method} ${headers["x-csrf"] ?? ""} ${headers["content-type"] ?? ""}`);
  assert.deepEqual(sent, ["GET  ", "GET  ", "GET  ", "GET  ", "POST 1 application/json", "PATCH 1 application/json",
    "DELETE 1 ", "PUT 1 application/json", "DELETE 1 "]);
});

test("Headers of the app are sent with each request to the service", async (t) => {
  const { url, requests } = await serve(t, [{ json: SESSION }]);
  const headers = () => ({ "X-Airtable-Connection": "con_1" });
  const { session, whoami } = createAirtableOAuth({ apiUrl: url, headers });
  await Promise.all([session(), whoami()]);
  assert.deepEqual(requests.map((each) => each.headers["x-airtable-connection"]), ["con_1", "con_1"]);
});

test("Queries are written as Airtable reads them", async (t) => {
  const { url, requests } = await serve(t, [{ json: { records: [] } }]);
  const { records, request } = createAirtableOAuth({ apiUrl: url });
  await records.page("app1", "Orders / 2026", {
    view: "Grid",
    fields: ["Name", "A&B"],
    sort: [{ field: "Name", direction: "desc" }, { field: "Age" }],
    filterByFormula: "{Age} > 3",
    returnFieldsByFieldId: false,
    offset: undefined,
    pageSize: 10,
  });
  assert.equal(requests[0].url.pathname, "/airtable/v0/app1/Orders%20%2F%202026");
  assert.deepEqual([...requests[0].url.searchParams], [
    ["view", "Grid"], ["fields[]", "Name"], ["fields[]", "A&B"], ["sort[0][field]", "Name"], ["sort[0][direction]", "desc"],
    ["sort[1][field]", "Age"], ["filterByFormula", "{Age} > 3"], ["returnFieldsByFieldId", "false"], ["pageSize", "10"],
  ]);
  await request("/v0/x", { query: { since: new Date(0) } });
  assert.equal(requests[1].url.search, "?since=1970-01-01T00%3A00%3A00.000Z");
  await request("/v0/x");
  assert.equal(requests[2].url.search, "");
});

test("A path may have a query already", async (t) => {
  const { url, requests } = await serve(t, () => ({ json: {} }));
  const oauth = createAirtableOAuth({ apiUrl: url });
  await oauth.request("/v0/app1/Orders?view=Grid", { query: { pageSize: 5 } });
  await oauth.request("/v0/app1/Orders?view=Grid");
  assert.deepEqual(requests.map((request) => request.url.search), ["?view=Grid&pageSize=5", "?view=Grid"]);
});

test("`bases` reads every page", async (t) => {
  const { url } = await serve(t, ({ url: { searchParams } }) => ({
    json: searchParams.get("offset") ? { bases: [{ id: "app2" }] } : { bases: [{ id: "app1" }], offset: "o" },
  }));
  const bases = await createAirtableOAuth({ apiUrl: url }).bases();
  assert.deepEqual(bases.map(({ id }) => id), ["app1", "app2"]);
});

test("`records.all` follows offsets, with the same options", async (t) => {
  const { url, requests } = await serve(t, [
    { json: { records: [{ id: "rec1" }, { id: "rec2" }], offset: "o1" } },
    { json: { records: [], offset: "o2" } },
    { json: { records: [{ id: "rec3" }] } },
  ]);
  const found = [];
  for await (const { id } of createAirtableOAuth({ apiUrl: url }).records.all("app1", "Orders", { view: "Grid" })) found.push(id);
  assert.deepEqual(found, ["rec1", "rec2", "rec3"]);
  assert.deepEqual(requests.map((each) => each.url.search), ["?view=Grid", "?view=Grid&offset=o1", "?view=Grid&offset=o2"]);
});

test("`records.all` reads no page that the consumer does not want", async (t) => {
  const { url, requests } = await serve(t, [{ json: { records: [{ id: "rec1" }, { id: "rec2" }], offset: "o1" } }]);
  for await (const record of createAirtableOAuth({ apiUrl: url }).records.all("app1", "Orders")) {
    assert.equal(record.id, "rec1");
    break;
  }
  assert.equal(requests.length, 1);
});

test("Records are written with Airtable's bodies", async (t) => {
  const { url, requests } = await serve(t, [{ json: {} }]);
  const { records } = createAirtableOAuth({ apiUrl: url });
  await records.create("app1", "Orders", { Name: "A" });
  await records.update("app1", "Orders", "rec1", { Name: null }, { typecast: true, returnFieldsByFieldId: true });
  assert.deepEqual(requests.map(({ method, url: { pathname }, body }) => ({ method, pathname, body })), [
    { method: "POST", pathname: "/airtable/v0/app1/Orders", body: { fields: { Name: "A" } } },
    {
      method: "PATCH",
      pathname: "/airtable/v0/app1/Orders/rec1",
      body: { fields: { Name: null }, typecast: true, returnFieldsByFieldId: true },
    },
  ]);
});

test("Two clicks send one request, also if one of the callers stops waiting", async (t) => {
  asPage(t);
  const { url, requests } = await serve(t, [{ json: {} }]);
  const { disconnect } = createAirtableOAuth({ apiUrl: url });
  const controller = new AbortController();
  const first = failureOf(disconnect({ signal: controller.signal }));
  const second = disconnect();
  controller.abort("left");
  assert.equal(await first, "left");
  await second;
  assert.equal(requests.length, 1);
  await disconnect();
  assert.equal(requests.length, 2, "a later click is a new call");
});

test("Importing the modules without a page does nothing", async () => {
  const before = Object.keys(globalThis);
  await import("../../frontend/airtable-oauth.js?again");
  await import("../../frontend/airtable-oauth-tokens.js?again");
  createAirtableOAuth({ apiUrl: "http://127.0.0.1:1" }).onChange(() => {})();
  assert.deepEqual(Object.keys(globalThis), before);
});
