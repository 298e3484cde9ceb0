// Forwards /airtable/… to Airtable with a token, by http-proxy-middleware.
const http = require("node:http");
const express = require("express");
const { createProxyMiddleware } = require("http-proxy-middleware");

const { PORT: port, AIRTABLE_URL: target, ACCESS_TOKEN: token } = process.env;

const app = express();
app.use(
  createProxyMiddleware({
    target,
    changeOrigin: true,
    pathFilter: "/airtable",
    pathRewrite: { "^/airtable": "" },
    headers: { Authorization: `Bearer ${token}` },
    // As in production: without an agent, each request would open a new connection.
    agent: new http.Agent({ keepAlive: true }),
  }),
);
app.listen(Number(port), "127.0.0.1");
