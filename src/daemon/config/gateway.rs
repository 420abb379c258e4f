//! What no single key of `http.grpc` can tell: an origin has one way, a field is one of those that name subjects.

use super::http::HttpGrpcOrigin;
use super::sections::Config;
use crate::event::nearest;
use crate::serve::subject_fields;

/// Something that is wrong, and where.
pub(super) struct Fault {
    pub(super) path: Vec<String>,
    pub(super) message: String,
    pub(super) hint: String,
}

/// Everything that is wrong with `http.grpc`.
pub(super) fn faults(config: &Config) -> Vec<Fault> {
    let grpc = &config.http.grpc;
    let mut faults = Vec::new();
    let mut fault = |below: &[&str], message: String, hint: String| {
        let path = ["http", "grpc"].iter().chain(below).map(|part| (*part).to_owned()).collect();
        faults.push(Fault { path, message, hint });
    };
    if grpc.listen.is_some() && config.sources.values().all(|source| source.http.is_none()) {
        let hint = "add the source `inbox: {http: {}}`".to_owned();
        fault(&["listen"], "gateways are answered where the API is served, and no source is `http`".to_owned(), hint);
    }
    if grpc.listen.is_some() && grpc.fields.is_empty() {
        let hint = "such as `fields: {account_id: {header: x-account-id}}`".to_owned();
        fault(&["listen"], "no field says where a request names its subjects".to_owned(), hint);
    }
    let origins = [("program", &grpc.program), ("event_type", &grpc.event_type)];
    for (name, origin) in origins {
        if let Some((message, hint)) = faulty(origin) {
            fault(&[name], message, hint);
        }
    }
    for (name, origin) in &grpc.fields {
        if !subject_fields().any(|known| known == name) {
            fault(
                &["fields", name],
                format!("`{}` is no field that names a subject", name.escape_debug()),
                known(name),
            );
        }
        if let Some((message, hint)) = faulty(origin) {
            fault(&["fields", name], message, hint);
        }
    }
    for name in grpc.required.iter().filter(|name| !grpc.fields.contains_key(*name)) {
        let hint = "`required` names keys of `fields`".to_owned();
        fault(&["required"], format!("`{}` is required, and nothing says where it is", name.escape_debug()), hint);
    }
    faults
}

fn known(name: &str) -> String {
    match nearest(name, subject_fields()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it is one of {}", subject_fields().collect::<Vec<_>>().join(", ")),
    }
}

fn faulty(origin: &HttpGrpcOrigin) -> Option<(String, String)> {
    let HttpGrpcOrigin { header, hop, cookie, query, extension, peer, constant } = origin;
    let ways = [
        header.is_some(),
        cookie.is_some(),
        query.is_some(),
        extension.is_some(),
        *peer == Some(true),
        constant.is_some(),
    ];
    if ways.into_iter().filter(|there| *there).count() != 1 {
        let hint = "write one of `header`, `cookie`, `query`, `extension`, `peer: true` and `constant`";
        return Some(("a value is in one place".to_owned(), hint.to_owned()));
    }
    if hop.is_some() && header.is_none() {
        let hint = "write `{header: x-forwarded-for, hop: 1}`";
        return Some(("`hop` counts the elements of a header".to_owned(), hint.to_owned()));
    }
    None
}
