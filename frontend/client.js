import { config } from "./config.js";

const options = { ...config, timeout: 15_000 };

/** The browser module's client, of the kind that `config.tokens` asks for. `airtable-oauth-tokens.js` is loaded only if needed. */
export async function createClient() {
  if (config.tokens === "browser") {
    return (await import("./airtable-oauth-tokens.js")).createAirtableOAuthWithTokens(options);
  }
  return (await import("./airtable-oauth.js")).createAirtableOAuth(options);
}
