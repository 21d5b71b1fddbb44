-- For a script that is no write of the change log: whether this is the store that was meant.
local found = redis.call('MGET', KEYS[1], KEYS[2])
if found[1] ~= ARGV[1] then
  return { 'no', 'replaced', found[1] or '' }
end
if found[2] ~= ARGV[2] then
  return { 'no', 'form', found[2] or '' }
end
