import { h } from "../dom.js";

/** The way back from Airtable: read the query, drop it, finish the login. */
export function authCallback({ oauth, navigate }) {
  const parameters = new URLSearchParams(location.search);
  history.replaceState(null, "", location.pathname); // the code leaves the address bar and history

  async function finish() {
    try {
      const { returnTo } = await oauth.finish(parameters);
      navigate(returnTo ?? "/login-success", { replace: true });
    } catch (failure) {
      navigate("/login-failure", { state: { ...failure, from: failure.returnTo }, replace: true });
    }
  }

  finish();
  return h("section", { class: "card quiet", role: "status", "aria-live": "polite" },
    h("div", { class: "spinner", "aria-hidden": "true" }),
    h("h1", {}, "Connecting to Airtable…"),
    h("p", {}, "This takes a moment."),
  );
}
