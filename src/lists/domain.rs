//! Sets of domains: an entry stands for itself and for everything below it, label by label, never by substring.

use idna::AsciiDenyList;
use idna::uts46::{ErrorPolicy, Hyphens, ProcessingSuccess, Uts46};

use super::TextSet;

/// Longest domain, in bytes of its ASCII form (RFC 1035, section 2.3.4, without the root's dot).
pub const DOMAIN_BYTES_MAX: usize = 253;

/// Longest label of a domain, in bytes (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// Domains in canonical form.
#[derive(Clone, Debug, Default)]
pub struct DomainSet {
    domains: TextSet,
    /// Dots of the entry that has fewest: a suffix with fewer cannot be in the set, and need not be looked up.
    dots_min: usize,
}

impl DomainSet {
    /// Adds a domain; `*.example.org` and `.example.org` mean what `example.org` does.
    ///
    /// # Errors
    ///
    /// The reason why the text is no domain.
    pub(super) fn insert(&mut self, entry: &str) -> Result<(), String> {
        let bare = entry.strip_prefix("*.").or_else(|| entry.strip_prefix('.')).unwrap_or(entry);
        let mut domain = String::new();
        if !canonical_domain(bare, &mut domain) {
            return Err(format!("`{}` is no domain: write one like example.org", entry.escape_debug()));
        }
        let dots = domain.bytes().filter(|byte| *byte == b'.').count();
        self.dots_min = if self.domains.is_empty() { dots } else { self.dots_min.min(dots) };
        self.domains.insert(&domain)
    }

    /// Whether the domain, or a parent of it, is in the set. Letter case and a dot at the end do not count; a domain
    /// in Unicode is found by its ASCII form only ([`canonical_domain`] makes it).
    pub fn contains(&self, domain: &str) -> bool {
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        if domain.len() > DOMAIN_BYTES_MAX || self.domains.is_empty() {
            return false;
        }
        let (mut dots, mut has_capitals) = (0, false);
        for byte in domain.bytes() {
            dots += usize::from(byte == b'.');
            has_capitals |= byte.is_ascii_uppercase();
        }
        if !has_capitals {
            return self.contains_suffix(domain, dots);
        }
        let mut lower = [0; DOMAIN_BYTES_MAX];
        let lower = &mut lower[..domain.len()];
        lower.copy_from_slice(domain.as_bytes());
        lower.make_ascii_lowercase();
        // Lower-casing ASCII letters keeps UTF-8 valid.
        std::str::from_utf8(lower).is_ok_and(|lower| self.contains_suffix(lower, dots))
    }

    /// Looks up the domain and its parents, as long as they have the dots of some entry.
    fn contains_suffix(&self, mut domain: &str, dots: usize) -> bool {
        for _ in self.dots_min..=dots {
            if self.domains.contains(domain) {
                return true;
            }
            match domain.bytes().position(|byte| byte == b'.') {
                Some(dot) => domain = &domain[dot + 1..],
                None => return false,
            }
        }
        false
    }

    /// How many domains it holds.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}

/// Appends the canonical form of a domain to `out`: lower-case ASCII by IDNA (UTS 46, non-transitional), no dot at the
/// end. False, and nothing appended, for what is no domain: an empty label, one over 63 bytes, more than
/// [`DOMAIN_BYTES_MAX`] in all, characters that no name on the internet has.
///
/// An underscore is let through, since such names exist; so is a name of one label.
pub fn canonical_domain(text: &str, out: &mut String) -> bool {
    let text = text.trim().trim_end_matches('.');
    if is_plain(text) {
        let start = out.len();
        out.push_str(text);
        out[start..].make_ascii_lowercase();
        return true;
    }
    // A name of 253 bytes in ASCII has no more characters than that in Unicode, of at most four bytes each.
    if text.is_empty() || text.len() > DOMAIN_BYTES_MAX * 4 {
        return false;
    }
    let start = out.len();
    if append_by_idna(text, out) {
        out.truncate(start + out[start..].trim_end_matches('.').len());
        if has_good_labels(&out[start..]) {
            return true;
        }
    }
    out.truncate(start);
    false
}

/// Whether a text is a domain but for letter case: good labels of letters, digits, hyphens, underscores, none of which
/// IDNA would decode (`xn--`).
fn is_plain(text: &str) -> bool {
    let (mut label_bytes, mut previous) = (0, b'.');
    for byte in text.bytes() {
        match byte {
            b'.' if label_bytes == 0 => return false,
            b'.' => label_bytes = 0,
            b'-' if previous == b'-' => return false,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' if label_bytes < LABEL_BYTES_MAX => label_bytes += 1,
            _ => return false,
        }
        previous = byte;
    }
    label_bytes > 0 && text.len() <= DOMAIN_BYTES_MAX
}

/// Every ASCII character that no domain has.
const DENIED: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

fn append_by_idna(text: &str, out: &mut String) -> bool {
    let start = out.len();
    let keep_ascii = |_: &[char], _: &[char], _: bool| false;
    match Uts46::new().process(text.as_bytes(), DENIED, Hyphens::Allow, ErrorPolicy::FailFast, keep_ascii, out, None) {
        Ok(ProcessingSuccess::Passthrough) => {
            out.truncate(start);
            out.push_str(text);
            true
        }
        Ok(ProcessingSuccess::WroteToSink) => true,
        Err(_) => false,
    }
}

fn has_good_labels(domain: &str) -> bool {
    domain.len() <= DOMAIN_BYTES_MAX
        && domain.split('.').all(|label| !label.is_empty() && label.len() <= LABEL_BYTES_MAX)
}
