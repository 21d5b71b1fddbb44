-- Deletes a document.
local name, expected, key = ARGV[8], ARGV[9], ARGV[10]

local current = redis.call('HGET', documents, name)
if not current then
  return { 'no', 'missing' }
end
if expected ~= '' and version_of(current) ~= expected then
  return { 'no', 'changed', version_of(current) }
end

append('document-deleted', key)
redis.call('HDEL', documents, name)
note()
return { 'ok', version, current }
