//! E-mail addresses: the mailbox that an address reaches, whatever its spelling.

use std::sync::Arc;

use icu_normalizer::ComposingNormalizerBorrowed;

use super::gibberish::gibberish;
use super::providers::{COMMON, ProviderTable, RELAY_DOMAINS, providers};
use super::text::is_invisible;
use crate::event::{EventBatch, Signal, SignalSet, Signals, ascii_digit};
use crate::lists::{List, ListKind, canonical_domain};

/// Longest text that is looked at, in bytes as entered.
const RAW_BYTES_MAX: usize = 1024;

/// Longest part before the @, in bytes (RFC 5321, section 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;

/// The signals of the address in one field.
#[derive(Debug)]
pub(super) struct AddressSignals {
    normalized: Signal,
    local: Signal,
    skeleton: Signal,
    domain: Signal,
    gibberish: Signal,
    relay: Signal,
    disposable: Signal,
    alias: Signal,
}

/// Of the account's own address.
pub(super) const EMAIL: AddressSignals = AddressSignals {
    normalized: Signal::EmailNormalized,
    local: Signal::EmailLocal,
    skeleton: Signal::EmailSkeleton,
    domain: Signal::EmailDomain,
    gibberish: Signal::EmailGibberish,
    relay: Signal::EmailRelay,
    disposable: Signal::EmailDisposable,
    alias: Signal::EmailAlias,
};

/// Of the referrer's address.
pub(super) const REFERRER_EMAIL: AddressSignals = AddressSignals {
    normalized: Signal::ReferrerEmailNormalized,
    local: Signal::ReferrerEmailLocal,
    skeleton: Signal::ReferrerEmailSkeleton,
    domain: Signal::ReferrerEmailDomain,
    gibberish: Signal::ReferrerEmailGibberish,
    relay: Signal::ReferrerEmailRelay,
    disposable: Signal::ReferrerEmailDisposable,
    alias: Signal::ReferrerEmailAlias,
};

/// Reads addresses, one after the other, in buffers of its own.
#[derive(Debug)]
pub(super) struct EmailReader {
    providers: ProviderTable,
    relays: List,
    disposable: Option<Arc<List>>,
    /// The last address, in lower case and Unicode's composed form, digits in ASCII: empty unless it was not ASCII.
    folded: String,
    composed: String,
    /// Its parts as entered.
    local: String,
    domain: String,
    /// The mailbox: `local@domain`.
    mailbox: String,
    /// Bytes of the mailbox before the @.
    mailbox_local_len: usize,
    skeleton: String,
}

impl EmailReader {
    pub(super) fn new(disposable: Option<Arc<List>>) -> EmailReader {
        let relays = List::from_values(ListKind::Domain, RELAY_DOMAINS.iter().copied());
        EmailReader {
            providers: providers(),
            relays: relays.expect("every relay is a domain"),
            disposable,
            folded: String::new(),
            composed: String::new(),
            local: String::new(),
            domain: String::new(),
            mailbox: String::new(),
            mailbox_local_len: 0,
            skeleton: String::new(),
        }
    }

    /// Takes an address apart; false if it is none.
    pub(super) fn read(&mut self, raw: &str) -> bool {
        self.local.clear();
        self.domain.clear();
        if raw.len() > RAW_BYTES_MAX {
            return false;
        }
        if raw.is_ascii() {
            return split(raw.trim_ascii(), &mut self.local, &mut self.domain);
        }
        self.folded.clear();
        for c in raw.chars().filter(|c| !is_invisible(*c)) {
            match ascii_digit(c) {
                Some(digit) => self.folded.push(digit),
                None => self.folded.extend(c.to_lowercase()),
            }
        }
        self.composed.clear();
        ComposingNormalizerBorrowed::new_nfc()
            .normalize_to(&self.folded, &mut self.composed)
            .expect("a write into a string does not fail");
        split(self.composed.trim(), &mut self.local, &mut self.domain)
    }

    /// The mailbox of the address that was read.
    pub(super) fn mailbox(&mut self) -> &str {
        self.find_mailbox();
        &self.mailbox
    }

    /// Sets the wanted signals of the address that was read.
    pub(super) fn derive(
        &mut self,
        whose: &AddressSignals,
        wanted: SignalSet,
        batch: &mut EventBatch,
        row: &mut Signals,
    ) {
        self.find_mailbox();
        let local = &self.mailbox[..self.mailbox_local_len];
        if wanted.contains(whose.normalized) {
            row.set_text(whose.normalized, batch.make(&self.mailbox));
        }
        if wanted.contains(whose.local) {
            row.set_text(whose.local, batch.make(local));
        }
        if wanted.contains(whose.skeleton) {
            self.skeleton.clear();
            push_skeleton(local, &mut self.skeleton);
            row.set_text(whose.skeleton, batch.make(&self.skeleton));
        }
        if wanted.contains(whose.domain) {
            row.set_text(whose.domain, batch.make(&self.domain));
        }
        if wanted.contains(whose.gibberish) {
            row.set_double(whose.gibberish, gibberish(local));
        }
        if wanted.contains(whose.relay) {
            row.set_flag(whose.relay, self.relays.contains_domain(&self.domain));
        }
        if wanted.contains(whose.disposable) {
            let listed = self.disposable.as_ref().is_some_and(|list| list.contains_domain(&self.domain));
            row.set_flag(whose.disposable, listed && !self.relays.contains_domain(&self.domain));
        }
        if wanted.contains(whose.alias) {
            let (local, domain) = (local, &self.mailbox[self.mailbox_local_len + 1..]);
            row.set_flag(whose.alias, local != self.local || domain != self.domain);
        }
    }

    /// Applies the provider's rules.
    fn find_mailbox(&mut self) {
        let mut provider = self.providers.get(self.domain.as_str()).copied().unwrap_or(COMMON);
        let mut domain = provider.domain.unwrap_or(&self.domain);
        let mut local = self.local.as_str();
        if let Some((user, parent)) = self.domain.split_once('.')
            && parent.contains('.')
            && let Some(parent_provider) = self.providers.get(parent)
            && parent_provider.by_subdomain
        {
            (provider, local, domain) = (*parent_provider, user, parent);
        }
        self.mailbox.clear();
        if local.starts_with('"') {
            self.mailbox.push_str(local);
        } else {
            let tag = local.find(provider.tag).filter(|at| *at > 0);
            let untagged = &local[..tag.unwrap_or(local.len())];
            if provider.ignored.is_empty() {
                self.mailbox.push_str(untagged);
            } else {
                self.mailbox.extend(untagged.split(provider.ignored));
            }
            if self.mailbox.is_empty() {
                // Nothing but what does not count: no such mailbox can exist, so the spelling stays what it is.
                self.mailbox.push_str(local);
            }
        }
        self.mailbox_local_len = self.mailbox.len();
        self.mailbox.push('@');
        self.mailbox.push_str(domain);
    }
}

/// Takes an address apart at its last @, into lower case; false if it is none.
fn split(address: &str, local: &mut String, domain: &mut String) -> bool {
    // By bytes: a searcher for a character costs more than these few steps.
    let Some(at) = address.bytes().rposition(|byte| byte == b'@') else { return false };
    let before = &address[..at];
    if before.is_empty() || before.len() > LOCAL_BYTES_MAX || !is_local(before) {
        return false;
    }
    local.push_str(before);
    local.make_ascii_lowercase();
    canonical_domain(&address[at + 1..], domain)
}

/// Whether the text can stand before the @: letters of any script, digits and the marks of RFC 5322's `atext`, with dots
/// anywhere (people type them, and providers drop them); or anything visible, and spaces, in quotes.
fn is_local(text: &str) -> bool {
    if text.bytes().all(|byte| LOCAL_ASCII[usize::from(byte)]) {
        return true;
    }
    if let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return !inner.is_empty() && !inner.chars().any(|c| c.is_control() || c == '"');
    }
    text.chars().all(|c| match u8::try_from(c) {
        Ok(byte) if byte.is_ascii() => LOCAL_ASCII[usize::from(byte)],
        _ => !c.is_control() && !c.is_whitespace(),
    })
}

/// The ASCII characters that stand before the @ without quotes.
const LOCAL_ASCII: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        allowed[byte as usize] =
            !matches!(byte, b'"' | b'(' | b')' | b',' | b':' | b';' | b'<' | b'>' | b'@' | b'[' | b'\\' | b']');
        byte += 1;
    }
    allowed
};

/// Appends a local part with its digits as #, without separators, and with no letter twice in a row.
fn push_skeleton(local: &str, out: &mut String) {
    if local.is_ascii() && local.len() <= LOCAL_BYTES_MAX {
        return push_ascii_skeleton(local.as_bytes(), out);
    }
    let mut previous = None;
    for c in local.chars() {
        match c {
            '.' | '_' | '-' => {}
            '0'..='9' => {
                out.push('#');
                previous = None;
            }
            _ if previous == Some(c) => {}
            _ => {
                out.push(c);
                previous = c.is_alphabetic().then_some(c);
            }
        }
    }
}

/// The same for ASCII, without a branch a byte: what strangers type cannot be predicted.
fn push_ascii_skeleton(local: &[u8], out: &mut String) {
    const DROPPED: u8 = 0;
    const FORMS: [u8; 128] = {
        let mut forms = [0; 128];
        let mut byte = 0;
        while byte < forms.len() {
            forms[byte] = match byte as u8 {
                b'.' | b'_' | b'-' => DROPPED,
                b'0'..=b'9' => b'#',
                other => other,
            };
            byte += 1;
        }
        forms
    };
    let mut skeleton = [0; LOCAL_BYTES_MAX];
    let (mut len, mut previous) = (0, DROPPED);
    for byte in local {
        let form = FORMS[usize::from(byte & 127)];
        let kept = form != DROPPED && !(form == previous && form.is_ascii_alphabetic());
        skeleton[len] = form;
        len += usize::from(kept);
        previous = if form == DROPPED { previous } else { form };
    }
    out.push_str(std::str::from_utf8(&skeleton[..len]).unwrap_or_default());
}

#[cfg(test)]
mod tests;
