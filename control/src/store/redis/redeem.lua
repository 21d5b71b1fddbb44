-- Uses up a ticket, once. Those that are too old to be brought again are forgotten, oldest first.
local ticket, until_ms, tickets_forget_max = ARGV[8], ARGV[9], ARGV[10]

if redis.call('ZADD', redeemed, 'NX', until_ms, ticket) == 0 then
  return { 'no', 'exists' }
end
local old = redis.call('ZRANGEBYSCORE', redeemed, '-inf', '(' .. at, 'LIMIT', 0, tickets_forget_max)
if #old > 0 then
  redis.call('ZREM', redeemed, unpack(old))
end
append('noted', '')
note()
return { 'ok', version }
