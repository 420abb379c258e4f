//! What operations on a component bring beside their account: the values that link it, another account to compare with,
//! and what it is called.

use super::KeyHash;

/// What a batch of operations brings; kept and cleared by the caller, so that nothing is allocated.
#[derive(Clone, Debug, Default)]
pub struct Links {
    keys: Vec<KeyHash>,
    names: String,
    given: Vec<Given>,
}

/// What one operation brings: ends of its keys and of its account's name, whose beginnings are the ends before.
#[derive(Clone, Copy, Debug, Default)]
struct Given {
    keys: (u32, u32),
    name: (u32, u32),
}

impl Links {
    /// Forgets what was brought and keeps the memory.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.names.clear();
        self.given.clear();
    }

    /// Notes the keys of the values that link an operation's account (for [`Op::compare`](super::Op::compare), the other
    /// account's) and the name that the account is listed under, empty unless members are listed. Answers what to put into
    /// [`Op::value`](super::Op::value).
    pub fn give(&mut self, keys: impl IntoIterator<Item = KeyHash>, name: &str) -> u64 {
        let starts = (self.keys.len() as u32, self.names.len() as u32);
        self.keys.extend(keys);
        self.names.push_str(name);
        let given = Given { keys: (starts.0, self.keys.len() as u32), name: (starts.1, self.names.len() as u32) };
        self.given.push(given);
        // 0 stands for nothing.
        self.given.len() as u64
    }

    fn given(&self, value: u64) -> Given {
        let place = (value as usize).wrapping_sub(1);
        self.given.get(place).copied().unwrap_or_default()
    }

    /// The keys that an operation brought.
    #[inline]
    pub(super) fn keys(&self, value: u64) -> &[KeyHash] {
        let (start, end) = self.given(value).keys;
        &self.keys[start as usize..end as usize]
    }

    pub(super) fn name(&self, value: u64) -> &str {
        let (start, end) = self.given(value).name;
        &self.names[start as usize..end as usize]
    }
}
