"""Every change of the state as one Lua script: it happens at once or not at all, and only for the holder of the lease.

``KEYS[1]`` is the hash of one app in one environment, ``ARGV[1]`` the writer's fence. Fields of the hash: ``fence`` (the
counter), ``holder`` and ``expires_at`` (the lease), ``want:<track>``, ``left:<container>``, ``engine`` and ``router`` (what the app was deployed with),
``note``, ``written``, ``written_at``, and ``config:<digest>`` of the last few digests of stable, in the order of ``configs``. What
the router reads are keys of its own: its part of a script (:func:`routed`) knows them.
"""

from __future__ import annotations

CLOCK = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local key = KEYS[1]
local holder = redis.call('HGET', key, 'holder')
"""

FENCED = (
    CLOCK
    + """
if not holder or redis.call('HGET', key, 'fence') ~= ARGV[1] then return {'fence', holder or ''} end
"""
)


def routed(router: str, script: str, *, fenced: bool = True) -> str:
    """A script that also reads or writes what the router reads: ``ARGV[2]`` says where, as JSON.

    :param router: the router's part, which defines the table ``router`` for the names in the table ``at``.
    :param script: what is done with it.
    :param fenced: only for the holder of the lease.
    """
    return (FENCED if fenced else CLOCK) + "local at = cjson.decode(ARGV[2])" + router + script


TAKE = (
    CLOCK
    + """
local expires = tonumber(redis.call('HGET', key, 'expires_at') or '0')
if holder and holder ~= ARGV[1] and expires > now and ARGV[3] ~= '1' then
  return {'held', holder, string.format('%.3f', expires)}
end
if holder ~= ARGV[1] or ARGV[4] == '1' then redis.call('HINCRBY', key, 'fence', 1) end
local until_ = string.format('%.6f', now + tonumber(ARGV[2]))
redis.call('HSET', key, 'holder', ARGV[1], 'expires_at', until_)
return {'ok', redis.call('HGET', key, 'fence'), until_}
"""
)
"""``ARGV``: holder, seconds, 1 to take precedence, 1 for a new fence also where the holder is the same."""

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

RIVALS = """
local function stands(app)
  if redis.call('HEXISTS', app, 'written') == 1 then return true end
  for _, track in ipairs(at.tracks) do
    if redis.call('HEXISTS', app, 'want:' .. track) == 1 then return true end
  end
  return false
end
local function rivals(asked)
  local found = router.rivals and router.rivals(asked.rules) or {}
  for _, app in ipairs(asked.apps) do
    if stands(app) then found[#found + 1] = {app = app, had = stands(key)} end
  end
  return found
end
"""
"""``rivals(asked)``: who has what the app would have: each as ``app`` (its key), or ``router`` and ``rule``, with ``had``: the app
stands so already. ``asked`` has the keys of ``apps`` that would have the same names, and the app's ``rules``."""

LOOK_AT_RIVALS = (
    RIVALS
    + """
local found = {}
for _, it in ipairs(rivals(cjson.decode(ARGV[3]))) do found[#found + 1] = cjson.encode(it) end
return {'ok', unpack(found)}
"""
)
"""``ARGV`` from 3 on: what is asked, as JSON. Reads only."""

WANT = (
    RIVALS
    + """
if not stands(key) then
  local rival = rivals(cjson.decode(ARGV[8]))[1]
  if rival then return {'rival', cjson.encode(rival)} end
end
local field, wanted = 'want:' .. ARGV[3], cjson.decode(ARGV[4])
local was = cjson.decode(redis.call('HGET', key, field) or '{}')
local kept = 'config:' .. wanted.digest
if ARGV[5] == '1' then
  local config = redis.call('HGET', key, kept)
  if config then wanted.workload = cjson.decode(config) end
end
if ARGV[6] ~= '' then redis.call('HSET', key, 'engine', ARGV[6], 'router', ARGV[7]) end
local same = was.digest == wanted.digest and was.image == wanted.image and was.replicas == wanted.replicas
if same and was.version == wanted.version and was.share == wanted.share and not was.failure then return {'ok', '0'} end
wanted.progress_at = now
redis.call('HSET', key, field, cjson.encode(wanted))
if ARGV[3] == 'stable' then
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
"""``ARGV`` from 3 on: track, what it shall run as JSON, 1 to take the configuration that this digest had on stable last, the
engine, the router's kind, what is asked about rivals: an app that does not stand yet is refused where it has any.

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

SERVE = """
local field = 'want:' .. ARGV[3]
if table.concat(router.servers(ARGV[3]), ' ') ~= ARGV[5] then return {'ok', '0'} end
local urls = {}
for url in string.gmatch(ARGV[6], '%S+') do urls[#urls + 1] = url end
router.serve(ARGV[3], urls, ARGV[4])
for id in string.gmatch(ARGV[7], '%S+') do
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
"""``ARGV`` from 3 on: track, health path, servers as they were read, servers to be, containers that leave."""

KEEP = (
    """
local wanted = redis.call('HGET', key, 'want:' .. ARGV[3])
if (wanted and cjson.decode(wanted).digest or '') ~= ARGV[8] then return {'ok', '0'} end
"""
    + SERVE
)
"""The same by who holds no lease, as long as the track shall still run the digest that is the last of ``ARGV``."""

SPLIT = """
local changed = router.split(cjson.decode(ARGV[3]))
if changed then redis.call('HSET', key, 'written_at', string.format('%.6f', now)) end
redis.call('HSET', key, 'written', ARGV[4])
if redis.call('HGET', key, 'note') ~= ARGV[5] then
  redis.call('HSET', key, 'note', ARGV[5])
  changed = true
end
return {'ok', changed and '1' or '0'}
"""
"""``ARGV`` from 3 on: the split as the router takes it, as JSON, the traffic as JSON, note as JSON."""

ADDRESS = """
router.address(ARGV[3], ARGV[4], ARGV[5])
return {'ok', '1'}
"""
"""``ARGV`` from 3 on: track, rule, health path: an address of the track's own."""

RETIRE = """
local busy = router.busy(ARGV[3])
if busy then return {'busy', busy} end
local there = redis.call('HDEL', key, 'want:' .. ARGV[3])
if router.forget(ARGV[3]) then there = 1 end
local since = now - tonumber(redis.call('HGET', key, 'written_at') or '0')
return {'ok', tostring(there), string.format('%.3f', since)}
"""
"""``ARGV`` from 3 on: track."""

LOOK = """
local state = {fields = {}, servers = {}, now = string.format('%.6f', now), keys = router.look()}
local flat = redis.call('HGETALL', key)
for i = 1, #flat, 2 do state.fields[flat[i]] = flat[i + 1] end
for _, track in ipairs(at.tracks) do state.servers[track] = table.concat(router.servers(track), ' ') end
return cjson.encode(state)
"""
"""Reads only; the first of ``ARGV`` is empty."""

RESERVE = (
    CLOCK
    + """
local ports = ARGV[1]
for address in string.gmatch(ARGV[3], '%S+') do
  local was = cjson.decode(redis.call('HGET', ports, address) or '{}')
  if not was.by or (was['until'] and was['until'] < now) then
    redis.call('HSET', ports, address, cjson.encode({by = ARGV[2], at = now}))
    return {'ok', address}
  end
end
return {'ok', ''}
"""
)
"""``ARGV``: key of the addresses, who wants one, addresses to try."""

FREE = (
    CLOCK
    + """
local ports, used = ARGV[1], {}
for address in string.gmatch(ARGV[3], '%S+') do
  used[address] = true
  redis.call('HSETNX', ports, address, cjson.encode({by = ARGV[2], at = now}))
end
local flat = redis.call('HGETALL', ports)
for i = 1, #flat, 2 do
  local address, it = flat[i], cjson.decode(flat[i + 1])
  if it['until'] and it['until'] < now then
    redis.call('HDEL', ports, address)
  elseif it.by == ARGV[2] and used[address] and it['until'] then
    redis.call('HSET', ports, address, cjson.encode({by = it.by, at = it.at}))
  elseif it.by == ARGV[2] and not used[address] and not it['until'] and now - it.at > tonumber(ARGV[4]) then
    it['until'] = now + tonumber(ARGV[5])
    redis.call('HSET', ports, address, cjson.encode(it))
  end
end
return {'ok', '1'}
"""
)
"""``ARGV``: key of the addresses, whose they are, those in use, seconds in which a new one is left alone, seconds for which one
that is not used any more stays reserved."""
