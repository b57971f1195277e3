-- The six commands. Each script below is sent with the head in front of it.
--
-- KEYS[1]: a flight, a hash. Field 'c' is the token of the execution that calls join. The field named by a token is
--          "began ends owner waiting...": two times in milliseconds, the owner's inbox, the inboxes of the processes that wait.
-- KEYS[2]: the result of the token of the command, a string.
-- Times are the server's own, so that the clocks of clients don't matter. All keys are declared.

--#HEAD
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function execution(token)
  local v = redis.call('HGET', KEYS[1], token)
  if v then return string.match(v, '^(%d+) (%d+) (%S+)(.*)$') end
end
-- ask: '1' if the number of an inbox's subscribers says whether its process lives.
local function alive(ends, owner, ask)
  return tonumber(ends) > now and (ask ~= '1' or redis.call('PUBSUB', 'NUMSUB', owner)[2] > 0)
end
local function vacate(token)
  redis.call('HDEL', KEYS[1], token)
  if redis.call('HGET', KEYS[1], 'c') == token then redis.call('HDEL', KEYS[1], 'c') end
end
local function extend(ms)
  if redis.call('PTTL', KEYS[1]) < tonumber(ms) then redis.call('PEXPIRE', KEYS[1], ms) end
end
local function tell(inboxes, what)
  for inbox in string.gmatch(inboxes, '%S+') do redis.call('PUBLISH', inbox, what) end
end

--#JOIN token inbox lease max_age ask -> token, lease left, owner, age; the caller leads if the token is its own
local c = redis.call('HGET', KEYS[1], 'c')
if c then
  local began, ends, owner, waiting = execution(c)
  local up = began and alive(ends, owner, ARGV[5])
  if up and now - began <= tonumber(ARGV[4]) then
    if owner ~= ARGV[2] and not string.find(waiting .. ' ', ' ' .. ARGV[2] .. ' ', 1, true) then
      redis.call('HSET', KEYS[1], c, began .. ' ' .. ends .. ' ' .. owner .. waiting .. ' ' .. ARGV[2])
    end
    return {c, ends - now, owner, now - began}
  end
  if not up then vacate(c) end
end
redis.call('HSET', KEYS[1], 'c', ARGV[1], ARGV[1], now .. ' ' .. (now + ARGV[3]) .. ' ' .. ARGV[2])
extend(ARGV[3])
return {ARGV[1], tonumber(ARGV[3]), ARGV[2], 0}

--#LOOK token max_bytes ask -> {'landed', bytes} | {'large'} | {'up', lease left, is current} | {'gone'}
local n = redis.call('STRLEN', KEYS[2])
if n > tonumber(ARGV[2]) then return {'large'} end
if n > 0 then return {'landed', redis.call('GET', KEYS[2])} end
local began, ends, owner = execution(ARGV[1])
if began and alive(ends, owner, ARGV[3]) then
  return {'up', ends - now, redis.call('HGET', KEYS[1], 'c') == ARGV[1] and 1 or 0}
end
if began then vacate(ARGV[1]) end
return {'gone'}

--#RENEW token lease -> 1 current, 0 no longer current, -1 lost
local began, ends, owner, waiting = execution(ARGV[1])
if not began then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], began .. ' ' .. (now + ARGV[2]) .. ' ' .. owner .. waiting)
extend(ARGV[2])
return redis.call('HGET', KEYS[1], 'c') == ARGV[1] and 1 or 0

--#CLOSE token -> 0 closed, 1 others wait and it is still up, -1 lost
local began, ends, owner, waiting = execution(ARGV[1])
if not began then return -1 end
if waiting ~= '' then return 1 end
vacate(ARGV[1])
return 0

--#LAND token bytes keep -> 1 | -1 lost
local began, ends, owner, waiting = execution(ARGV[1])
if not began then return -1 end
vacate(ARGV[1])
-- Without memory for the result, those who wait are told all the same: one of them takes over.
if ARGV[2] ~= '' then redis.pcall('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
tell(waiting, 'l' .. ARGV[1])
return 1

--#FORGET -> 1 | 0 nothing to forget
local c = redis.call('HGET', KEYS[1], 'c')
if not c then return 0 end
redis.call('HDEL', KEYS[1], 'c')
local began, ends, owner, waiting = execution(c)
if began then tell(owner .. waiting, 'f' .. c) end
return 1
