-- What a team writes instead: the comparison workload's five rules as one function, called once an event.
--
-- ARGV: what keys begin with; the event's type, time in milliseconds, id, account, device, address, amount, referrer ('': absent).
-- Answers a bit for each rule that is true: 1, 2, 4, 8, 16.
local prefix, kind, time, id = ARGV[1] .. ':{peer}:', ARGV[2], tonumber(ARGV[3]), ARGV[4]
local account, device, ip, amount, referrer = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local said = 0

local function count(key, member, span)
  redis.call('ZADD', key, time, member)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', time - span)
  return redis.call('ZCARD', key)
end

if kind == 'account.created' and device ~= '' and count(prefix .. '1:' .. device, id, 3600000) > 5 then said = said + 1 end
if ip ~= '' and count(prefix .. '2:' .. ip, id, 600000) > 20 then said = said + 2 end
if device ~= '' then
  if count(prefix .. '3:' .. device, account, 86400000) > 3 then said = said + 4 end
  redis.call('SADD', prefix .. '5:' .. account, device)
end
if kind == 'reward.redeemed' then
  local key = prefix .. '4:' .. account
  local sum = tonumber(redis.call('HINCRBY', key .. ':sum', 'sum', amount))
  redis.call('ZADD', key, time, amount .. ' ' .. id)
  local gone = redis.call('ZRANGE', key, '-inf', time - 86400000, 'BYSCORE')
  for _, entry in ipairs(gone) do
    sum = tonumber(redis.call('HINCRBY', key .. ':sum', 'sum', -tonumber(string.match(entry, '^%S+'))))
    redis.call('ZREM', key, entry)
  end
  if sum > 5000000 then said = said + 8 end
end
if kind == 'referral.completed' and redis.call('SINTERCARD', 2, prefix .. '5:' .. account, prefix .. '5:' .. referrer, 'LIMIT', 1) > 0 then
  said = said + 16
end
return said
