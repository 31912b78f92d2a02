-- For wrk: each thread acquires locks of its own, and releases each of them some thousand requests later. Every answer
-- rests on a commit. With RENEW set each is renewed once between, which rests on none. TOKEN is the bearer token. At the
-- end it prints the answers a second: 200, 503, and others.
local token = os.getenv("TOKEN")
local renew = os.getenv("RENEW")
-- So many locks are held before the first is released: more than there are connections, so that no release overtakes
-- its acquire.
local lag = 4000
local threads = {}

function setup(thread)
    thread:set("number", #threads)
    table.insert(threads, thread)
end

function init()
    sent, good, refused, other = 0, 0, 0, 0
end

function request()
    sent = sent + 1
    local step = renew and 3 or 2
    local turn, part = math.floor(sent / step), sent % step
    local name, verb = turn, "acquire"
    if part ~= 0 and turn > lag then
        name, verb = turn - lag, "release"
        if part == 2 then
            name, verb = turn - lag / 2, "renew"
        end
    elseif part ~= 0 then
        -- Nothing is old enough yet: locks that are let run out.
        name = part * 1e9 + turn
    end
    local body = string.format('{"lease_id":"%08x-0000-4000-8000-%012x"}', number, name)
    local headers = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
    return wrk.format("POST", string.format("/locks/load-%d-%d/%s", number, name, verb), headers, body)
end

function response(status)
    if status == 200 then
        good = good + 1
    elseif status == 503 then
        refused = refused + 1
    else
        other = other + 1
    end
end

function done(summary)
    local good, refused, other = 0, 0, 0
    for _, thread in ipairs(threads) do
        good, refused, other = good + thread:get("good"), refused + thread:get("refused"), other + thread:get("other")
    end
    local s, e = summary.duration / 1e6, summary.errors
    local broken = e.connect + e.read + e.write + e.timeout
    io.write(string.format("answers: %d %d %d %d\n", good / s, refused / s, other / s, broken))
end
