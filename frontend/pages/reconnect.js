import { h } from "../dom.js";
import { own } from "../own.js";
import { connectButton } from "../parts/connect-button.js";
import { disconnectButton } from "../parts/disconnect-button.js";

const REASONS = {
  revoked: ["Airtable no longer lets this app in", "The integration was removed in Airtable, or an administrator took the access back."],
  expired: ["The connection was not used for too long", "Airtable ends a connection that nobody uses for sixty days."],
  rotation_lost: ["The connection to Airtable was cut", "Airtable renewed the access, and its answer was lost on the way. Nothing of yours is lost."],
};

/** Why the connection has ended, and a button to reconnect. */
export function reconnect(app, session, state) {
  const [title, text] = own(REASONS, session.reason) ?? ["The connection has ended", ""];
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
