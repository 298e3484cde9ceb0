import { h } from "../dom.js";
import { connectButton } from "../parts/connect-button.js";

const INTEGRATIONS = "https://airtable.com/?integrations=thirdParty";

/** The start page: what will happen, and the button that begins it. */
export function login(app, state) {
  return h("section", { class: "card hero" },
    h("p", { class: "eyebrow" }, "Airtable × your app"),
    h("h1", {}, "Bring your Airtable bases along"),
    h("p", { class: "lead" },
      "Connect once and pick the bases this app may see. Airtable asks you first, and you can take the access back there at any time."),
    state?.from && h("p", { class: "notice", role: "status" }, "Connect first to see that page."),
    state?.disconnected && disconnected(),
    connectButton(app, { label: "Connect Airtable", returnTo: state?.from }),
    h("ul", { class: "facts" },
      h("li", {}, "You choose the bases"),
      h("li", {}, "Your password stays with Airtable"),
      h("li", {}, "Nothing is shared before you agree"),
    ),
  );
}

/** What the disconnect did, and what the user must do in Airtable. */
function disconnected() {
  return h("p", { class: "notice", role: "status" },
    "Disconnected: this app has forgotten its access. Airtable still lists it among ",
    h("a", { href: INTEGRATIONS, rel: "noreferrer" }, "your integrations"), ", where you can remove it.");
}
