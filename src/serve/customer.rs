//! What a customer may be told, by the `customer` code of rules: texts in English and Arabic, for support and for whoever shows them.
//!
//! A text says what is the case and what to do, and never how it was found out: the person who reads it may be the one who
//! tries to get around it. The configuration changes texts, and adds codes and languages. Invariant: a code that is known has at least
//! one language, and each of its languages has both parts. Tested here, and in `tests/http/accounts.rs`.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::event::Verdict;

/// What is told where a rule has no code of its own, or one that has no text.
const CHALLENGED: &str = "verify_identity";
const HELD: &str = "under_review";
const STOPPED: &str = "not_available";

/// What a customer is told in one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CustomerText {
    /// What is the case.
    pub reason: String,
    /// What the customer can do.
    pub what_to_do: String,
}

/// What a customer is told, by language: `en`, `ar`, and those that are configured.
pub type InLanguages = BTreeMap<String, CustomerText>;

/// The texts, by code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerTexts(BTreeMap<String, InLanguages>);

/// A text of the configuration lacks a part, and none is shipped that it would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartMissing(pub &'static str);

/// A text that is shipped: code, then reason and what to do, in English and in Arabic.
type Shipped = (&'static str, [&'static str; 2], [&'static str; 2]);

/// Those that are shipped. Every code of the packs in `rules/` is among them.
const SHIPPED: &[Shipped] = &[
    (
        "account_secured",
        [
            "The account has been secured, since somebody else may be using it.",
            "Change the password, check that the e-mail address and the phone number are still yours, then contact us.",
        ],
        [
            "أمّنّا الحساب لاحتمال أن شخصًا آخر يستخدمه.",
            "غيّر كلمة المرور، وتأكد من أن البريد الإلكتروني ورقم الجوال ما زالا لك، ثم تواصل معنا.",
        ],
    ),
    (
        "already_used",
        ["This offer has been used already.", "An offer can be used once. The app shows which others there are."],
        ["سبق استخدام هذا العرض.", "يمكن استخدام العرض مرة واحدة فقط. تجد العروض الأخرى في التطبيق."],
    ),
    (
        "monthly_limit",
        ["The limit of the programme for this period has been reached.", "Try again once the next period has begun."],
        ["بلغ الحساب الحد المسموح به في البرنامج لهذه الفترة.", "حاول مرة أخرى بعد بداية الفترة التالية."],
    ),
    (
        STOPPED,
        [
            "This is not available for this account at the moment.",
            "If you think that this is a mistake, contact us: a person will look at it.",
        ],
        [
            "هذه الخدمة غير متاحة لهذا الحساب في الوقت الحالي.",
            "إذا كنت ترى أن ذلك خطأ فتواصل معنا ليراجعه أحد موظفينا.",
        ],
    ),
    (
        "self_referral",
        [
            "This referral does not meet the terms of the programme: whoever invites and whoever is invited must be two people.",
            "If they are two people, contact us, and we will look at it again.",
        ],
        [
            "لا تستوفي هذه الدعوة شروط البرنامج: يجب أن يكون الداعي والمدعو شخصين مختلفين.",
            "إذا كانا شخصين مختلفين فتواصل معنا لنراجع الدعوة من جديد.",
        ],
    ),
    (
        "too_many_attempts",
        ["There were too many attempts in a short time.", "Wait a while, then try again."],
        ["أُجريت محاولات كثيرة في وقت قصير.", "انتظر قليلًا ثم حاول مرة أخرى."],
    ),
    (
        HELD,
        ["We are reviewing recent activity.", "There is nothing to do. If we have a question, we will get in touch."],
        ["نراجع نشاطًا حديثًا.", "لا يلزمك أي إجراء، وسنتواصل معك إذا كان لدينا سؤال."],
    ),
    (
        "use_lasting_email",
        [
            "This e-mail address cannot be used in the programme.",
            "Change it to an address that you keep, and confirm that one.",
        ],
        ["لا يمكن استخدام عنوان البريد الإلكتروني هذا في البرنامج.", "غيّره إلى عنوان دائم تستخدمه، ثم أكّده."],
    ),
    (
        CHALLENGED,
        [
            "We need to make sure that it is you.",
            "Confirm who you are in the app, with the code that we send you, then try again.",
        ],
        ["نحتاج إلى التأكد من هويتك.", "أكّد هويتك في التطبيق بالرمز الذي نرسله إليك، ثم حاول مرة أخرى."],
    ),
];

impl Default for CustomerTexts {
    /// Those that are shipped.
    fn default() -> CustomerTexts {
        let text = |[reason, what_to_do]: [&str; 2]| CustomerText {
            reason: reason.to_owned(),
            what_to_do: what_to_do.to_owned(),
        };
        let languages =
            |english, arabic| BTreeMap::from([("en".to_owned(), text(english)), ("ar".to_owned(), text(arabic))]);
        let of = |(code, english, arabic): &Shipped| ((*code).to_owned(), languages(*english, *arabic));
        CustomerTexts(SHIPPED.iter().map(of).collect())
    }
}

impl CustomerTexts {
    /// Changes the text of a code in a language, or adds it; a part that is not given stays.
    ///
    /// # Errors
    ///
    /// The part that is not given and was not there.
    pub fn change(
        &mut self,
        code: &str,
        language: &str,
        reason: Option<&str>,
        what_to_do: Option<&str>,
    ) -> Result<(), PartMissing> {
        let before = self.0.get(code).and_then(|languages| languages.get(language));
        let part = |given: Option<&str>, before: Option<&String>, name| {
            given.map(str::to_owned).or_else(|| before.cloned()).ok_or(PartMissing(name))
        };
        let text = CustomerText {
            reason: part(reason, before.map(|text| &text.reason), "reason")?,
            what_to_do: part(what_to_do, before.map(|text| &text.what_to_do), "what_to_do")?,
        };
        self.0.entry(code.to_owned()).or_default().insert(language.to_owned(), text);
        Ok(())
    }

    /// The codes that have a text, in order.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The code that is told for a verdict, and its texts: that of the rule where it has a text, else one that says no more than
    /// the verdict does.
    pub(super) fn told(&self, code: Option<&str>, verdict: Verdict) -> (&str, &InLanguages) {
        let plain = match verdict {
            Verdict::Challenge => CHALLENGED,
            Verdict::Block => STOPPED,
            Verdict::Allow | Verdict::Flag | Verdict::Hold => HELD,
        };
        let found = code.and_then(|code| self.0.get_key_value(code)).or_else(|| self.0.get_key_value(plain));
        let (code, languages) = found.expect("what is shipped is never taken away");
        (code, languages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_is_shipped_has_a_text_in_both_languages() {
        let texts = CustomerTexts::default();
        assert_eq!(texts.codes().count(), SHIPPED.len(), "a code stands there once");
        for code in texts.codes() {
            let (told, languages) = texts.told(Some(code), Verdict::Block);
            assert_eq!(told, code);
            assert_eq!(languages.keys().map(String::as_str).collect::<Vec<_>>(), ["ar", "en"], "{code}");
            for (language, CustomerText { reason, what_to_do }) in languages {
                let is_arabic = |text: &str| text.chars().any(|letter| ('\u{600}'..'\u{700}').contains(&letter));
                for text in [reason, what_to_do] {
                    assert!(text.ends_with('.'), "{code}, {language}: {text}");
                    assert_eq!(is_arabic(text), language == "ar", "{code}, {language}: {text}");
                }
            }
        }
    }

    #[test]
    fn a_text_is_changed_in_part_and_a_new_one_is_whole() {
        let mut texts = CustomerTexts::default();
        let before = texts.clone();
        assert_eq!(texts.change("under_review", "en", None, Some("Call us.")), Ok(()));
        let (_, languages) = texts.told(Some("under_review"), Verdict::Hold);
        assert_eq!(languages["en"].what_to_do, "Call us.");
        assert_eq!(languages["en"].reason, before.told(None, Verdict::Hold).1["en"].reason);
        assert_eq!(languages["ar"], before.told(None, Verdict::Hold).1["ar"]);
        assert_eq!(texts.change("under_review", "fr", Some("Nous vérifions."), None), Err(PartMissing("what_to_do")));
        assert_eq!(texts.change("ours", "en", None, Some("Wait.")), Err(PartMissing("reason")));
        assert_eq!(texts.told(Some("ours"), Verdict::Block).0, "not_available", "what failed left nothing behind");
        assert_eq!(texts.change("ours", "en", Some("So it is."), Some("Wait.")), Ok(()));
        assert_eq!(texts.told(Some("ours"), Verdict::Block).0, "ours");
    }
}
