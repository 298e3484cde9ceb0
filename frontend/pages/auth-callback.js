import { h } from "../dom.js";

/** The callback route: read the query, remove it from the address, and finish the login. */
export function authCallback({ oauth, navigate }) {
  const parameters = new URLSearchParams(location.search);
  history.replaceState(null, "", location.pathname); // the code leaves the address bar and history
  const section = h("section", { class: "card quiet", role: "status", "aria-live": "polite" });

  async function finish() {
    section.replaceChildren(...waiting());
    try {
      const { returnTo } = await oauth.finish(parameters);
      navigate(returnTo ?? "/login-success", { replace: true });
    } catch (failure) {
      if (failure.action === "retry") section.replaceChildren(...unknown(finish));
      else navigate("/login-failure", { state: { ...failure, from: failure.returnTo }, replace: true });
    }
  }

  finish();
  return section;
}

const waiting = () => [
  h("div", { class: "spinner", "aria-hidden": "true" }),
  h("h1", {}, "Connecting to Airtable…"),
  h("p", {}, "This takes a moment."),
];

/** The answer was lost, and the login may be finished. The same request finds out. */
const unknown = (again) => [
  h("h1", {}, "The answer did not arrive"),
  h("p", { role: "alert" }, "You may be connected already. Check your network, then try again."),
  h("div", { class: "row" },
    h("button", { class: "primary", type: "button", onclick: again }, "Try again"),
    h("a", { class: "button", href: "/" }, "Back to the start")),
];
