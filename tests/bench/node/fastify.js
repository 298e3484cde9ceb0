// Authorization URLs by @fastify/oauth2, which binds the state and the verifier to the browser by cookies.
const fastify = require("fastify");
const oauth2 = require("@fastify/oauth2");

const {
  PORT: port,
  AIRTABLE_URL: airtableUrl,
  CLIENT_ID: id,
  CLIENT_SECRET: secret,
  REDIRECT_URI: callbackUri,
  SCOPES: scopes,
} = process.env;

const app = fastify();
app.register(oauth2, {
  name: "airtable",
  scope: scopes.split(" "),
  credentials: {
    client: { id, secret },
    auth: { tokenHost: airtableUrl, tokenPath: "/oauth2/v1/token", authorizePath: "/oauth2/v1/authorize" },
  },
  callbackUri,
  pkce: "S256",
});
app.get("/authorization-url", async (request, reply) => ({
  authorizationUrl: await app.airtable.generateAuthorizationUri(request, reply),
}));
app.listen({ port: Number(port), host: "127.0.0.1" });
