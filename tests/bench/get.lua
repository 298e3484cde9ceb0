-- GETs the URL of the command line. Prints requests, seconds, failures, and bytes received.
function done(summary)
  local errors = summary.errors
  print(string.format("RESULT %d %f %d %d", summary.requests, summary.duration / 1e6,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout, summary.bytes))
end
