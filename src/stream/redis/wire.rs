//! Commands as the protocol has them, appended to bytes that are sent at once; and what is read of answers.

use redis::Value;

use super::error::{RedisError, answered};

/// Commands for one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Commands {
    pub(super) bytes: Vec<u8>,
    /// How many there are.
    pub(super) count: usize,
}

impl Commands {
    /// Begins a command of so many words.
    pub(super) fn begin(&mut self, words: usize) {
        self.count += 1;
        self.head(b'*', words);
    }

    /// Adds a word to the command that was begun.
    pub(super) fn word(&mut self, word: &[u8]) {
        self.head(b'$', word.len());
        self.bytes.extend_from_slice(word);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Adds a number.
    pub(super) fn number(&mut self, number: i64) {
        let mut digits = itoa::Buffer::new();
        self.word(digits.format(number).as_bytes());
    }

    /// Adds a whole command.
    pub(super) fn add(&mut self, words: &[&[u8]]) {
        self.begin(words.len());
        words.iter().for_each(|word| self.word(word));
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    fn head(&mut self, of: u8, number: usize) {
        self.bytes.push(of);
        let mut digits = itoa::Buffer::new();
        self.bytes.extend_from_slice(digits.format(number).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// The elements of an answer.
pub(super) fn list(value: Value) -> Result<Vec<Value>, RedisError> {
    match answered(value)? {
        Value::Array(list) => Ok(list),
        Value::Nil => Ok(Vec::new()),
        other => Err(unexpected(&other)),
    }
}

/// A text or bytes; `None`: there is none.
pub(super) fn bytes(value: Value) -> Result<Option<Vec<u8>>, RedisError> {
    match answered(value)? {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        Value::Nil => Ok(None),
        other => Err(unexpected(&other)),
    }
}

/// A text.
pub(super) fn text(value: Value) -> Result<String, RedisError> {
    let bytes = bytes(value)?.unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| RedisError::Away("an answer is no text".to_owned()))
}

/// A number.
pub(super) fn number(value: Value) -> Result<i64, RedisError> {
    match answered(value)? {
        Value::Int(number) => Ok(number),
        Value::Nil => Ok(0),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(value: &Value) -> RedisError {
    let of = match value {
        Value::Array(_) => "a list",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "a text",
        _ => "something else",
    };
    RedisError::Away(format!("an answer is {of} where it should not be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_that_the_client_would_write() {
        let mut commands = Commands::default();
        commands.add(&[b"MGET", b"a", b"\r\n\0"]);
        commands.begin(2);
        commands.word(b"GET");
        commands.number(-12);
        let mut packed = redis::cmd("MGET").arg("a").arg(b"\r\n\0").get_packed_command();
        packed.extend(redis::cmd("GET").arg(-12).get_packed_command());
        assert_eq!((commands.bytes, commands.count), (packed, 2));
    }
}
