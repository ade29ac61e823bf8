"""Every change of the state as one Lua script: it happens at once or not at all, and only for the holder of the lease.

``KEYS[1]`` is the hash of one app in one environment, ``ARGV[1]`` the writer's fence. Fields of the hash: ``fence`` (the
counter), ``holder`` and ``expires_at`` (the lease), ``want:<track>``, ``left:<container>``, ``note``, ``written`` and
``written_at``. What Traefik reads are keys of their own; they are overwritten rather than deleted and made again, because
Traefik first lists the keys and then reads them.
"""

from __future__ import annotations

CLOCK = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local key = KEYS[1]
local holder = redis.call('HGET', key, 'holder')
local function servers(service)
  local found = {}
  while true do
    local url = redis.call('GET', service .. '/loadbalancer/servers/' .. #found .. '/url')
    if not url then return found end
    found[#found + 1] = url
  end
end
"""

FENCED = (
    CLOCK
    + """
if not holder or redis.call('HGET', key, 'fence') ~= ARGV[1] then return {'fence', holder or ''} end
local function put(name, value)
  if redis.call('GET', name) == value then return false end
  redis.call('SET', name, value)
  return true
end
local function define(service, path)
  put(service .. '/loadbalancer/passhostheader', 'true')
  put(service .. '/loadbalancer/healthcheck/path', path)
  put(service .. '/loadbalancer/healthcheck/interval', '1s')
  put(service .. '/loadbalancer/healthcheck/timeout', '5s')
end
local function serve(service, urls, path)
  if path ~= '' then define(service, path) end
  local before = #servers(service)
  for i, url in ipairs(urls) do put(service .. '/loadbalancer/servers/' .. (i - 1) .. '/url', url) end
  for i = #urls, before - 1 do redis.call('DEL', service .. '/loadbalancer/servers/' .. i .. '/url') end
end
"""
)

TAKE = (
    CLOCK
    + """
local expires = tonumber(redis.call('HGET', key, 'expires_at') or '0')
if holder and holder ~= ARGV[1] and expires > now and ARGV[3] ~= '1' then
  return {'held', holder, string.format('%.3f', expires)}
end
if holder ~= ARGV[1] then redis.call('HINCRBY', key, 'fence', 1) end
local until_ = string.format('%.6f', now + tonumber(ARGV[2]))
redis.call('HSET', key, 'holder', ARGV[1], 'expires_at', until_)
return {'ok', redis.call('HGET', key, 'fence'), until_}
"""
)
"""``ARGV``: holder, seconds, 1 to take precedence."""

RENEW = (
    FENCED
    + """
local until_ = string.format('%.6f', now + tonumber(ARGV[2]))
redis.call('HSET', key, 'expires_at', until_)
return {'ok', until_}
"""
)

GIVE_BACK = (
    FENCED
    + """
redis.call('HDEL', key, 'holder', 'expires_at')
return {'ok', '1'}
"""
)

WANT = (
    FENCED
    + """
local field, wanted = 'want:' .. ARGV[2], cjson.decode(ARGV[3])
local was = cjson.decode(redis.call('HGET', key, field) or '{}')
local same = was.digest == wanted.digest and was.image == wanted.image and was.replicas == wanted.replicas
if same and was.version == wanted.version and not was.failure then return {'ok', '0'} end
wanted.progress_at = now
redis.call('HSET', key, field, cjson.encode(wanted))
return {'ok', '1'}
"""
)
"""``ARGV``: track, what it shall run as JSON. A track that failed gets another try."""

NOTE_WANT = (
    FENCED
    + """
local field = 'want:' .. ARGV[2]
local was = cjson.decode(redis.call('HGET', key, field) or '{}')
if was.digest ~= ARGV[3] then return {'ok', '0'} end
for name, value in pairs(cjson.decode(ARGV[4])) do was[name] = value end
redis.call('HSET', key, field, cjson.encode(was))
return {'ok', '1'}
"""
)
"""``ARGV``: track, digest that must still be wanted, what to add to it as JSON."""

LIST = (
    FENCED
    + """
local service, field = ARGV[2], 'want:' .. ARGV[7]
if table.concat(servers(service), ' ') ~= ARGV[4] then return {'ok', '0'} end
local urls = {}
for url in string.gmatch(ARGV[5], '%S+') do urls[#urls + 1] = url end
serve(service, urls, ARGV[3])
for id in string.gmatch(ARGV[6], '%S+') do
  redis.call('HSETNX', key, 'left:' .. id, string.format('%.6f', now))
end
local want = redis.call('HGET', key, field)
if want then
  want = cjson.decode(want)
  want.progress_at = now
  redis.call('HSET', key, field, cjson.encode(want))
end
return {'ok', '1'}
"""
)
"""``ARGV``: service key, health path, servers as they were read, servers to be, containers that leave, track."""

SPLIT = (
    FENCED
    + """
local router, service, weights, changed = ARGV[2], ARGV[3], cjson.decode(ARGV[5]), false
for i, track in ipairs({'stable', 'canary'}) do
  define(service .. '-' .. track, ARGV[8])
  put(service .. '/weighted/services/' .. (i - 1) .. '/name', ARGV[4] .. '-' .. track)
  changed = put(service .. '/weighted/services/' .. (i - 1) .. '/weight', tostring(weights[track])) or changed
end
if changed then redis.call('HSET', key, 'written_at', string.format('%.6f', now)) end
redis.call('HSET', key, 'written', ARGV[5])
changed = put(router .. '/entrypoints/0', 'web') or changed
changed = put(router .. '/service', ARGV[4]) or changed
changed = put(router .. '/rule', ARGV[6]) or changed
if redis.call('HGET', key, 'note') ~= ARGV[7] then
  redis.call('HSET', key, 'note', ARGV[7])
  changed = true
end
return {'ok', changed and '1' or '0'}
"""
)
"""``ARGV``: router key, weighted service key, its name, weights as JSON, rule, note as JSON, health path."""

RETIRE = (
    FENCED
    + """
local weight = ARGV[3] ~= '' and tonumber(redis.call('GET', ARGV[3]) or '0') or 0
if weight > 0 then return {'busy', tostring(weight)} end
local there = redis.call('HDEL', key, 'want:' .. ARGV[4])
if #servers(ARGV[2]) > 0 then
  serve(ARGV[2], {}, '')
  there = 1
end
local since = now - tonumber(redis.call('HGET', key, 'written_at') or '0')
return {'ok', tostring(there), string.format('%.3f', since)}
"""
)
"""``ARGV``: service key, key of its weight, track."""

LOOK = (
    CLOCK
    + """
local seen = {fields = {}, weights = {}, servers = {}, now = string.format('%.6f', now)}
local flat = redis.call('HGETALL', key)
for i = 1, #flat, 2 do seen.fields[flat[i]] = flat[i + 1] end
for i, track in ipairs({'stable', 'canary', 'preview'}) do
  seen.servers[track] = table.concat(servers(ARGV[1] .. '-' .. track), ' ')
  seen.weights[track] = redis.call('GET', ARGV[1] .. '/weighted/services/' .. (i - 1) .. '/weight') or nil
end
return cjson.encode(seen)
"""
)
"""``ARGV``: weighted service key. Reads only."""
