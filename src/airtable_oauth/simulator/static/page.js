// Shows the simulator's status. The buttons cause failures through its control API.

const NEXT_REFRESH = "grant_type=refresh_token";
const RATE_LIMIT = { error: { type: "RATE_LIMIT_REACHED", message: "Wait 30 seconds before the next request." } };

const ACTIONS = {
  expire: ["DELETE", "access", null, "All access tokens have expired. Now try your app."],
  revoke: ["POST", "revocation", null, "All grants have been revoked. Now try your app."],
  fail: ["POST", "faults", { only: NEXT_REFRESH, status: 503, body: "{}" }, ""],
  limit: ["POST", "faults", {
    path: "/v0/",
    status: 429,
    body: JSON.stringify(RATE_LIMIT),
    headers: [["Content-Type", "application/json"]],
  }, ""],
  cancel: ["DELETE", "faults", null, "Planned failures cancelled."],
  forget: ["DELETE", "requests", null, "Requests cleared."],
};

const find = (id) => document.getElementById(id);
let shown = "";

async function ask(method, path, body) {
  const response = await fetch(`/_simulator/${path}`, {
    method,
    cache: "no-store",
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? `HTTP ${response.status}`);
  return response.status === 204 ? null : response.json();
}

async function act(button) {
  const [method, path, body, done] = ACTIONS[button.dataset.action];
  button.disabled = true;
  try {
    await ask(method, path, body);
    say(done);
    await refresh();
  } catch (failure) {
    say(`Couldn't do that: ${failure.message}`);
  } finally {
    button.disabled = false;
  }
}

async function refresh() {
  try {
    const status = await ask("GET", "status");
    const text = JSON.stringify([status.grants.map(describeGrant), status.faults, status.requests]);
    if (text !== shown) show(status); // redrawing would drop the user's text selection
    shown = text;
    document.body.classList.remove("gone");
  } catch {
    if (!document.body.classList.contains("gone")) say("The simulator isn't responding. It may have stopped.");
    document.body.classList.add("gone");
    shown = "";
  }
}

function show({ grants, faults, requests }) {
  find("grants").replaceChildren(...grants.map((grant) => element("li", {}, describeGrant(grant))));
  find("no-grants").hidden = grants.length > 0;
  find("planned").hidden = faults.length === 0;
  find("planned").querySelector("p").textContent = faults.map(describeFault).join(" ");
  find("requests").replaceChildren(...requests.map(row));
  find("no-requests").hidden = requests.length > 0;
  document.querySelector(".sheet").hidden = requests.length === 0;
}

function describeGrant({ user, client_id, bases, access_ends_in }) {
  const access = access_ends_in === null
    ? "access token expired"
    : `access token expires in ${Math.ceil(access_ends_in / 60)} min`;
  return `${client_id} for ${user}, ${bases} ${bases === 1 ? "base" : "bases"}: ${access}`;
}

function describeFault({ path, only, left }) {
  const requests = left === 1 ? "the next request" : `the next ${left} requests`;
  if (only === NEXT_REFRESH) return `${left === 1 ? "The next refresh" : `The next ${left} refreshes`} will fail.`;
  return `A fault is planned for ${requests} below ${path}.`;
}

function row({ at, method, path, status, what }) {
  const time = new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return element("tr", {},
    element("td", { class: "soft" }, time),
    element("td", {}, element("span", { class: status < 400 ? "good" : "bad" }, status === 0 ? "…" : String(status))),
    element("td", {}, what),
    element("td", {}, element("code", {}, `${method} ${path}`)));
}

function say(text) {
  find("message").textContent = text;
}

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

document.addEventListener("click", ({ target }) => {
  if (target instanceof HTMLButtonElement && target.dataset.action) act(target);
});
document.addEventListener("visibilitychange", () => !document.hidden && refresh());
setInterval(() => !document.hidden && refresh(), 2000);
refresh();
