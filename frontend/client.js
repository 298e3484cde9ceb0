import { config } from "./config.js";

const options = { ...config, timeout: 15_000 };

/** The module's object, for where the tokens are. The other module is not loaded. */
export async function createClient() {
  if (config.tokens === "browser") {
    return (await import("./airtable-oauth-tokens.js")).createAirtableOAuthWithTokens(options);
  }
  return (await import("./airtable-oauth.js")).createAirtableOAuth(options);
}
