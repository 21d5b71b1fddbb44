-- Deletes a session; its label becomes a tombstone.
local id, expected, tombstones_max = ARGV[8], ARGV[9], tonumber(ARGV[10])

local current = redis.call('HGET', sessions, id)
local why = mismatch(current, expected)
if why then
  return why
end
local label, workspace = label_of(current), workspace_of(current)
if not label or not workspace then
  return { 'no', 'damaged', current }
end

append('deleted', current, label)
redis.call('HDEL', sessions, id)
redis.call('HDEL', labels, label)
redis.call('ZREM', ids, id)
redis.call('ZREM', workspaces, workspace .. '\0' .. id)
redis.call('ZADD', tombstones, version, label)
for _ = 1, forget_max do
  if redis.call('ZCARD', tombstones) <= tombstones_max then
    break
  end
  append('forgotten', redis.call('ZPOPMIN', tombstones)[1])
end
note(workspace)
return { 'ok', version, current }
