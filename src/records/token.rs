//! A token of the API: what it may do, for whom, and until when.
//!
//! A token is `rfg_`, an id that is no secret, `_`, and 256 random bits. What is kept is the SHA-256 of those bits: there is
//! nothing to guess from it, so no slow hash is needed. Two are compared in constant time.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What tokens begin with, so that scanners of leaked secrets find them.
pub const PREFIX: &str = "rfg_";
/// Characters of an id.
const ID_CHARS: usize = 12;
/// The first token's id.
const FIRST_ID: &str = "firstadmin00";
/// Bytes of a secret.
const SECRET_BYTES: usize = 32;
/// Stands for every program or source.
pub const ALL: &str = "*";

/// Declares the scopes.
macro_rules! scopes {
    ($($variant:ident $name:literal $text:literal,)*) => {
        /// What a token lets its holder do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope { $(#[doc = $text] $variant,)* }

        impl Scope {
            /// Every scope.
            pub const ALL: &[Scope] = &[$(Scope::$variant,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Scope::$variant => $name,)* }
            }

            /// What it allows.
            pub fn meaning(self) -> &'static str {
                match self { $(Scope::$variant => $text,)* }
            }
        }
    };
}

scopes! {
    Ingest "ingest" "Send events.",
    Evaluate "evaluate" "Ask for verdicts.",
    DecisionsRead "decisions:read" "Read decisions.",
    DecisionsWrite "decisions:write" "End holds and override verdicts.",
    ListsWrite "lists:write" "Change managed lists.",
    AlertsRead "alerts:read" "Read alerts.",
    AlertsWrite "alerts:write" "Work on alerts.",
    AccountsRead "accounts:read" "Read what a customer may be told.",
    AccountsExport "accounts:export" "Export all that is kept about a person.",
    Mfa "mfa" "Step-up authentication.",
    RulesRead "rules:read" "Read the loaded rules.",
    Admin "admin" "All of it, tokens and the audit trail.",
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(name: &str) -> Result<Scope, ()> {
        Scope::ALL.iter().copied().find(|scope| scope.name() == name).ok_or(())
    }
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Names it, and is no secret.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// SHA-256 of its secret.
    pub(super) secret_hash: SecretHash,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The programs it speaks for; `*` for all.
    pub programs: Vec<String>,
    /// The sources of events it speaks for; `*` for all.
    pub sources: Vec<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Who made it.
    pub created_by: String,
    /// From when on it counts no more; `None`: it ends when it is revoked.
    pub expires_ms: Option<i64>,
    /// When it was revoked.
    pub revoked_ms: Option<i64>,
    /// When it was used last, to about ten seconds.
    pub last_used_ms: Option<i64>,
}

impl Token {
    /// Whether it counts at an instant.
    pub fn is_live(&self, now_ms: i64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }

    /// Whether it allows something.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Whether it speaks for a program.
    pub fn is_for_all_programs(&self) -> bool {
        self.programs.iter().any(|of| of == ALL)
    }

    /// Whether it speaks for a program.
    pub fn is_for_program(&self, program: &str) -> bool {
        self.programs.iter().any(|of| of == ALL || of == program)
    }

    /// Whether it speaks for a source of events.
    pub fn is_for_source(&self, source: &str) -> bool {
        self.sources.iter().any(|of| of == ALL || of == source)
    }

    /// Whether a secret is this token's, in a time that does not tell how much of it is right.
    pub fn fits(&self, secret: &[u8]) -> bool {
        SecretHash::of(secret).is(&self.secret_hash)
    }
}

/// What is wanted of a token that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The programs it speaks for.
    pub programs: Vec<String>,
    /// The sources it speaks for.
    pub sources: Vec<String>,
    /// From when on it counts no more.
    pub expires_ms: Option<i64>,
}

/// A token as its holder has it. It is shown once, and never printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    id: String,
    secret: [u8; SECRET_BYTES],
}

impl Secret {
    /// A token of random bytes.
    pub fn new(random: [u8; SECRET_BYTES + 8]) -> Secret {
        let (id, secret) = random.split_at(8);
        let id = id.iter().map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte & 31)]));
        let id: String = id.chain("0000".chars()).take(ID_CHARS).collect();
        Secret { id, secret: secret.try_into().expect("it is the rest of the array") }
    }

    /// The same for the first token of an installation, whose id is always the same: whoever makes it second finds it taken.
    pub fn first(random: [u8; SECRET_BYTES + 8]) -> Secret {
        Secret { id: FIRST_ID.to_owned(), ..Secret::new(random) }
    }

    /// Reads what a client sent: the id and the secret, or nothing if it is no token at all.
    pub fn parse(text: &str) -> Option<Secret> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if id.len() != ID_CHARS || !id.bytes().all(fits) {
            return None;
        }
        let secret = URL_SAFE_NO_PAD.decode(secret).ok()?;
        Some(Secret { id: id.to_owned(), secret: secret.try_into().ok()? })
    }

    /// The id, which is no secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.secret
    }

    /// The token as text, for its holder.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, URL_SAFE_NO_PAD.encode(self.secret))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Secret({})", self.id)
    }
}

/// SHA-256 of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretHash([u8; 32]);

impl SecretHash {
    pub(super) fn of(secret: &[u8]) -> SecretHash {
        SecretHash(Sha256::digest(secret).into())
    }

    pub(super) fn parse(text: &str) -> Option<SecretHash> {
        Some(SecretHash(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }

    pub(super) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    fn is(&self, other: &SecretHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(secret: &Secret) -> Token {
        Token {
            id: secret.id().to_owned(),
            name: "shop".to_owned(),
            secret_hash: SecretHash::of(secret.bytes()),
            scopes: vec![Scope::Ingest],
            programs: vec!["gold".to_owned()],
            sources: vec!["/shop".to_owned()],
            created_ms: 0,
            created_by: "test".to_owned(),
            expires_ms: Some(10),
            revoked_ms: None,
            last_used_ms: None,
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_shown_and_nothing_else_is_one() {
        let secret = Secret::new(std::array::from_fn(|at| at as u8));
        let shown = secret.reveal();
        assert_eq!(Secret::parse(&shown), Some(secret.clone()));
        assert!(token(&secret).fits(secret.bytes()));
        let mut other = *Secret::new([7; 40]).bytes().first_chunk::<32>().expect("it has 32 bytes");
        assert!(!token(&secret).fits(&other));
        other.copy_from_slice(secret.bytes());
        other[31] ^= 1;
        assert!(!token(&secret).fits(&other), "the last bit counts");
        for wrong in
            ["", "rfg_", "rfg_a_b", &shown[1..], &shown[..shown.len() - 1], &format!("{shown}A"), &shown.to_uppercase()]
        {
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
        assert!(!format!("{secret:?}").contains(&shown[17..]), "it is never printed by accident");
    }

    #[test]
    fn a_token_counts_until_it_expires_or_is_revoked() {
        let mut token = token(&Secret::new([1; 40]));
        assert!(token.is_live(9) && !token.is_live(10));
        token.expires_ms = None;
        assert!(token.is_live(i64::MAX));
        token.revoked_ms = Some(5);
        assert!(!token.is_live(4));
    }

    #[test]
    fn a_token_speaks_for_its_programs_and_sources_alone() {
        let mut token = token(&Secret::new([1; 40]));
        assert!(token.is_for_program("gold") && !token.is_for_program("default") && !token.is_for_program("*"));
        assert!(token.is_for_source("/shop") && !token.is_for_source("/shop/") && !token.is_for_source(""));
        assert!(token.allows(Scope::Ingest) && !token.allows(Scope::Evaluate));
        (token.programs, token.scopes) = (vec![ALL.to_owned()], vec![Scope::Admin]);
        assert!(token.is_for_program("anything") && token.allows(Scope::Evaluate));
    }

    #[test]
    fn scopes_are_found_by_name() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(*scope));
        }
        assert_eq!("everything".parse::<Scope>(), Err(()));
    }
}
