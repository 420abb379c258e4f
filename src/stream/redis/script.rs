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

/// Writes the records of one shard, if each is as it was read, and the places of the events behind them.
///
/// Keys: the shard's places, then the records. Arguments: how many places, and for how many milliseconds these stay; a partition and an offset for each (8 bytes, the
/// offset so that it sorts); then for each record what it must begin with (empty: it must not be there), what it is to hold
/// (empty: it goes), and for how many milliseconds (0: for good). Answers 0, or the number of the first record that is another.
/// Without a record and a place it writes all the same: replicas that have this have all that was written before.
pub(super) const WRITE: &str = concat!(
    less!(),
    "\
local records, places = #KEYS - 1, tonumber(ARGV[1])
local from = 2 + 2 * places
for i = 1, records do
  local expected = ARGV[from + 3 * i - 2]
  local length = #expected
  if length == 0 then length = 1 end
  if redis.call('GETRANGE', KEYS[i + 1], 0, length - 1) ~= expected then return i end
end
for i = 1, records do
  local value, ttl = ARGV[from + 3 * i - 1], ARGV[from + 3 * i]
  if value == '' then redis.call('DEL', KEYS[i + 1])
  elseif ttl == '0' then redis.call('SET', KEYS[i + 1], value)
  else redis.call('SET', KEYS[i + 1], value, 'PX', ttl) end
end
for i = 1, places do
  local partition, offset = ARGV[2 * i + 1], ARGV[2 * i + 2]
  local known = redis.call('HGET', KEYS[1], partition)
  if known and less(offset, known) then offset = known end
  redis.call('HSET', KEYS[1], partition, offset)
end
if places == 0 then redis.call('HSET', KEYS[1], '', '') end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 0
"
);

/// Takes records away that nobody sees any more.
///
/// Keys: records of one shard. Arguments: for each, from which byte on it says until when it is of use, and the instant
/// before which that is over (8 bytes). Answers how many went.
pub(super) const SWEEP: &str = concat!(
    less!(),
    "\
local gone = 0
for i = 1, #KEYS do
  local at = tonumber(ARGV[2 * i - 1])
  local ends = redis.call('GETRANGE', KEYS[i], at, at + 7)
  if #ends == 8 and less(ends, ARGV[2 * i]) then gone = gone + redis.call('UNLINK', KEYS[i]) end
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
