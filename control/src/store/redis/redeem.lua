-- Uses up a ticket, once. Those that are too old to be brought again are forgotten.
local ticket, until_ms = ARGV[8], ARGV[9]

if redis.call('ZADD', redeemed, 'NX', until_ms, ticket) == 0 then
  return { 'no', 'exists' }
end
redis.call('ZREMRANGEBYSCORE', redeemed, '-inf', '(' .. at)
append('noted', '')
note()
return { 'ok', version }
