// The Node service of many tutorials: Express, axios, and a plain object for pending logins.
// The environment has the settings of its .env file.
const crypto = require("node:crypto");
const axios = require("axios");
const cors = require("cors");
const express = require("express");
const qs = require("qs");

const {
  PORT: port,
  AIRTABLE_URL: airtableUrl,
  CLIENT_ID: clientId,
  CLIENT_SECRET: clientSecret,
  REDIRECT_URI: redirectUri,
  SCOPES: scope,
} = process.env;

const authorizationHeader = `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString("base64")}`;
const authorizationCache = {};
const app = express();
app.use(cors());

app.get("/get-authorization-url", (request, response) => {
  const state = crypto.randomBytes(100).toString("base64url");
  const codeVerifier = crypto.randomBytes(96).toString("base64url");
  const codeChallenge = crypto
    .createHash("sha256")
    .update(codeVerifier)
    .digest("base64")
    .replace(/=/g, "")
    .replace(/\+/g, "-")
    .replace(/\//g, "_");
  authorizationCache[state] = { codeVerifier };

  const authorizationUrl = new URL(`${airtableUrl}/oauth2/v1/authorize`);
  authorizationUrl.searchParams.set("code_challenge", codeChallenge);
  authorizationUrl.searchParams.set("code_challenge_method", "S256");
  authorizationUrl.searchParams.set("state", state);
  authorizationUrl.searchParams.set("client_id", clientId);
  authorizationUrl.searchParams.set("redirect_uri", redirectUri);
  authorizationUrl.searchParams.set("response_type", "code");
  authorizationUrl.searchParams.set("scope", scope);
  response.json({ authorizationUrl: authorizationUrl.toString() });
});

app.get("/request-oauth-token", (request, response) => {
  const { state, code, error, error_description: errorDescription } = request.query;
  const cached = authorizationCache[state];
  if (cached === undefined) {
    return response.status(400).json({ error: "This request was not from Airtable!" });
  }
  delete authorizationCache[state];
  if (error) {
    return response.status(400).json({ error, errorDescription });
  }

  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  if (clientSecret !== "") {
    headers.Authorization = authorizationHeader;
  }
  axios({
    method: "POST",
    url: `${airtableUrl}/oauth2/v1/token`,
    headers,
    data: qs.stringify({
      client_id: clientId,
      code_verifier: cached.codeVerifier,
      redirect_uri: redirectUri,
      code,
      grant_type: "authorization_code",
    }),
  })
    .then((answer) => response.json(answer.data))
    .catch((failure) => {
      if (failure.response && [400, 401].includes(failure.response.status)) {
        response.status(failure.response.status).json(failure.response.data);
      } else if (failure.response) {
        response
          .status(failure.response.status)
          .json({ error: "Unknown error", details: failure.response.data });
      } else {
        response.status(500).json({ error: "Unknown error", details: failure.message });
      }
    });
});

app.listen(Number(port), "127.0.0.1");
