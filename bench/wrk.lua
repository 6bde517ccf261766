-- Posts the requests in a directory in turn, and counts wrong answers:
--   wrk [options] -s wrk.lua URL -- DIRECTORY NAME:VALUE,NAME:VALUE... [varied]
-- DIRECTORY contains request-1, request-2, ... and answer-1, answer-2, ... An answer is right if
-- its status is 200 and its body is one of these, except for the last digits of numbers. NAME and
-- VALUE are the headers of the requests.
-- With `varied`, each request has its own x-request-id and traceparent, as behind a proxy that
-- traces requests.

local TOLERANCE = 1e-6
local NUMBER = "%-?%d+%.?%d*[eE]?[%+%-]?%d*"
local KNOWN_AT_MOST = 1000

local loading, requests, bodies, headers, varied, answers, known, known_count, next_request

local function read_all(directory, kind)
  local contents = {}
  while true do
    local file = io.open(directory .. "/" .. kind .. "-" .. #contents + 1, "rb")
    if not file then return contents end
    contents[#contents + 1] = file:read("*a")
    file:close()
  end
end

local function is_near(answer, expected)
  if answer:gsub(NUMBER, "0") ~= expected:gsub(NUMBER, "0") then return false end
  local others = expected:gmatch(NUMBER)
  for text in answer:gmatch(NUMBER) do
    local number, other = tonumber(text), tonumber(others())
    local bound = TOLERANCE * math.max(1, math.abs(other))
    if not (math.abs(number - other) <= bound) then return false end
  end
  return true
end

local function is_right(answer)
  if known[answer] then return true end
  for _, expected in ipairs(answers) do
    if is_near(answer, expected) then
      known_count = known_count + 1
      if known_count <= KNOWN_AT_MOST then known[answer] = true end
      return true
    end
  end
  return false
end

function setup(thread)
  loading = thread
end

function init(arguments)
  wrong = 0
  headers, varied = {}, arguments[3] == "varied"
  for name, value in arguments[2]:gmatch("([^:,]+):([^,]+)") do headers[name] = value end
  next_request, requests, known, known_count = 0, {}, {}, 0
  answers = read_all(arguments[1], "answer")
  for _, answer in ipairs(answers) do known[answer] = true end
  bodies = read_all(arguments[1], "request")
  for index, body in ipairs(bodies) do
    requests[index] = wrk.format("POST", nil, headers, body)
  end
end

local function with_ids(number, body)
  headers["x-request-id"] = string.format("%08x-0000-4000-8000-%012x", number, number)
  headers["traceparent"] = string.format("00-%032x-%016x-01", number, number)
  return wrk.format("POST", nil, headers, body)
end

function request()
  next_request = next_request + 1
  local index = (next_request - 1) % #requests + 1
  if varied then return with_ids(next_request, bodies[index]) end
  return requests[index]
end

function response(status, headers, body)
  if status ~= 200 or not is_right(body) then wrong = wrong + 1 end
end

function done(summary, latency)
  local failed = summary.errors
  print(string.format(
    '{"answers": %d, "wrong": %d, "failed": %d, "seconds": %.6f, "p50": %d, "p99": %d}',
    summary.requests, loading:get("wrong"),
    failed.connect + failed.read + failed.write + failed.timeout,
    summary.duration / 1e6, latency:percentile(50), latency:percentile(99)
  ))
end
