-- Counts a batch once, however often it is sent. Redis runs it as one step and replicates it as one.
--
-- KEYS: the count; the record of the producer. ARGV: the batch's sequence number, or 0 for a probe, which
-- has no record; the hits; the lifetime of the record in ms; the minimum that the count can be.
-- Returns what it did and the count after it, as text: Lua's numbers are exact up to 2^53 only.
local sequence, hits, lifetime, floor = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if sequence ~= '0' then
    local record = redis.call('HMGET', KEYS[2], 'sequence', 'count')
    if record[1] == sequence then
        -- A write, though nothing changes: WAIT waits for writes of its own connection only.
        redis.call('PEXPIRE', KEYS[2], lifetime)
        return {'repeated', record[2]}
    end
    if record[1] and tonumber(record[1]) > tonumber(sequence) then
        return {'stale', record[1]}
    end
end

local before = redis.call('GET', KEYS[1])
if before and string.sub(before, 1, 1) == '-' then
    return {'negative', before}
end
local outcome = 'counted'
if tonumber(before or '0') and tonumber(before or '0') < tonumber(floor) then
    redis.call('SET', KEYS[1], floor)
    outcome = 'raised'
end
redis.call('INCRBY', KEYS[1], hits)
local count = redis.call('GET', KEYS[1])
if sequence ~= '0' then
    redis.call('HSET', KEYS[2], 'sequence', sequence, 'count', count)
    redis.call('PEXPIRE', KEYS[2], lifetime)
end
return {outcome, count}
