-- GETs a page of records with the cookies of the command line in turn. The 900 bases take turns, because
-- the service sends only five requests per second to a base. Prints the same as get.lua.
require "get"

local pages, turn = {}, 0

function init(arguments)
  for base = 1, 900 do
    local path = string.format("/airtable/v0/app%014d/tblBench", base)
    pages[base] = wrk.format("GET", path, { ["Cookie"] = arguments[(base - 1) % #arguments + 1] })
  end
end

function request()
  turn = turn % #pages + 1
  return pages[turn]
end
