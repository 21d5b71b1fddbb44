-- Creates or replaces a session.
local id, label, workspace, expected = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local record = ARGV[12] .. version .. ARGV[13]
local room, once_key, fingerprint, expires_at, keys_max =
  ARGV[14], ARGV[15], ARGV[16], ARGV[17], tonumber(ARGV[18])

if once_key ~= '' then
  local done = redis.call('HGET', once, once_key)
  if done then
    local until_at, by_id, by_fingerprint = string.match(done, '^(%d+) (%S+) (.*)$')
    if tonumber(until_at) > tonumber(at) then
      -- Written again so that a replica is asked to confirm it: the answer says that it was done.
      redis.call('HSET', once, once_key, done)
      return { 'no', 'done', by_id, by_fingerprint }
    end
  end
end

local current = redis.call('HGET', sessions, id)
if expected == '' then
  if current then
    return { 'no', 'id-taken' }
  end
  if redis.call('HEXISTS', labels, label) == 1 then
    return { 'no', 'label-taken' }
  end
  if room ~= '' then
    local count = redis.call('ZLEXCOUNT', workspaces, '[' .. workspace .. '\0',
      '(' .. workspace .. '\1')
    if count >= tonumber(room) then
      return { 'no', 'full' }
    end
  end
else
  local why = mismatch(current, expected)
  if why then
    return why
  end
  if label_of(current) ~= label or workspace_of(current) ~= workspace then
    return { 'no', 'fixed' }
  end
end

append('put', record)
redis.call('HSET', sessions, id, record)
redis.call('HSET', labels, label, id)
redis.call('ZADD', ids, 0, id)
redis.call('ZADD', workspaces, 0, workspace .. '\0' .. id)
redis.call('ZREM', tombstones, label)
if once_key ~= '' then
  -- Expired ones, oldest first, and whatever would be beyond the bound.
  for _ = 1, forget_max do
    local oldest = redis.call('ZRANGE', once_order, 0, 0)[1]
    if not oldest then
      break
    end
    local entry = redis.call('HGET', once, oldest)
    local is_over = not entry or tonumber(string.match(entry, '^%d+')) <= tonumber(at)
    if not is_over and redis.call('ZCARD', once_order) < keys_max then
      break
    end
    redis.call('ZREM', once_order, oldest)
    redis.call('HDEL', once, oldest)
  end
  redis.call('HSET', once, once_key, expires_at .. ' ' .. id .. ' ' .. fingerprint)
  redis.call('ZADD', once_order, version, once_key)
end
note()
return { 'ok', version }
