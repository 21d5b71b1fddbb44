-- Adds what a process has counted, once. The writer's number comes first: should the rest fail on
-- damaged data, then it is lost, and not counted again and again. Sums are Redis's own arithmetic,
-- because Lua's numbers are exact up to 2^53 only.
local writers, writers_order, activity, activity_order = unpack(KEYS, 3, 6)
local writer, number, at, forgotten_before, forget_max = unpack(ARGV, 3, 7)
local row_numbers, lines_max = tonumber(ARGV[8]), tonumber(ARGV[9])
local next_argument = 10

local function take()
  next_argument = next_argument + 1
  return ARGV[next_argument - 1]
end

-- The rows of an hour are equally long, one behind the other; its slots say whose is where. A Redis
-- has no longer strings than 512 MB, so that places are numbers which Lua prints as they are.
local function count(rows, slots, whose, minimum, sums)
  local slot = redis.call('HGET', slots, whose)
  if not slot then
    slot = redis.call('HLEN', slots)
    redis.call('HSET', slots, whose, slot)
  end
  local first = tonumber(slot) * row_numbers
  local steps = { 'OVERFLOW', 'SAT' }
  for index, more in string.gmatch(sums, '(%d+) (%d+)') do
    local last = #steps
    steps[last + 1], steps[last + 2] = 'INCRBY', 'i64'
    steps[last + 3], steps[last + 4] = '#' .. first + index, more
  end
  if #steps > 2 then
    redis.call('BITFIELD', rows, unpack(steps))
  end
  if minimum ~= '0' then
    local last = '#' .. first + row_numbers - 1
    local before = redis.call('BITFIELD', rows, 'GET', 'i64', last)[1]
    if before == 0 or tonumber(minimum) < before then
      redis.call('BITFIELD', rows, 'SET', 'i64', last, minimum)
    end
  end
end

-- One line for each writer, who spoke last at the end.
local function note(session, words)
  local lines, own = {}, writer .. ' '
  for line in string.gmatch(redis.call('HGET', activity, session) or '', '[^\n]+') do
    if string.sub(line, 1, #own) ~= own then
      lines[#lines + 1] = line
    end
  end
  lines[#lines + 1] = own .. words
  local first = math.max(1, #lines - lines_max + 1)
  redis.call('HSET', activity, session, table.concat(lines, '\n', first) .. '\n')
  redis.call('ZADD', activity_order, at, session)
end

local function forget(order, kept)
  local old = redis.call('ZRANGEBYSCORE', order, '-inf', '(' .. forgotten_before,
    'LIMIT', 0, forget_max)
  if #old > 0 then
    redis.call('ZREM', order, unpack(old))
    redis.call('HDEL', kept, unpack(old))
  end
end

-- Numbers are equally long, so that they compare as text.
local last = redis.call('HGET', writers, writer)
if last and number <= last then
  -- Written again so that a replica is asked to confirm it.
  redis.call('HSET', writers, writer, last)
  return { 'ok', 'before' }
end
redis.call('HSET', writers, writer, number)
redis.call('ZADD', writers_order, at, writer)

local hours = {}
for hour = 1, tonumber(take()) do
  hours[hour] = { rows = KEYS[5 + 2 * hour], slots = KEYS[6 + 2 * hour], until_s = take() }
end
for _ = 1, tonumber(take()) do
  local hour = hours[tonumber(take())]
  local whose, minimum, sums = take(), take(), take()
  count(hour.rows, hour.slots, whose, minimum, sums)
end
for _, hour in ipairs(hours) do
  redis.call('EXPIREAT', hour.rows, hour.until_s)
  redis.call('EXPIREAT', hour.slots, hour.until_s)
end
while next_argument <= #ARGV do
  local session, words = take(), take()
  note(session, words)
end
forget(writers_order, writers)
forget(activity_order, activity)
return { 'ok', 'now' }
