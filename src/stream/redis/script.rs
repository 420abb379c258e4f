//! What runs in Redis: comparing and setting. Nothing of a window is computed there.
//!
//! Lua's `<` compares texts by the server's locale, so numbers of 8 bytes are compared by their halves: each is exact as a double.

/// The beginning of a script that compares numbers.
macro_rules! less {
    () => {
        "\
local function less(one, other)
  local high, low = struct.unpack('>I4I4', one)
  local other_high, other_low = struct.unpack('>I4I4', other)
  return high < other_high or high == other_high and low < other_low
end
"
    };
}

/// Writes the records of one group: those of state, if each is as it was read, or none of them; the places of the events
/// behind them; then those of verdicts, up to the first that is not as it was read. Whoever finds a verdict finds all else.
///
/// Keys: the group's places, the records of state, those of verdicts. Arguments: how many records of state there are; how many
/// of these, the first ones, are short; for how many milliseconds places stay, and how many there are; what the caller's last
/// write signed the group with (empty: there was none), and what this one does; a partition and an offset for each place (8
/// bytes, the offset so that it sorts); then for each record what it must begin with (empty: it must not be there), what it is
/// to hold (empty: it goes), and for how many milliseconds (0: for good). Answers 0, or the number of the first record that is
/// another. Without a record and a place it writes all the same: replicas that have this have all that was written before.
///
/// Half of what a record costs here is the calls. So nothing is compared where the last write is the caller's own: what it has read
/// since is as it was. Short records are read by one call, a long one was there, and a verdict that must not be there is looked
/// for by the call that writes it. Numbers are passed as texts: Redis would print them as doubles.
pub(super) const WRITE: &str = concat!(
    less!(),
    "\
local call, keys, args = redis.call, KEYS, ARGV
local states, short, places = tonumber(args[1]), tonumber(args[2]), tonumber(args[4])
local at = 2 * places + 4
local function begins(value, expected)
  if expected == '' then return not value end
  return value and string.sub(value, 1, #expected) == expected
end
local function is_held(i)
  local expected = args[at + 3 * i]
  return call('GETRANGE', keys[i + 1], '0', tostring(#expected - 1)) == expected
end
local function set(i, condition)
  local key, value, ttl = keys[i + 1], args[at + 3 * i + 1], args[at + 3 * i + 2]
  if value == '' then return call('DEL', key) end
  if condition then
    if ttl == '0' then return call('SET', key, value, condition) end
    return call('SET', key, value, condition, 'PX', ttl)
  end
  if ttl == '0' then return call('SET', key, value) end
  return call('SET', key, value, 'PX', ttl)
end
if args[5] == '' or call('HGET', keys[1], '') ~= args[5] then
  for from = 1, short, 1000 do
    local to = math.min(from + 999, short)
    local values = call('MGET', unpack(keys, from + 1, to + 1))
    for i = from, to do
      if not begins(values[i - from + 1], args[at + 3 * i]) then return i end
    end
  end
  for i = short + 1, states do
    if not is_held(i) then return i end
  end
end
for i = 1, states do set(i) end
for i = 1, places do
  local partition, offset = args[2 * i + 5], args[2 * i + 6]
  local known = call('HGET', keys[1], partition)
  if known and less(offset, known) then offset = known end
  call('HSET', keys[1], partition, offset)
end
call('HSET', keys[1], '', args[6])
call('PEXPIRE', keys[1], args[3])
for i = states + 1, #keys - 1 do
  if args[at + 3 * i] == '' then
    if not set(i, 'NX') then return i end
  else
    if not is_held(i) then return i end
    set(i)
  end
end
return 0
"
);

/// Takes records away that nobody sees any more.
///
/// Keys: records of one group. Arguments: for each, the first and the last of the bytes that say until when it is of use, and
/// the instant before which that is over (8 bytes). Answers how many went.
pub(super) const SWEEP: &str = concat!(
    less!(),
    "\
local gone = 0
for i = 1, #KEYS do
  local ends = redis.call('GETRANGE', KEYS[i], ARGV[3 * i - 2], ARGV[3 * i - 1])
  if #ends == 8 and less(ends, ARGV[3 * i]) then gone = gone + redis.call('UNLINK', KEYS[i]) end
end
return gone
"
);

/// Notes how far partitions have come in event time, and answers for all of them.
///
/// Keys: the clock. Arguments for each: a partition, its newest event time, and the watermark of who reads it (8 bytes each,
/// the instants so that they sort). Neither goes back. Answers pairs of a partition and both instants.
pub(super) const CLOCK: &str = concat!(
    less!(),
    "\
for i = 1, #ARGV, 3 do
  local newest, mark = ARGV[i + 1], ARGV[i + 2]
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if known then
    local before, mark_before = string.sub(known, 1, 8), string.sub(known, 9, 16)
    if less(newest, before) then newest = before end
    if less(mark, mark_before) then mark = mark_before end
  end
  if known ~= newest .. mark then redis.call('HSET', KEYS[1], ARGV[i], newest .. mark) end
end
return redis.call('HGETALL', KEYS[1])
"
);

/// Gives tables their numbers, once for all.
///
/// Keys: the tables. Arguments: a name for each, and from when on a new one counts (0: from the first event on). Answers a
/// number and that instant for each. Written even where it stands, as places are.
pub(super) const TABLES: &str = "\
local said = {}
for i = 1, #ARGV, 2 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if not known then
    known = (redis.call('HINCRBY', KEYS[1], 'next', 1) + 1) .. ' ' .. ARGV[i + 1]
  end
  redis.call('HSET', KEYS[1], ARGV[i], known)
  said[#said + 1] = known
end
return said
";
