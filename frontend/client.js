import { config } from "./config.js";

const options = { ...config, timeout: 15_000 };

/** The browser module's client, for `config.tokens`. `airtable-oauth-tokens.js` is loaded only for tokens in the browser. */
export async function createClient() {
  if (config.tokens === "browser") {
    return (await import("./airtable-oauth-tokens.js")).createAirtableOAuthWithTokens(options);
  }
  return (await import("./airtable-oauth.js")).createAirtableOAuth(options);
}
