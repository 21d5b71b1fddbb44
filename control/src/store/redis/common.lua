-- What every write begins with. Each script checks first and changes then, so that a refused write
-- leaves nothing behind. Redis does not take back what a script did before an error: the entry of
-- the log, the one step that can fail on damaged data, therefore comes first.
local identity, form, position, log, audit, sessions, labels, ids, workspaces, tombstones, once,
  once_order, redeemed, documents = unpack(KEYS)
local at, forget_max = ARGV[3], tonumber(ARGV[7])

-- Lua prints large numbers in scientific form.
local function digits(number)
  return string.format('%.0f', number)
end

local found = redis.call('MGET', identity, form, position)
if found[1] ~= ARGV[1] then
  return { 'no', 'replaced', found[1] or '' }
end
if found[2] ~= ARGV[2] then
  return { 'no', 'form', found[2] or '' }
end
local newest = tonumber(found[3] or '0')
local version = digits(newest + 1)

-- The label is for who cannot read the record of a deletion.
local function append(kind, payload, label)
  newest = newest + 1
  redis.call('XADD', log, 'MAXLEN', ARGV[4], digits(newest) .. '-0',
    'kind', kind, 'at', at, 'payload', payload, 'label', label or '')
  redis.call('SET', position, digits(newest))
end

-- At the position of the change that it is about, or of what that change brought with it. The
-- workspace is that of a deleted session, which only the script knows.
local function note(workspace)
  redis.call('XADD', audit, 'MAXLEN', ARGV[5], digits(newest) .. '-0',
    'record', ARGV[6], 'workspace', workspace or '')
end

-- Of a record or a document, as far as it can be read: empty where it is damaged. cjson is not used:
-- it would refuse the whole record for a damage that is elsewhere.
local function version_of(bytes)
  return string.match(bytes, '^{"v":%d+,"version":(%d+)') or ''
end

-- Of a record. Names have no quotes, and these come before what could hold their like.
local function label_of(bytes)
  return string.match(bytes, '"label":"([^"]+)"')
end

local function workspace_of(bytes)
  return string.match(bytes, '"workspace":"([^"]+)"')
end

-- Why what is there is not what a write expects; nothing where it is. Without an expected version
-- whatever is there will do.
local function mismatch(current, expected)
  if not current then
    return { 'no', 'missing' }
  end
  if expected ~= '' and version_of(current) ~= expected then
    return { 'no', 'changed', version_of(current) }
  end
end
