-- For wrk: as many callers as connections, each with one lock of its own, which it acquires and releases over and over;
-- each answer rests on a commit. With RENEW set it is renewed once between, which rests on none. TOKEN is the bearer
-- token, CALLERS the number of callers of a thread. At the end it prints the answers a second, by status.
--
-- wrk does not say to which request an answer belongs, but an answer with success has the lease id, and in that is the
-- lock's number: so a caller goes on when its answer has come, and no release overtakes its acquire. Whose request was
-- refused is not told. Then some connection finds no caller that is ready, and the one that has waited longest begins
-- anew: an acquire is always right, for a lock keeps its lease id, also from run to run.
local token = os.getenv("TOKEN")
local callers = tonumber(os.getenv("CALLERS"))
local after = { acquired = os.getenv("RENEW") and "renew" or "release", renewed = "release", released = "acquire" }
local answer_to = { acquire = "acquired", renew = "renewed", release = "released" }
local headers = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
local threads = {}

function setup(thread)
    thread:set("number", #threads)
    table.insert(threads, thread)
end

function init()
    good, refused, other, example = 0, 0, 0, 0
    sent = 0
    -- By lock: the next verb; when it was sent, or nil if the caller is ready.
    verbs, since = {}, {}
    -- The callers that are ready: from `first` to `last`, a queue.
    ready, first, last = {}, 1, callers
    for caller = 1, callers do
        local lock = number * callers + caller
        verbs[lock], ready[caller] = "acquire", lock
    end
end

local function longest_waiting()
    local longest
    for lock, at in pairs(since) do
        if not longest or at < since[longest] then
            longest = lock
        end
    end
    return longest
end

function request()
    sent = sent + 1
    local lock = ready[first]
    if lock then
        ready[first], first = nil, first + 1
    else
        lock = longest_waiting()
        verbs[lock] = "acquire"
    end
    since[lock] = sent
    local body = string.format('{"lease_id":"00000000-0000-4000-8000-%012x","ttl_seconds":10}', lock)
    return wrk.format("POST", string.format("/locks/load-%d/%s", lock, verbs[lock]), headers, body)
end

function response(status, _, body)
    if status == 200 then
        good = good + 1
        local done, lock = string.match(body, '"status":"(%a+)".-"lease_id":"00000000%-0000%-4000%-8000%-(%x+)"')
        lock = lock and tonumber(lock, 16)
        -- Not if it is the second answer to a caller that had begun anew.
        if lock and since[lock] and answer_to[verbs[lock]] == done then
            verbs[lock], since[lock] = after[done], nil
            last = last + 1
            ready[last] = lock
        end
    elseif status == 503 then
        refused = refused + 1
    else
        other, example = other + 1, status
    end
end

local function warn(share, what, hint)
    if share > 0.01 then
        io.write(string.format("warning: %.0f %% of the answers were %s%s\n", share * 100, what, hint))
    end
end

local hints = {
    [401] = ": is TOKEN, or local.token, that of this server?",
    [403] = ": the user may hold fewer locks than there are connections; see octostore's --max-locks-per-user",
}

function done(summary)
    local good, refused, other, example = 0, 0, 0, 0
    for _, thread in ipairs(threads) do
        good, refused, other = good + thread:get("good"), refused + thread:get("refused"), other + thread:get("other")
        example = math.max(example, thread:get("example"))
    end
    local s, e = summary.duration / 1e6, summary.errors
    local broken = e.connect + e.read + e.write + e.timeout
    io.write(string.format("answers: 200: %d/s, 503: %d/s, others: %d/s, broken connections: %d\n", good / s, refused / s,
        other / s, broken))
    local all = math.max(good + refused + other, 1)
    warn(refused / all, "503", ": more than the server can serve")
    warn(other / all, "neither 200 nor 503, but such as " .. example, hints[example] or "")
    if good == 0 then
        io.write("warning: nothing was answered with success\n")
    end
end
