"""Traefik on a container host: how weights reach it, as keys of the store that its Redis provider reads.

The platform keeps its own state in the same store, and changes both at once, in Lua scripts: :data:`SCRIPT` is what they need of
Traefik's keys. Keys are overwritten rather than deleted and made again, because Traefik first lists them and then reads them. What a
router names is there with a write before: else a router that it reads names a service that it has not listed, and all get 404.
"""

from __future__ import annotations

import re
from typing import Any, get_args

from release_pipelines.adapters.routers._rules import shares
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Match, Traffic
from release_pipelines.core.ports.router import Capability, Reserved, Router

TRACKS: tuple[Track, ...] = get_args(Track)
ROOT = "traefik/http"
STICKY_COOKIE = "release-track"
ALL = "PathPrefix(`/`)"
"""Rule of an app without a host: it takes what no other rule takes."""
BESIDE = (*TRACKS, "testers", "mirror")
"""What the names of an app's further routers and services end with."""

SCRIPT = """
local routes, services = at.routers .. '/' .. at.name, at.services .. '/' .. at.name
local router = {}
local function get(name) return redis.call('GET', name) or nil end
local function put(name, value)
  if redis.call('GET', name) == value then return false end
  redis.call('SET', name, value)
  return true
end
local function drop(name) return redis.call('DEL', name) > 0 end
local function balancer(track) return services .. '-' .. track .. '/loadbalancer' end
local function define(track, health)
  put(balancer(track) .. '/passhostheader', 'true')
  put(balancer(track) .. '/healthcheck/path', health)
  put(balancer(track) .. '/healthcheck/interval', '500ms')
  put(balancer(track) .. '/healthcheck/timeout', '5s')
end
local function copies(percent)
  local mirror = services .. '-mirror/mirroring'
  put(mirror .. '/service', at.name)
  put(mirror .. '/mirrors/0/name', at.name .. '-canary')
  return put(mirror .. '/mirrors/0/percent', percent or get(mirror .. '/mirrors/0/percent') or '0')
end
local function route(name, rule, service)
  local changed = put(name .. '/entrypoints/0', 'web')
  changed = put(name .. '/service', service) or changed
  return put(name .. '/rule', rule) or changed
end
local function unroute(name)
  local changed = false
  for _, part in ipairs({'/entrypoints/0', '/service', '/rule'}) do changed = drop(name .. part) or changed end
  return changed
end
function router.servers(track)
  local urls = {}
  while true do
    local url = get(balancer(track) .. '/servers/' .. #urls .. '/url')
    if not url then return urls end
    urls[#urls + 1] = url
  end
end
function router.serve(track, urls, health)
  if health ~= '' then define(track, health) end
  if track == 'canary' and #urls > 0 then copies() end
  local before = #router.servers(track)
  for i, url in ipairs(urls) do put(balancer(track) .. '/servers/' .. (i - 1) .. '/url', url) end
  for i = #urls, before - 1 do drop(balancer(track) .. '/servers/' .. i .. '/url') end
end
function router.split(to)
  local changed, cookie = false, services .. '/weighted/sticky/cookie/name'
  for i, track in ipairs(at.tracks) do
    local entry = services .. '/weighted/services/' .. (i - 1)
    define(track, to.health)
    put(entry .. '/name', at.name .. '-' .. track)
    changed = put(entry .. '/weight', tostring(to.weights[track] or 0)) or changed
  end
  if to.cookie ~= '' then
    changed = put(cookie, to.cookie) or changed
  else
    changed = drop(cookie) or changed
  end
  if to.mirror > 0 then changed = copies(tostring(to.mirror)) or changed end
  changed = route(routes, to.rule, to.mirror > 0 and at.name .. '-mirror' or at.name) or changed
  if to.testers ~= '' then
    return route(routes .. '-testers', to.testers, at.name .. '-canary') or changed
  end
  return unroute(routes .. '-testers') or changed
end
function router.address(track, rule, health)
  define(track, health)
  route(routes .. '-' .. track, rule, at.name .. '-' .. track)
end
function router.busy(track)
  local weight = 0
  for i, it in ipairs(at.tracks) do
    if it == track then weight = tonumber(get(services .. '/weighted/services/' .. (i - 1) .. '/weight') or '0') end
  end
  if weight > 0 then return tostring(weight) .. ' % of the traffic' end
  if track == 'stable' then return nil end
  if get(routes .. '-testers/service') == at.name .. '-' .. track then return 'the requests of testers' end
  if track == 'canary' and get(routes .. '/service') == at.name .. '-mirror' then return 'mirrored requests' end
end
function router.forget(track)
  local served = #router.servers(track) > 0
  if served then router.serve(track, {}, '') end
  if track == 'canary' then
    for _, part in ipairs({'/service', '/mirrors/0/name', '/mirrors/0/percent'}) do
      drop(services .. '-mirror/mirroring' .. part)
    end
  end
  if track == 'preview' then unroute(routes .. '-preview') end
  return served
end
function router.look()
  local weights = {}
  for i, track in ipairs(at.tracks) do weights[track] = get(services .. '/weighted/services/' .. (i - 1) .. '/weight') end
  return {
    weights = weights,
    cookie = get(services .. '/weighted/sticky/cookie/name'),
    service = get(routes .. '/service'),
    mirror = get(services .. '-mirror/mirroring/mirrors/0/percent'),
    testers = get(routes .. '-testers/rule'),
  }
end
local function competes(one, other)
  if one == other then return true end
  return (one == at.all and #other <= #one) or (other == at.all and #one <= #other)
end
function router.rivals(rules)
  local found, own, had, cursor = {}, {[at.name] = true}, {}, '0'
  for _, part in ipairs(at.beside) do own[at.name .. '-' .. part] = true end
  for name in pairs(own) do had[get(at.routers .. '/' .. name .. '/rule') or ''] = true end
  repeat
    local page = redis.pcall('SCAN', cursor, 'MATCH', at.routers .. '/*/rule', 'COUNT', 1000)
    if page.err then break end
    cursor = page[1]
    for _, place in ipairs(page[2]) do
      local name, rule = string.sub(place, #at.routers + 2, -6), string.lower(get(place) or '')
      for _, mine in ipairs(rules) do
        if not own[name] and competes(rule, string.lower(mine)) then
          found[#found + 1] = {router = name, rule = mine, had = had[mine] or false}
          own[name] = true
        end
      end
    end
  until cursor == '0'
  return found
end
"""
"""The table ``router``, for the names in the table ``at`` (:meth:`Traefik.place`): ``servers(track)``, ``serve(track, urls,
health)``, ``split(to)`` (:meth:`Traefik.statement`) and ``forget(track)``, which say whether anything changed, ``address(track,
rule, health)``, ``busy(track)`` (what it still gets, or nil), ``look()`` (for :meth:`Traefik.traffic`) and ``rivals(rules)``: routers
of others that take the same requests, and whether the app has that rule already. Traefik asks longer rules first: beside an app
without a host (``at.all``) a host's rule has to be longer. Whose account may not list keys sees no such rival."""


class Traefik(Router):
    """A weighted service with one service for each track; testers have a router of their own, a mirror is a service before it."""

    platforms = ("container_host",)
    capabilities: frozenset[Capability] = frozenset({"match", "mirror", "affinity", "baseline"})
    dialect = "traefik"
    reserved = Reserved(rules=f"all keys below {ROOT} that begin with the app's and the environment's name")
    script = SCRIPT

    def place(self, target: Target) -> dict[str, Any]:
        """Where Traefik's keys of an app are, and how its routers and services are called."""
        name = f"{target.app}-{target.environment}"
        where = {"routers": f"{ROOT}/routers", "services": f"{ROOT}/services"}
        return {**where, "name": name, "tracks": TRACKS, "beside": BESIDE, "all": ALL.lower()}

    def namesakes(self, target: Target) -> list[tuple[str, str]]:
        """Apps and their environments that would have keys of the same names, whether or not there are such apps."""
        name = f"{target.app}-{target.environment}"
        names = {name} | {it for end in BESIDE for it in (f"{name}-{end}", name.removesuffix(f"-{end}"))}
        halves = [(it[:at], it[at + 1 :]) for it in sorted(names) for at, letter in enumerate(it) if letter == "-"]
        return [it for it in halves if it != (target.app, target.environment)]

    def rules(self, target: Target) -> list[str]:
        """What tells the app's requests from those of others, and its preview's."""
        preview = [self.address_rule(target.preview_host)] if target.preview and target.preview_host else []
        return [_rule(target), *preview]

    def statement(self, target: Target, traffic: Traffic) -> dict[str, Any]:
        """A split, as the script takes it."""
        return {
            "weights": traffic.weights,
            "health": target.workload.health,
            "rule": _rule(target),
            "testers": _testers_rule(target, traffic.testers) if traffic.testers else "",
            "mirror": traffic.mirror,
            "cookie": STICKY_COOKIE if traffic.sticky else "",
        }

    def address_rule(self, host: str) -> str:
        """What sends requests for a host to one track, past the weights."""
        return f"Host(`{host}`)"

    def traffic(self, target: Target, keys: dict[str, Any], written: Traffic | None) -> Traffic | None:
        """The split as the keys say it; None where there is none.

        :param keys: what the script's ``look`` has read.
        :param written: the split that was written last: a rule for testers is told by it.
        """
        weights = keys["weights"] or {}
        known: dict[Track, int] = {track: int(weights[track]) for track in TRACKS if track in weights}
        if not known:
            return None
        testers = written.testers if written else None
        if testers is None or keys.get("testers") != _testers_rule(target, testers):
            testers = None
        mirrored = keys.get("service") == f"{target.app}-{target.environment}-mirror"
        return Traffic(
            weights=shares(known),
            testers=testers,
            mirror=int(keys.get("mirror") or 0) if mirrored else 0,
            sticky=bool(keys.get("cookie")),
        )


def _rule(target: Target) -> str:
    return f"Host(`{target.host}`)" if target.host else ALL


def _testers_rule(target: Target, testers: Match) -> str:
    """Longer than the app's own rule, and therefore before it."""
    if testers.kind == "header":
        return f"{_rule(target)} && Header(`{testers.name}`, `{testers.value}`)"
    cookie = f"(^|;\\s*){re.escape(testers.name)}={re.escape(testers.value)}(;|$)"
    return f"{_rule(target)} && HeaderRegexp(`Cookie`, `{cookie}`)"


ROUTER = Traefik()
