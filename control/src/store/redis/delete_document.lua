-- Deletes a document.
local name, expected, key = ARGV[8], ARGV[9], ARGV[10]

local current = redis.call('HGET', documents, name)
local why = mismatch(current, expected)
if why then
  return why
end

append('document-deleted', key)
redis.call('HDEL', documents, name)
note()
return { 'ok', version, current }
