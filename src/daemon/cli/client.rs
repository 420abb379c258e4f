//! How commands ask a running daemon: over its API, with a token from a file.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::table::table;
use super::{Failure, Setup};
use crate::daemon::config::Config;
use crate::daemon::wiring;

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// What stays as it is in a part of a path.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Debug, clap::Args)]
pub(super) struct Reach {
    #[command(flatten)]
    setup: Setup,
    /// Where the daemon's API is, such as `https://refguard.example:8443`; without it `http.listen` of the configuration.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A file with a token; without it `http.admin_token_file`.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates in PEM of the authorities that the daemon's certificate is from; without it those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A certificate to show, in PEM, where the daemon asks for one.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
}

/// A daemon that can be asked.
pub(super) struct Client {
    agent: ureq::Agent,
    url: String,
    token: String,
}

impl Reach {
    /// Reads what is needed to ask; asks nothing yet.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let config = self.setup.config()?.config;
        let url = self.url.clone().unwrap_or_else(|| configured_url(&config));
        let path = self.token_file.as_ref().unwrap_or(&config.http.admin_token_file);
        let token = read(path, "the token", "give a file with a token by --token-file")?;
        let token = String::from_utf8(token).unwrap_or_default().trim().to_owned();
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(self.tls()?)
            .build();
        Ok(Client { agent: agent.into(), url: url.trim_end_matches('/').to_owned(), token })
    }

    fn tls(&self) -> Result<TlsConfig, Failure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = self.ca.as_deref().map_or_else(|| Ok(authorities()), certificates)?;
        let mut tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(RootCerts::Specific(Arc::new(roots)));
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            let pem = read(key, "the key", "give a key in PEM by --key")?;
            let key = PrivateKey::from_pem(&pem).map_err(|error| {
                Failure::usage(format!("{}: {error}", key.display()), Some("give a key in PEM by --key"))
            })?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&certificates(certificate)?, key)));
        }
        Ok(tls.build())
    }
}

fn configured_url(config: &Config) -> String {
    let scheme = if wiring::tls_files(config).is_some() { "https" } else { "http" };
    let listen = &config.http.listen.0;
    // What listens everywhere is here too.
    let local = listen.strip_prefix("0.0.0.0:").map(|port| format!("127.0.0.1:{port}"));
    let local = local.or_else(|| listen.strip_prefix("[::]:").map(|port| format!("[::1]:{port}")));
    format!("{scheme}://{}", local.as_ref().unwrap_or(listen))
}

fn read(path: &Path, what: &str, hint: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::usage(format!("cannot read {what} in {}: {error}", path.display()), Some(hint));
    std::fs::read(path).map_err(failed)
}

/// The authorities of the system; those that cannot be read are left out.
fn authorities() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs().certs;
    found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    const HINT: &str = "give certificates in PEM";
    let pem = read(path, "certificates", HINT)?;
    let items: Result<Vec<PemItem<'static>>, ureq::Error> = parse_pem(&pem).collect();
    let items = items.map_err(|error| Failure::usage(format!("{}: {error}", path.display()), Some(HINT)))?;
    let certificates = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    Ok(certificates.collect())
}

/// A part of a path as it is written there.
pub(super) fn part(text: &str) -> String {
    utf8_percent_encode(text, PART).to_string()
}

impl Client {
    /// What a path answers.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.get(format!("{}{path}", self.url));
        self.read(request.header("authorization", self.bearer()).call())
    }

    /// What a path answers, as it comes, for as long as it comes.
    pub(super) fn open(&self, path: &str, headers: &[(&str, &str)]) -> Result<impl std::io::Read + use<>, Failure> {
        let mut request = self.agent.get(format!("{}{path}", self.url)).config().timeout_global(None).build();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.header("authorization", self.bearer()).call().map_err(|error| self.away(&error))?;
        if answer.status() != 200 {
            let status = answer.status().as_u16();
            let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
            return Err(self.refused(status, &text.map_err(|error| self.away(&error))?));
        }
        Ok(answer.into_body().into_with_config().limit(u64::MAX).reader())
    }

    /// What a path answers to a value.
    pub(super) fn post(&self, path: &str, value: &Value) -> Result<Value, Failure> {
        let request = self.agent.post(format!("{}{path}", self.url));
        self.read(request.header("authorization", self.bearer()).send_json(value))
    }

    /// What a path answers to a value that is put there.
    pub(super) fn put(&self, path: &str, value: &Value) -> Result<Value, Failure> {
        let request = self.agent.put(format!("{}{path}", self.url));
        self.read(request.header("authorization", self.bearer()).send_json(value))
    }

    /// Has what is at a path taken away.
    pub(super) fn delete(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.delete(format!("{}{path}", self.url));
        self.read(request.header("authorization", self.bearer()).call())
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// A value, or what the daemon says of why there is none.
    fn read(&self, answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Failure> {
        let away = |error: ureq::Error| self.away(&error);
        let mut answer = answered.map_err(away)?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(away)?;
        if status == 202
            && let Ok(value) = serde_json::from_str::<Value>(&text)
            && let Some(request) = value["request"].as_str()
        {
            return Err(Failure::Told {
                message: format!("a second person has to agree to request {request}: nothing is done yet"),
                hint: Some(format!("with another token: `refguard requests approve {request}`")),
                code: 1,
            });
        }
        if (200..300).contains(&status) {
            return Ok(serde_json::from_str(&text).unwrap_or_default());
        }
        Err(self.refused(status, &text))
    }

    fn away(&self, error: &ureq::Error) -> Failure {
        Failure::Told {
            message: format!("{} does not answer: {error}", self.url),
            hint: Some("see that refguard runs with a source `http: {}`, or say where by --url".to_owned()),
            code: 3,
        }
    }

    /// What the daemon says of why it does not.
    fn refused(&self, status: u16, text: &str) -> Failure {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let detail = value["detail"].as_str().unwrap_or("no reason is given");
        let hint = match status {
            401 => "give a file with a token that counts by --token-file",
            403 => "give a token with the scope for that by --token-file: docs/http.md has them",
            404 => "`list` shows what there is",
            429 | 503 | 504 => "try again in some seconds",
            _ => "see docs/http.md",
        };
        let code = if status >= 500 { 3 } else { 2 };
        Failure::Told { message: format!("{} says {status}: {detail}", self.url), hint: Some(hint.to_owned()), code }
    }
}

/// What a path with a query answers, page after page; they stand in a member of this name.
pub(super) fn pages(client: &Client, path: &str, member: &str) -> Result<Vec<Value>, Failure> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let mut page = client.get(&format!("{path}{after}"))?;
        if let Value::Array(values) = page[member].take() {
            found.extend(values);
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", part(next)),
            None => return Ok(found),
        }
    }
}

/// Shows values: as a table on a terminal, otherwise one value of JSON a line.
pub(super) fn show<const COLUMNS: usize>(
    values: &[Value],
    heads: [&str; COLUMNS],
    row: impl Fn(&Value) -> [String; COLUMNS],
) -> Result<(), Failure> {
    let mut out = wiring::stdout();
    if std::io::stdout().is_terminal() {
        let rows: Vec<[String; COLUMNS]> = values.iter().map(row).collect();
        table(heads, &rows).lines().try_for_each(|line| out.write("", line.as_bytes()))?;
    } else {
        values.iter().try_for_each(|value| out.write("", value.to_string().as_bytes()))?;
    }
    out.flush()?;
    Ok(())
}

/// A member as people read it.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
