-- Creates or replaces a document. `expected` is a version, `absent`, or nothing for whatever.
local name, expected = ARGV[8], ARGV[9]
local document = ARGV[10] .. version .. ARGV[11]

local current = redis.call('HGET', documents, name)
if expected == 'absent' then
  if current then
    return { 'no', 'exists' }
  end
elseif expected ~= '' then
  local why = mismatch(current, expected)
  if why then
    return why
  end
end

append('document-put', document)
redis.call('HSET', documents, name, document)
note()
return { 'ok', version }
