//! What customers are told, where it shall be other than what is shipped.

use super::Config;
use super::setting::settings;
use crate::serve::{CustomerTexts, PartMissing};

settings! {
    /// What a customer is told in one language.
    CustomerWords "a text for customers" {
        reason: Option<String> = "" eg "We are reviewing recent activity.",
            "What is the case; never how it was found out. Absent: as shipped.";
        what_to_do: Option<String> = "" eg "There is nothing to do.",
            "What the customer can do. Absent: as shipped.";
    }
}

/// Where something is wrong, why, and what to do.
type Fault<'a> = ([&'a str; 3], String, &'static str);

/// The texts that are shipped, with what is configured; and what is wrong with that.
pub(super) fn texts(config: &Config) -> (CustomerTexts, Vec<Fault<'_>>) {
    let (mut texts, mut faults) = (CustomerTexts::default(), Vec::new());
    for (code, languages) in &config.customer_texts {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if code.is_empty() || !code.bytes().all(fits) {
            let message = format!("`{}` is no code of a text for customers", code.escape_debug());
            faults.push((["customer_texts", code, ""], message, "use a-z, 0-9 and `_`, such as `self_referral`"));
            continue;
        }
        for (language, words) in languages {
            let at = ["customer_texts", code.as_str(), language.as_str()];
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if !(2..=35).contains(&language.len()) || !language.bytes().all(fits) {
                let message = format!("`{}` is no language", language.escape_debug());
                faults.push((at, message, "use a tag of BCP 47, such as `en`, `ar` or `ar-SA`"));
                continue;
            }
            let changed = texts.change(code, language, words.reason.as_deref(), words.what_to_do.as_deref());
            if let Err(PartMissing(part)) = changed {
                let message = format!("the text `{code}` has no `{part}` in `{language}`");
                faults.push((at, message, "a text that is not shipped needs both `reason` and `what_to_do`"));
            }
        }
    }
    (texts, faults)
}

impl Config {
    /// What customers are told.
    pub fn customer_texts(&self) -> CustomerTexts {
        texts(self).0
    }
}
