"""Every change of the state as one Lua script: it happens at once or not at all, and only for the holder of the lease.

``KEYS[1]`` is the hash of one app in one environment, ``ARGV[1]`` the writer's fence. Fields of the hash: ``fence`` (the
counter), ``holder`` and ``expires_at`` (the lease), ``want:<track>``, ``left:<container>``, ``note``, ``written``,
``written_at``, and ``config:<digest>`` of the last few digests of stable, in the order of ``configs``. What Traefik reads are keys of their own; they are overwritten rather than deleted and made again, because
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
local kept = 'config:' .. wanted.digest
if ARGV[4] == '1' then
  local config = redis.call('HGET', key, kept)
  if config then wanted.workload = cjson.decode(config) end
end
local same = was.digest == wanted.digest and was.image == wanted.image and was.replicas == wanted.replicas
if same and was.version == wanted.version and was.share == wanted.share and not was.failure then return {'ok', '0'} end
wanted.progress_at = now
redis.call('HSET', key, field, cjson.encode(wanted))
if ARGV[2] == 'stable' then
  redis.call('HSET', key, kept, cjson.encode(wanted.workload))
  local order = cjson.decode(redis.call('HGET', key, 'configs') or '[]')
  for i = #order, 1, -1 do if order[i] == wanted.digest then table.remove(order, i) end end
  table.insert(order, wanted.digest)
  while #order > 5 do redis.call('HDEL', key, 'config:' .. table.remove(order, 1)) end
  redis.call('HSET', key, 'configs', cjson.encode(order))
end
return {'ok', '1'}
"""
)
"""``ARGV``: track, what it shall run as JSON, 1 to take the configuration that this digest had on stable last.

A track that failed gets another try."""

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
local to, changed = cjson.decode(ARGV[2]), false
local router, service = to.routers .. '/' .. to.name, to.services .. '/' .. to.name
local function forget(name)
  if redis.call('DEL', name) > 0 then changed = true end
end
local function route(name, rule, target)
  changed = put(name .. '/entrypoints/0', 'web') or changed
  changed = put(name .. '/service', target) or changed
  changed = put(name .. '/rule', rule) or changed
end
for i, track in ipairs(to.tracks) do
  define(service .. '-' .. track, to.health)
  put(service .. '/weighted/services/' .. (i - 1) .. '/name', to.name .. '-' .. track)
  changed = put(service .. '/weighted/services/' .. (i - 1) .. '/weight', tostring(to.weights[track] or 0)) or changed
end
if to.cookie ~= '' then
  changed = put(service .. '/weighted/sticky/cookie/name', to.cookie) or changed
else
  forget(service .. '/weighted/sticky/cookie/name')
end
if to.mirror > 0 then
  local mirror = service .. '-mirror/mirroring'
  put(mirror .. '/service', to.name)
  put(mirror .. '/mirrors/0/name', to.name .. '-canary')
  changed = put(mirror .. '/mirrors/0/percent', tostring(to.mirror)) or changed
end
route(router, to.rule, to.mirror > 0 and to.name .. '-mirror' or to.name)
if to.testers ~= '' then
  route(router .. '-testers', to.testers, to.name .. '-canary')
else
  for _, part in ipairs({'/entrypoints/0', '/service', '/rule'}) do forget(router .. '-testers' .. part) end
end
if changed then redis.call('HSET', key, 'written_at', string.format('%.6f', now)) end
redis.call('HSET', key, 'written', ARGV[3])
if redis.call('HGET', key, 'note') ~= ARGV[4] then
  redis.call('HSET', key, 'note', ARGV[4])
  changed = true
end
return {'ok', changed and '1' or '0'}
"""
)
"""``ARGV``: all of the split as JSON, the traffic as JSON, note as JSON."""

ADDRESS = (
    FENCED
    + """
local router, service = ARGV[2], ARGV[3]
define(service, ARGV[6])
put(router .. '/entrypoints/0', 'web')
put(router .. '/service', ARGV[4])
put(router .. '/rule', ARGV[5])
return {'ok', '1'}
"""
)
"""``ARGV``: router key, track's service key, its name, rule, health path: an address of the track's own."""

RETIRE = (
    FENCED
    + """
local to = cjson.decode(ARGV[2])
local service = to.services .. '/' .. to.name
local weight = tonumber(redis.call('GET', service .. '/weighted/services/' .. to.index .. '/weight') or '0')
local sent = redis.call('GET', to.routers .. '/' .. to.name .. '/service')
local testers = redis.call('GET', to.routers .. '/' .. to.name .. '-testers/service')
if to.track ~= 'stable' then
  if weight > 0 then return {'busy', tostring(weight) .. ' % of the traffic'} end
  if testers == to.name .. '-' .. to.track then return {'busy', 'the requests of testers'} end
  if to.track == 'canary' and sent == to.name .. '-mirror' then return {'busy', 'mirrored requests'} end
elseif weight > 0 then
  return {'busy', tostring(weight) .. ' % of the traffic'}
end
local there = redis.call('HDEL', key, 'want:' .. to.track)
if #servers(service .. '-' .. to.track) > 0 then
  serve(service .. '-' .. to.track, {}, '')
  there = 1
end
if to.track == 'canary' then
  for _, part in ipairs({'/service', '/mirrors/0/name', '/mirrors/0/percent'}) do
    redis.call('DEL', service .. '-mirror/mirroring' .. part)
  end
end
if to.track == 'preview' then
  for _, part in ipairs({'/entrypoints/0', '/service', '/rule'}) do
    redis.call('DEL', to.routers .. '/' .. to.name .. '-preview' .. part)
  end
end
local since = now - tonumber(redis.call('HGET', key, 'written_at') or '0')
return {'ok', tostring(there), string.format('%.3f', since)}
"""
)
"""``ARGV``: what is retired as JSON (routers, services, name, track, index)."""

LOOK = (
    CLOCK
    + """
local seen = {fields = {}, weights = {}, servers = {}, now = string.format('%.6f', now)}
local flat = redis.call('HGETALL', key)
for i = 1, #flat, 2 do seen.fields[flat[i]] = flat[i + 1] end
for i, track in ipairs({'stable', 'canary', 'preview', 'baseline'}) do
  seen.servers[track] = table.concat(servers(ARGV[1] .. '-' .. track), ' ')
  seen.weights[track] = redis.call('GET', ARGV[1] .. '/weighted/services/' .. (i - 1) .. '/weight') or nil
end
seen.cookie = redis.call('GET', ARGV[1] .. '/weighted/sticky/cookie/name') or nil
seen.sent = redis.call('GET', ARGV[2] .. '/service') or nil
seen.mirror = redis.call('GET', ARGV[1] .. '-mirror/mirroring/mirrors/0/percent') or nil
seen.testers = redis.call('GET', ARGV[2] .. '-testers/rule') or nil
return cjson.encode(seen)
"""
)
"""``ARGV``: weighted service key, router key. Reads only."""
