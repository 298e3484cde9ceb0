-- URL and exchange in turn, each login with its own cookie. Prints requests, seconds and failures.
local pending = {}
exchanged, failed = 0, 0

function request()
  local login = table.remove(pending)
  if not login then return wrk.format("GET", "/authorization-url") end
  return wrk.format("POST", "/token-exchange", {
    ["Content-Type"] = "application/json", ["X-CSRF"] = "1", ["Cookie"] = login.cookie,
  }, '{"code":"c","state":"' .. login.state .. '"}')
end

function response(status, headers, body)
  local state = body:match("state=([%w._-]+)")
  if status ~= 200 then failed = failed + 1
  elseif state then table.insert(pending, { state = state, cookie = headers["set-cookie"]:match("^[^;]+") })
  else exchanged = exchanged + 1 end
end

function setup(thread) worker = thread end

function done(summary)
  local errors = summary.errors
  print(string.format("RESULT %d %f %d", worker:get("exchanged") or 0, summary.duration / 1e6,
    (worker:get("failed") or 0) + errors.connect + errors.read + errors.write + errors.timeout))
end
