//! The bytes of a checkpoint: how values are written and read again, and how a long list of them is cut into segments.
//!
//! Numbers have a fixed width, little-endian; counts and lengths are LEB128, since most are below 128. It is pure: who
//! writes segments to a file hands in where they go. Invariants: reading never panics and never asks for more memory than
//! the bytes at hand can fill, whatever the bytes; what was written is read as the same values.

mod segments;

pub use segments::Segments;

use super::{Class, KeyHash};

/// What a checkpoint says is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub &'static str);

/// Appends values to bytes.
#[derive(Clone, Debug, Default)]
pub struct ByteWriter {
    bytes: Vec<u8>,
}

impl ByteWriter {
    /// What was written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, taken.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Forgets what was written and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// A small number.
    pub fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// A count or length, in as few bytes as it takes.
    pub fn count(&mut self, value: usize) {
        let mut rest = value as u64;
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    /// 32 bits with a sign.
    pub fn int(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// 32 bits.
    pub fn short(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// 64 bits.
    #[inline]
    pub fn word(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// 64 bits with a sign, such as an instant.
    #[inline]
    pub fn time(&mut self, value: i64) {
        self.word(value as u64);
    }

    /// 128 bits.
    pub fn wide(&mut self, value: u128) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A key.
    #[inline]
    pub fn key(&mut self, key: KeyHash) {
        self.word(key.low);
        self.word(key.high);
    }

    /// Whether there is an instant, and which.
    pub fn maybe_time(&mut self, value: Option<i64>) {
        self.byte(u8::from(value.is_some()));
        value.into_iter().for_each(|value| self.time(value));
    }

    /// Bytes with their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// A text with its length.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

/// Takes values from bytes.
#[derive(Clone, Copy, Debug)]
pub struct ByteReader<'a> {
    rest: &'a [u8],
    /// By the class of a key that was written: its class now.
    classes: Option<&'a ClassMap>,
}

/// What classes are now, by what they were.
pub type ClassMap = [Class; 256];

impl<'a> ByteReader<'a> {
    /// Reads from the beginning of these bytes.
    pub fn new(bytes: &'a [u8]) -> ByteReader<'a> {
        ByteReader { rest: bytes, classes: None }
    }

    /// The same, with other classes in place of those that keys were written with.
    pub fn with_classes(bytes: &'a [u8], classes: &'a ClassMap) -> ByteReader<'a> {
        ByteReader { rest: bytes, classes: Some(classes) }
    }

    /// What a class that was written is now.
    pub fn class(&self, written: u8) -> Class {
        self.classes.map_or(Class(written), |classes| classes[usize::from(written)])
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Broken("a value is cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// See [`ByteWriter::byte`].
    ///
    /// # Errors
    ///
    /// Nothing is left.
    pub fn byte(&mut self) -> Result<u8, Broken> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A byte that is 0 or 1.
    ///
    /// # Errors
    ///
    /// It is something else, or not there.
    pub fn flag(&mut self) -> Result<bool, Broken> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Broken("a mark is neither yes nor no")),
        }
    }

    /// See [`ByteWriter::count`]: a number of things that take at least so many bytes each, so that as many can follow.
    ///
    /// # Errors
    ///
    /// More than the bytes that are left can hold.
    pub fn count(&mut self, bytes_each: usize) -> Result<usize, Broken> {
        let mut value = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                let fits = value.checked_mul(bytes_each as u64).is_some_and(|bytes| bytes <= self.rest.len() as u64);
                return if fits { Ok(value as usize) } else { Err(Broken("a count is larger than what follows")) };
            }
        }
        Err(Broken("a count has no end"))
    }

    /// See [`ByteWriter::int`].
    ///
    /// # Errors
    ///
    /// Too few bytes are left.
    pub fn int(&mut self) -> Result<i32, Broken> {
        self.array().map(i32::from_le_bytes)
    }

    /// See [`ByteWriter::short`].
    ///
    /// # Errors
    ///
    /// Too few bytes are left.
    pub fn short(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_le_bytes)
    }

    /// See [`ByteWriter::word`].
    ///
    /// # Errors
    ///
    /// Too few bytes are left.
    #[inline]
    pub fn word(&mut self) -> Result<u64, Broken> {
        self.array().map(u64::from_le_bytes)
    }

    /// See [`ByteWriter::time`].
    ///
    /// # Errors
    ///
    /// Too few bytes are left.
    #[inline]
    pub fn time(&mut self) -> Result<i64, Broken> {
        self.array().map(i64::from_le_bytes)
    }

    /// See [`ByteWriter::wide`].
    ///
    /// # Errors
    ///
    /// Too few bytes are left.
    pub fn wide(&mut self) -> Result<u128, Broken> {
        self.array().map(u128::from_le_bytes)
    }

    /// See [`ByteWriter::key`].
    ///
    /// # Errors
    ///
    /// Too few bytes are left.
    #[inline]
    pub fn key(&mut self) -> Result<KeyHash, Broken> {
        let key = KeyHash { low: self.word()?, high: self.word()? };
        Ok(if self.classes.is_some() { key.of_class(self.class(key.class().0)) } else { key })
    }

    /// See [`ByteWriter::maybe_time`].
    ///
    /// # Errors
    ///
    /// Too few bytes are left, or a mark that is none.
    pub fn maybe_time(&mut self) -> Result<Option<i64>, Broken> {
        self.flag()?.then(|| self.time()).transpose()
    }

    /// See [`ByteWriter::bytes`].
    ///
    /// # Errors
    ///
    /// Too few bytes are left.
    pub fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.count(1)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Broken("a text is cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// See [`ByteWriter::text`].
    ///
    /// # Errors
    ///
    /// Too few bytes are left, or they are no text.
    pub fn text(&mut self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Broken("a text is not UTF-8"))
    }
}

#[cfg(test)]
#[path = "checkpoint/tests.rs"]
mod tests;
