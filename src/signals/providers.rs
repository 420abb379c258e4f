//! Mail providers: which spellings of an address reach one mailbox.
//!
//! The facts are those that the providers publish, and for their domains the tables of MaxMind's guide to normalising
//! addresses for minFraud. docs/signals.md has each rule with its source.

use std::collections::HashMap;

use crate::lists::TextBuildHasher;

/// How a provider reads the part before the @.
#[derive(Clone, Copy, Debug)]
pub(super) struct Provider {
    /// Begins a tag that does not count, unless it is the first character.
    pub(super) tag: char,
    /// Characters that do not count.
    pub(super) ignored: &'static [char],
    /// The domain that stands for all domains of the same mailboxes; `None`: each has its own.
    pub(super) domain: Option<&'static str>,
    /// Whether `anything@user.example` reaches `user@example`.
    pub(super) by_subdomain: bool,
}

/// What most do: a tag after `+`. Outlook, Zoho and AOL are of this kind. Whoever runs another domain may treat `+` as
/// any letter; for linking people it is worth more to be wrong there than to believe every tag.
pub(super) const COMMON: Provider = Provider { tag: '+', ignored: &[], domain: None, by_subdomain: false };

const GMAIL: Provider = Provider { ignored: &['.'], domain: Some("gmail.com"), ..COMMON };
const YAHOO: Provider = Provider { tag: '-', ..COMMON };
const ICLOUD: Provider = Provider { domain: Some("icloud.com"), ..COMMON };
const PROTON: Provider = Provider { ignored: &['.', '_', '-'], domain: Some("protonmail.com"), ..COMMON };
const YANDEX: Provider = Provider { domain: Some("yandex.ru"), ..COMMON };
const FASTMAIL: Provider = Provider { by_subdomain: true, ..COMMON };

const GMAIL_DOMAINS: &[&str] = &["gmail.com", "googlemail.com"];
const ICLOUD_DOMAINS: &[&str] = &["icloud.com", "me.com", "mac.com"];
const PROTON_DOMAINS: &[&str] = &["protonmail.com", "protonmail.ch", "proton.me", "pm.me"];
const YANDEX_DOMAINS: &[&str] = &[
    "ya.ru", "yandex.az", "yandex.by", "yandex.co.il", "yandex.com", "yandex.com.am", "yandex.com.ge",
    "yandex.com.tr", "yandex.ee", "yandex.fr", "yandex.kg", "yandex.kz", "yandex.lt", "yandex.lv", "yandex.md",
    "yandex.ru", "yandex.tj", "yandex.tm", "yandex.ua", "yandex.uz",
];
const YAHOO_DOMAINS: &[&str] = &[
    "myyahoo.com", "rocketmail.com", "y7mail.com", "yahoo.at", "yahoo.be", "yahoo.bg", "yahoo.ca", "yahoo.cl",
    "yahoo.co.id", "yahoo.co.il", "yahoo.co.in", "yahoo.co.kr", "yahoo.co.nz", "yahoo.co.th", "yahoo.co.uk",
    "yahoo.co.za", "yahoo.com", "yahoo.com.ar", "yahoo.com.au", "yahoo.com.br", "yahoo.com.co", "yahoo.com.hk",
    "yahoo.com.hr", "yahoo.com.mx", "yahoo.com.my", "yahoo.com.pe", "yahoo.com.ph", "yahoo.com.sg", "yahoo.com.tr",
    "yahoo.com.tw", "yahoo.com.ua", "yahoo.com.ve", "yahoo.com.vn", "yahoo.cz", "yahoo.de", "yahoo.dk", "yahoo.ee",
    "yahoo.es", "yahoo.fi", "yahoo.fr", "yahoo.gr", "yahoo.hu", "yahoo.ie", "yahoo.in", "yahoo.it", "yahoo.lt",
    "yahoo.lv", "yahoo.nl", "yahoo.no", "yahoo.pl", "yahoo.pt", "yahoo.ro", "yahoo.se", "yahoo.sk", "ymail.com",
];
const FASTMAIL_DOMAINS: &[&str] = &[
    "123mail.org", "150mail.com", "150ml.com", "16mail.com", "2-mail.com", "4email.net", "50mail.com", "airpost.net",
    "allmail.net", "bestmail.us", "cluemail.com", "elitemail.org", "emailcorner.net", "emailengine.net",
    "emailengine.org", "emailgroups.net", "emailplus.org", "emailuser.net", "eml.cc", "f-m.fm", "fast-email.com",
    "fast-mail.org", "fastem.com", "fastemail.us", "fastemailer.com", "fastest.cc", "fastimap.com", "fastmail.cn",
    "fastmail.co.uk", "fastmail.com", "fastmail.com.au", "fastmail.de", "fastmail.es", "fastmail.fm", "fastmail.fr",
    "fastmail.im", "fastmail.in", "fastmail.jp", "fastmail.mx", "fastmail.net", "fastmail.nl", "fastmail.org",
    "fastmail.se", "fastmail.to", "fastmail.tw", "fastmail.uk", "fastmail.us", "fastmailbox.net", "fastmessaging.com",
    "fea.st", "fmail.co.uk", "fmailbox.com", "fmgirl.com", "fmguy.com", "ftml.net", "h-mail.us", "hailmail.net",
    "imap-mail.com", "imap.cc", "imapmail.org", "inoutbox.com", "internet-e-mail.com", "internet-mail.org",
    "internetemails.net", "internetmailing.net", "jetemail.net", "justemail.net", "letterboxes.org",
    "mail-central.com", "mail-page.com", "mailandftp.com", "mailas.com", "mailbolt.com", "mailc.net", "mailcan.com",
    "mailforce.net", "mailftp.com", "mailhaven.com", "mailingaddress.org", "mailite.com", "mailmight.com",
    "mailnew.com", "mailsent.net", "mailservice.ms", "mailup.net", "mailworks.org", "ml1.net", "mm.st",
    "myfastmail.com", "mymacmail.com", "nospammail.net", "ownmail.net", "petml.com", "postinbox.com", "postpro.net",
    "proinbox.com", "promessage.com", "realemail.net", "reallyfast.biz", "reallyfast.info", "rushpost.com", "sent.as",
    "sent.at", "sent.com", "speedpost.net", "speedymail.org", "ssl-mail.com", "swift-mail.com", "the-fastest.net",
    "the-quickest.com", "theinternetemail.com", "veryfast.biz", "veryspeedy.net", "warpmail.net", "xsmail.com",
    "yepmail.net", "your-mail.com",
];

/// Domains of services that forward to a mailbox they do not tell: of Apple (Sign in with Apple; its Hide My Email on
/// icloud.com cannot be told from a mailbox), Mozilla, DuckDuckGo, SimpleLogin and Proton Pass, addy.io, IronVest.
pub(super) const RELAY_DOMAINS: &[&str] = &[
    "privaterelay.appleid.com", "mozmail.com", "relay.firefox.com", "duck.com", "simplelogin.co", "simplelogin.com",
    "simplelogin.fr", "simplelogin.io", "slmail.me", "slmails.com", "silomails.com", "aleeas.com", "dralias.com",
    "8alias.com", "8shield.net", "passmail.net", "passmail.com", "passinbox.com", "passfwd.com", "addy.io",
    "anonaddy.com", "anonaddy.me", "addymail.com", "4wrd.cc", "mailer.me", "opayq.com",
];

/// Providers by domain.
pub(super) type ProviderTable = HashMap<&'static str, Provider, TextBuildHasher>;

/// Makes the table of those providers that differ from [`COMMON`].
pub(super) fn providers() -> ProviderTable {
    let groups = [
        (GMAIL, GMAIL_DOMAINS),
        (ICLOUD, ICLOUD_DOMAINS),
        (PROTON, PROTON_DOMAINS),
        (YANDEX, YANDEX_DOMAINS),
        (YAHOO, YAHOO_DOMAINS),
        (FASTMAIL, FASTMAIL_DOMAINS),
    ];
    groups.iter().flat_map(|(provider, domains)| domains.iter().map(|domain| (*domain, *provider))).collect()
}
