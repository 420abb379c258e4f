//! Subjects that a rule names by a text of its own: spelt as the signals of their kind spell them.
//!
//! A decision is met by what an event's signals say, so one about the e-mail address that an expression gives stands on
//! the mailbox, not on what somebody typed.

use std::borrow::Cow;

use ipnet::IpNet;

use super::config::DEFAULT_REGION;
use super::email::EmailReader;
use super::ip;
use super::phone::PhoneReader;
use crate::event::SubjectKind;

/// Reads the ids of subjects, one after the other, in buffers of its own.
#[derive(Debug)]
pub struct SubjectReader {
    email: EmailReader,
    phone: PhoneReader,
}

impl Default for SubjectReader {
    fn default() -> SubjectReader {
        SubjectReader { email: EmailReader::new(None), phone: PhoneReader::bare() }
    }
}

impl SubjectReader {
    /// The id under which events meet the subject that a text names; `None` for a text that names none of its kind,
    /// such as no address. `region` is that of telephone numbers without a country code.
    pub fn read<'a>(&mut self, kind: SubjectKind, region: &str, text: &'a str) -> Option<Cow<'a, str>> {
        let id = match kind {
            SubjectKind::Email => self.email.read(text).then(|| Cow::Owned(self.email.mailbox().to_owned()))?,
            SubjectKind::Phone => {
                let region = region.parse().or_else(|_| DEFAULT_REGION.parse()).ok()?;
                Cow::Owned(format!("+{}", self.phone.read_in(region, text)?.e164))
            }
            SubjectKind::Ip => Cow::Owned(ip::parse(text)?.to_string()),
            SubjectKind::IpPrefix => Cow::Owned(prefix(text)?),
            SubjectKind::Device if text.trim().is_empty() => return None,
            _ => Cow::Borrowed(text),
        };
        (!id.is_empty()).then_some(id)
    }
}

/// The prefix of an address, or a prefix written out.
fn prefix(text: &str) -> Option<String> {
    let address = match text.trim().parse::<IpNet>() {
        Ok(network) => {
            let bits = if network.addr().is_ipv4() { ip::PREFIX_BITS_V4 } else { ip::PREFIX_BITS_V6 };
            (u32::from(network.prefix_len()) == bits).then(|| network.addr())?
        }
        Err(_) => ip::parse(text)?,
    };
    let bits = if address.is_ipv4() { ip::PREFIX_BITS_V4 } else { ip::PREFIX_BITS_V6 };
    IpNet::new(address, bits as u8).ok().map(|network| network.trunc().to_string())
}
