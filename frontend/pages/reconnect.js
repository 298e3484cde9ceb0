import { h } from "../dom.js";
import { connectButton } from "../parts/connect-button.js";
import { disconnectButton } from "../parts/disconnect-button.js";
import { endedConnection } from "../words.js";

/** Why the connection has ended, and a button to reconnect. */
export function reconnect(app, session, state) {
  const [title, text] = endedConnection(session.reason);
  return h("section", { class: "card hero" },
    h("p", { class: "eyebrow bad" }, "Connect again"),
    h("h1", {}, title),
    h("p", { class: "lead", role: "alert" }, `${text} Grant access once more to go on.`),
    h("div", { class: "row" },
      connectButton(app, { label: "Reconnect Airtable", returnTo: state?.from }),
      disconnectButton(app, "Log out"),
    ),
  );
}
