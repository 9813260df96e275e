package state

import "github.com/redis/go-redis/v9"

// lookScript renews our marker, and tells how the server is and what changed. A full server's refusal doesn't keep it
// from reading; that of a replica is an error, on which the client connects anew (a name may lead to another server
// now). Returns: the marker that stood, the refusal, the server's run id, its role, how much it evicted, 1 if our
// marker wasn't in the index, names with revisions after the one that was seen, a few names from anywhere in it, and
// what the server's clock says (µs).
//
// KEYS: our marker, index.
// ARGV: the marker's name, its value, its TTL (ms), the TTL of keys (ms), the revision seen, the greatest number of
// names, from where in the index, to where, the channel, and our run id where the others are to look now, or nothing.
var lookScript = redis.NewScript(`
local stood, now = redis.pcall('GET', KEYS[1]), redis.call('TIME')
local wrote, added = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]), 0
if wrote.err and wrote.err:find('READONLY', 1, true) then return redis.error_reply(wrote.err) end
if not wrote.err then
	added = redis.call('ZADD', KEYS[2], '+inf', ARGV[1])
	redis.call('PEXPIRE', KEYS[2], ARGV[4])
	if ARGV[10] ~= '' then redis.call('PUBLISH', ARGV[9], ARGV[10]) end
end
return {
	stood, wrote.err or '',
	redis.call('INFO', 'server'):match('run_id:(%w+)') or '',
	redis.call('INFO', 'replication'):match('role:(%w+)') or '',
	redis.call('INFO', 'stats'):match('evicted_keys:(%d+)') or '',
	added,
	redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[5], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[6]),
	redis.call('ZRANGE', KEYS[2], ARGV[7], ARGV[8]),
	string.format('%.0f', now[1] * 1000000 + now[2]),
}`)

// getScript returns the values of keys: nil where there is none, and such a name leaves the index; a number instead of
// what is too large or no string.
//
// KEYS: index, then the keys. ARGV: the greatest length, then their names.
var getScript = redis.NewScript(`
local values = {}
for i = 2, #KEYS do
	local length = redis.pcall('STRLEN', KEYS[i])
	if type(length) == 'table' or length > tonumber(ARGV[1]) then
		values[i - 1] = 0
	else
		values[i - 1] = redis.call('GET', KEYS[i])
		if not values[i - 1] then redis.pcall('ZREM', KEYS[1], ARGV[i]) end
	end
end
return values`)

// putScript writes each value whose rank is greater than what stands, gives it a revision and tells the others. A value
// that stands already is renewed. What can't be ours (too large, no string, or the bytes that the caller found to be
// forged) counts as nothing. Returns for each key 1, or the value that stands against it.
//
// A revision is the server's clock in microseconds, and greater than every other in the index: also where that was
// lost, nobody who has seen revisions takes a newer one for an older.
//
// KEYS: index, then the keys.
// ARGV: the TTL of keys (ms), the greatest length, the channel, our run id, then for each key its name, value, and what
// was found there and is forged, or nothing.
var putScript = redis.NewScript(`
local answers, changed = {}, false
local function revise(name)
	local most = '(' .. string.format('%.0f', 2^53)
	local top = redis.call('ZREVRANGEBYSCORE', KEYS[1], most, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
	local now = redis.call('TIME')
	local revision = math.max(now[1] * 1000000 + now[2], tonumber(top[2] or 0) + 1)
	redis.call('ZADD', KEYS[1], string.format('%.0f', revision), name)
	changed = true
end
for i = 2, #KEYS do
	local a = 5 + (i - 2) * 3
	local name, value, forged = ARGV[a], ARGV[a + 1], ARGV[a + 2]
	local length, stands = redis.pcall('STRLEN', KEYS[i]), false
	if type(length) == 'number' and length > 0 and length <= tonumber(ARGV[2]) then
		stands = redis.call('GET', KEYS[i])
	end
	answers[i - 1] = 1
	if stands == value then
		redis.call('PEXPIRE', KEYS[i], ARGV[1])
		if not redis.call('ZSCORE', KEYS[1], name) then revise(name) end
	elseif stands and stands ~= forged and stands:sub(1, 20) >= value:sub(1, 20) then
		answers[i - 1] = stands
	else
		redis.call('SET', KEYS[i], value, 'PX', ARGV[1])
		revise(name)
	end
end
if changed then
	redis.call('PEXPIRE', KEYS[1], ARGV[1])
	redis.call('PUBLISH', ARGV[3], ARGV[4])
end
return answers`)

// maxSealed is the greatest length of a value in the store.
const maxSealed = sealLength + maxValue
