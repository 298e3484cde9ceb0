-- Requests an authorization URL and exchanges its code, in turn. The argument chooses the routes:
-- "service" (each login with its own cookie) or "node".
-- Prints the requests of complete logins, seconds, failures, and bytes received.
local pending = {}
exchanged, failed = 0, 0

function init(arguments) routes = arguments[1] == "node" and node or service end

function request()
  local login = table.remove(pending)
  return login and routes.exchange(login) or wrk.format("GET", routes.url)
end

function response(status, headers, body)
  local state = body:match("state=([%w._-]+)")
  if status ~= 200 then failed = failed + 1
  elseif state then table.insert(pending, { state = state, cookie = headers["set-cookie"] })
  elseif body:find('"access_token"', 1, true) then exchanged = exchanged + 1
  else failed = failed + 1 end
end

service = {
  url = "/authorization-url",
  exchange = function(login)
    return wrk.format("POST", "/token-exchange", {
      ["Content-Type"] = "application/json", ["X-CSRF"] = "1", ["Cookie"] = login.cookie:match("^[^;]+"),
    }, '{"code":"c","state":"' .. login.state .. '"}')
  end,
}

node = {
  url = "/get-authorization-url",
  exchange = function(login)
    return wrk.format("GET", "/request-oauth-token?code=c&state=" .. login.state)
  end,
}

function setup(thread) worker = thread end

function done(summary)
  local errors = summary.errors
  print(string.format("RESULT %d %f %d %d", 2 * (worker:get("exchanged") or 0), summary.duration / 1e6,
    (worker:get("failed") or 0) + errors.connect + errors.read + errors.write + errors.timeout, summary.bytes))
end
