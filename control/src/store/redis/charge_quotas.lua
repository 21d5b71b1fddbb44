-- Counts what a replica has counted, once, and answers what all have. A window is a hash: of a fixed
-- one its beginning and its bytes, of a sliding one the bytes of its sub-windows by their beginnings.
-- Bytes stay text, because Lua's numbers are exact only up to 2^53.
local writer, number, writer_ttl, now = KEYS[3], ARGV[3], ARGV[4], tonumber(ARGV[5])
local last = redis.call('GET', writer)
local counts = not last or tonumber(number) > tonumber(last)
if counts then
  redis.call('SET', writer, number, 'PX', writer_ttl)
end

local answer = { 'ok' }
local argument = 6

-- The next arguments: how many parts, and moment and bytes of each.
local function each_part(count_part)
  local parts = tonumber(ARGV[argument])
  argument = argument + 1
  for _ = 1, parts do
    if counts then
      count_part(ARGV[argument], ARGV[argument + 1])
    end
    argument = argument + 2
  end
  return counts and parts > 0
end

-- `bound` is the length.
local function fixed(key, bound, ttl)
  local begun = redis.call('HGET', key, 'at')
  if begun and tonumber(begun) + bound <= now then
    begun = nil
  end
  local is_changed = each_part(function(at, bytes)
    if begun and tonumber(at) < tonumber(begun) + bound then
      redis.call('HINCRBY', key, 'bytes', bytes)
    else
      redis.call('HSET', key, 'at', at, 'bytes', bytes)
      begun = at
    end
  end)
  if is_changed then
    redis.call('PEXPIRE', key, ttl)
  end
  if begun then
    table.insert(answer, '1')
    table.insert(answer, begun)
    table.insert(answer, redis.call('HGET', key, 'bytes'))
  else
    table.insert(answer, '0')
  end
end

-- `bound` is the beginning of the oldest sub-window that counts.
local function sliding(key, bound, ttl)
  local is_changed = each_part(function(at, bytes)
    redis.call('HINCRBY', key, at, bytes)
  end)
  if is_changed then
    redis.call('PEXPIRE', key, ttl)
  end
  local kept, place = redis.call('HGETALL', key), #answer + 1
  local parts = 0
  answer[place] = '0'
  for i = 1, #kept, 2 do
    if tonumber(kept[i]) < bound then
      redis.call('HDEL', key, kept[i])
    else
      parts = parts + 1
      table.insert(answer, kept[i])
      table.insert(answer, kept[i + 1])
    end
  end
  answer[place] = tostring(parts)
end

for i = 4, #KEYS do
  local kind, bound, ttl = ARGV[argument], tonumber(ARGV[argument + 1]), ARGV[argument + 2]
  argument = argument + 3
  if kind == 'fixed' then
    fixed(KEYS[i], bound, ttl)
  else
    sliding(KEYS[i], bound, ttl)
  end
end
return answer
