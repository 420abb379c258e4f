//! What a gateway's question names: the program, the type of event that the request counts as, and its subjects, from where
//! the configuration says that they are.
//!
//! May import the messages and what a subject is. It asks nobody and knows no token. Invariant: a header that came more than once
//! names all that it may name, so that nobody hides behind a second value. Tested below.

use super::messages::{AttributeContext, CheckRequest, HttpRequest};
use crate::event::SubjectKind;

/// Values of one field, at most: more come from nobody who is honest.
const VALUES_MAX: usize = 16;
/// The context extension by which a route says which program it belongs to.
pub const PROGRAM_EXTENSION: &str = "refguard_program";
/// The context extension by which a route says which type of event its requests count as.
pub const TYPE_EXTENSION: &str = "refguard_type";

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is always the same.
    Const(String),
    /// A header of the request, by lower-case name.
    Header(String),
    /// Of a header that is a list, the element so far from its end; 1 is the last.
    Hop(String, usize),
    /// A cookie of the request.
    Cookie(String),
    /// A parameter of its query.
    Query(String),
    /// A context extension of its route.
    Extension(String),
    /// The address that the connection to the gateway comes from.
    Peer,
}

/// A field of the question, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldOrigin {
    /// Its name, as `POST /v1/decisions/check` has it.
    pub name: &'static str,
    /// Where its value is.
    pub origin: Origin,
    /// Whether a request without it is refused.
    pub is_required: bool,
}

/// How questions are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The program, where the route says nothing.
    pub program: Origin,
    /// The type of event, where the route says nothing.
    pub event_type: Origin,
    /// The subjects.
    pub fields: Vec<FieldOrigin>,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) program: String,
    pub(super) event_type: String,
    pub(super) fields: Vec<AskedField>,
}

/// The subjects that a field names, as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AskedField {
    pub(super) name: &'static str,
    pub(super) is_required: bool,
    pub(super) subjects: Vec<(SubjectKind, String)>,
}

/// A field has more values than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany(pub(super) &'static str);

impl Reading {
    /// Reads a question. `kinds` says which kinds of subject the value of a field names.
    ///
    /// # Errors
    ///
    /// [`TooMany`].
    pub(super) fn read(
        &self,
        request: &CheckRequest,
        kinds: fn(&str) -> &'static [SubjectKind],
    ) -> Result<Asked, TooMany> {
        let nothing = AttributeContext::default();
        let of = request.attributes.as_ref().unwrap_or(&nothing);
        let said = |extension: &str, otherwise: &Origin| {
            let by_route = of.context_extensions.get(extension).filter(|value| !value.is_empty()).cloned();
            by_route.or_else(|| otherwise.values(of).into_iter().next())
        };
        let mut fields = Vec::with_capacity(self.fields.len());
        for FieldOrigin { name, origin, is_required } in &self.fields {
            let values = origin.values(of);
            if values.len() > VALUES_MAX {
                return Err(TooMany(name));
            }
            let named = |value: String| kinds(name).iter().map(move |kind| (*kind, value.clone()));
            let subjects = values.into_iter().flat_map(named).collect();
            fields.push(AskedField { name, is_required: *is_required, subjects });
        }
        Ok(Asked {
            program: said(PROGRAM_EXTENSION, &self.program).unwrap_or_else(|| "default".to_owned()),
            event_type: said(TYPE_EXTENSION, &self.event_type).unwrap_or_default(),
            fields,
        })
    }
}

impl Origin {
    /// What is there; nothing that is empty.
    fn values(&self, of: &AttributeContext) -> Vec<String> {
        let mut values = match self {
            Origin::Const(value) => vec![value.clone()],
            Origin::Header(name) => headers(of, name).iter().flat_map(|value| whole_and_parts(value)).collect(),
            Origin::Hop(name, hop) => {
                let listed = headers(of, name).join(",");
                listed.rsplit(',').nth(hop.saturating_sub(1)).map(|value| value.trim().to_owned()).into_iter().collect()
            }
            Origin::Cookie(name) => headers(of, "cookie").iter().flat_map(|value| cookies(value, name)).collect(),
            Origin::Query(name) => query(of, name),
            Origin::Extension(name) => of.context_extensions.get(name).cloned().into_iter().collect(),
            Origin::Peer => peer(of).into_iter().collect(),
        };
        values.retain(|value| !value.is_empty());
        values
    }
}

fn http(of: &AttributeContext) -> Option<&HttpRequest> {
    of.request.as_ref()?.http.as_ref()
}

/// The values of a header, in either of the two shapes in which Envoy sends them.
fn headers(of: &AttributeContext, name: &str) -> Vec<String> {
    let Some(http) = http(of) else { return Vec::new() };
    let joined = http.headers.get(name).cloned();
    let raw =
        http.header_map.iter().flat_map(|map| &map.headers).filter(|header| header.key.eq_ignore_ascii_case(name));
    let text = raw.map(|header| match header.raw_value.as_slice() {
        [] => header.value.clone(),
        bytes => String::from_utf8_lossy(bytes).into_owned(),
    });
    joined.into_iter().chain(text).collect()
}

/// Envoy joins a header that came twice by commas, and a client can send one beside the gateway's own: so a value with
/// commas names what it says as a whole and what each of its parts says.
fn whole_and_parts(value: &str) -> Vec<String> {
    let mut all = vec![value.trim().to_owned()];
    if value.contains(',') {
        all.extend(value.split(',').take(VALUES_MAX + 1).map(|part| part.trim().to_owned()));
    }
    all
}

fn cookies(header: &str, name: &str) -> Vec<String> {
    let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(known, _)| known.trim() == name)
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        .collect()
}

fn query(of: &AttributeContext, name: &str) -> Vec<String> {
    let path = http(of).map(|http| http.path.as_str()).unwrap_or_default();
    let path = path.split('#').next().unwrap_or_default();
    let query = path.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.filter(|(known, _)| known == name).map(|(_, value)| value.into_owned()).collect()
}

fn peer(of: &AttributeContext) -> Option<String> {
    let address = of.source.as_ref()?.address.as_ref()?.socket_address.as_ref()?;
    Some(address.address.clone())
}

#[cfg(test)]
mod tests {
    use super::super::messages::{Address, HeaderMap, HeaderValue, Peer, RequestAttributes, SocketAddress};
    use super::*;

    fn of(headers: &[(&str, &str)], path: &str) -> AttributeContext {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let headers = headers.iter().map(text).collect();
        let http = HttpRequest { headers, path: path.to_owned(), header_map: None };
        let address = Address { socket_address: Some(SocketAddress { address: "192.0.2.9".to_owned() }) };
        AttributeContext {
            source: Some(Peer { address: Some(address) }),
            request: Some(RequestAttributes { http: Some(http) }),
            context_extensions: [("account".to_owned(), "of-route".to_owned())].into(),
        }
    }

    #[test]
    fn a_value_is_where_it_is_said_to_be() {
        let text = str::to_owned;
        let attributes = of(
            &[
                ("x-account", "nora"),
                ("x-twice", "nora, sara"),
                ("x-forwarded-for", "198.51.100.1, 203.0.113.7,192.0.2.1"),
                ("x-empty", ""),
                ("cookie", "a=1; device=\"d 1\"; device=d2; x=device=3"),
            ],
            "/join/?code=A%20B+C&other=1&code=D#code=E",
        );
        let cases: &[(Origin, &[&str])] = &[
            (Origin::Const(text("gold")), &["gold"]),
            (Origin::Header(text("x-account")), &["nora"]),
            (Origin::Header(text("x-twice")), &["nora, sara", "nora", "sara"]),
            (Origin::Header(text("x-empty")), &[]),
            (Origin::Header(text("x-none")), &[]),
            (Origin::Hop(text("x-forwarded-for"), 1), &["192.0.2.1"]),
            (Origin::Hop(text("x-forwarded-for"), 3), &["198.51.100.1"]),
            (Origin::Hop(text("x-forwarded-for"), 4), &[]),
            (Origin::Cookie(text("device")), &["d 1", "d2"]),
            (Origin::Query(text("code")), &["A B C", "D"]),
            (Origin::Extension(text("account")), &["of-route"]),
            (Origin::Extension(text("none")), &[]),
            (Origin::Peer, &["192.0.2.9"]),
        ];
        for (origin, expected) in cases {
            assert_eq!(origin.values(&attributes), *expected, "{origin:?}");
            assert!(matches!(origin, Origin::Const(_)) || origin.values(&AttributeContext::default()).is_empty());
        }
    }

    #[test]
    fn headers_are_found_as_they_came_too() {
        let header = |key: &str, value: &str, raw_value: &[u8]| HeaderValue {
            key: key.to_owned(),
            value: value.to_owned(),
            raw_value: raw_value.to_vec(),
        };
        let mut attributes = of(&[], "/");
        let http = attributes.request.as_mut().and_then(|request| request.http.as_mut()).expect("there is one");
        let headers = vec![header("X-Account", "", b"nora"), header("x-account", "sara", b""), header("x", "z", b"")];
        http.header_map = Some(HeaderMap { headers });
        assert_eq!(Origin::Header("x-account".to_owned()).values(&attributes), ["nora", "sara"]);
    }

    #[test]
    fn a_route_has_the_first_word_and_too_many_values_are_refused() {
        let reading = Reading {
            program: Origin::Const("gold".to_owned()),
            event_type: Origin::Header("x-type".to_owned()),
            fields: vec![FieldOrigin { name: "ip", origin: Origin::Header("x-ip".to_owned()), is_required: true }],
        };
        let kinds = |_: &str| -> &'static [SubjectKind] { &[SubjectKind::Ip, SubjectKind::IpPrefix] };
        let read = |attributes| reading.read(&CheckRequest { attributes: Some(attributes) }, kinds);
        let mut attributes = of(&[("x-ip", "192.0.2.1"), ("x-type", "login.succeeded")], "/");
        let asked = read(attributes.clone()).expect("it is one value");
        assert_eq!((asked.program.as_str(), asked.event_type.as_str()), ("gold", "login.succeeded"));
        let address = || "192.0.2.1".to_owned();
        let subjects = vec![(SubjectKind::Ip, address()), (SubjectKind::IpPrefix, address())];
        assert_eq!(asked.fields, [AskedField { name: "ip", is_required: true, subjects }]);
        for (name, value) in [(PROGRAM_EXTENSION, "tin"), (TYPE_EXTENSION, "payout.requested")] {
            attributes.context_extensions.insert(name.to_owned(), value.to_owned());
        }
        let asked = read(attributes).expect("it is one value");
        assert_eq!((asked.program.as_str(), asked.event_type.as_str()), ("tin", "payout.requested"));
        assert_eq!(read(of(&[("x-ip", &"1,".repeat(VALUES_MAX + 1))], "/")), Err(TooMany("ip")));
        let asked = reading.read(&CheckRequest::default(), kinds).expect("there is nothing");
        assert!(asked.event_type.is_empty() && asked.fields[0].subjects.is_empty());
    }
}
