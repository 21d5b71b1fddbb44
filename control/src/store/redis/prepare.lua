#!lua
-- Names a store that is really new, and answers the identity and the form of the one that is there.
-- One with data and without an identity has lost it, and gets a new one only on demand.
local found = redis.call('MGET', KEYS[1], KEYS[2])
if found[1] then
  return { found[1], found[2] or '' }
end
if ARGV[3] ~= 'whatever' and redis.call('EXISTS', unpack(KEYS)) > 0 then
  return { '', found[2] or '' }
end
local form = found[2] or ARGV[2]
redis.call('MSET', KEYS[1], ARGV[1], KEYS[2], form)
return { ARGV[1], form }
