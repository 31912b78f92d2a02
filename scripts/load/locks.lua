-- For wrk: each connection's thread acquires and releases locks of its own, one after another; every answer rests on a
-- commit. TOKEN is the bearer token.
local token = os.getenv("TOKEN")
local threads = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init()
    count = 0
    good = 0
    refused = 0
    math.randomseed(number + 1)
end

local function id(n)
    return string.format("%08x-0000-4000-8000-%012x", number, n)
end

function request()
    count = count + 1
    local n = math.floor(count / 2) % 50000
    -- Two requests on one name seldom meet: they are as far apart as there are connections.
    local verb = count % 2 == 1 and "acquire" or "release"
    local body = string.format('{"lease_id":"%s"}', id(n))
    local headers = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
    return wrk.format("POST", string.format("/locks/load-%d-%d/%s", number, n, verb), headers, body)
end

function response(status)
    if status == 200 then
        good = good + 1
    elseif status == 503 then
        refused = refused + 1
    end
end
