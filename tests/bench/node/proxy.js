// /airtable/… sent on to Airtable with a token, as http-proxy-middleware does it.
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
    // Without an agent each request would connect anew: this is the proxy as one would deploy it.
    agent: new http.Agent({ keepAlive: true }),
  }),
);
app.listen(Number(port), "127.0.0.1");
