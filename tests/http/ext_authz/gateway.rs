//! A gateway's side of external authorization, from the files that Envoy publishes (`tests/data/envoy`): questions are written as
//! JSON and answers read as JSON, and nothing of refguard's own messages is known here.

use std::path::Path;
use std::sync::OnceLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use prost::Message as _;

use crate::support::http::Served;

/// The method, as published.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// What is published.
pub(super) fn published() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/envoy");
        let wanted =
            ["envoy/service/auth/v3/external_auth.proto", "envoy/extensions/filters/http/ext_authz/v3/ext_authz.proto"];
        let files = protox::compile(wanted, [folder]);
        let files = files.expect("the published files are whole");
        DescriptorPool::from_file_descriptor_set(files).expect("they are valid")
    })
}

fn message(name: &str) -> MessageDescriptor {
    published().get_message_by_name(name).expect("it is published")
}

/// Reads and writes messages as they are published.
#[derive(Clone, Debug)]
struct Published(MessageDescriptor);

impl Codec for Published {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Published;
    type Decoder = Published;

    fn encoder(&mut self) -> Published {
        self.clone()
    }

    fn decoder(&mut self) -> Published {
        self.clone()
    }
}

impl Encoder for Published {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(out).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Published {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let decoded = DynamicMessage::decode(self.0.clone(), from);
        decoded.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// A gateway that is connected.
pub(super) struct Gateway {
    pub(super) runtime: Runtime,
    pub(super) channel: Channel,
    /// What stands in the metadata of its calls.
    token: Option<String>,
}

impl Gateway {
    /// One of a daemon, with this token.
    pub(super) fn of(served: &Served, token: &str) -> Gateway {
        Gateway::connect(served, "http", None).expect("it listens").with(token)
    }

    /// One that speaks TLS, trusts an authority and shows a certificate and key, all in PEM.
    pub(super) fn secure(served: &Served, authority: &str, identity: Option<(&str, &str)>) -> Result<Gateway, String> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority)).domain_name("127.0.0.1");
        let tls = match identity {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
            None => tls,
        };
        Gateway::connect(served, "https", Some(tls))
    }

    fn connect(served: &Served, scheme: &str, tls: Option<ClientTlsConfig>) -> Result<Gateway, String> {
        let runtime = Runtime::new().expect("there are threads");
        let endpoint = Endpoint::from_shared(format!("{scheme}://{}", address(served))).expect("it is an address");
        let endpoint = match tls {
            Some(tls) => endpoint.tls_config(tls).expect("the certificates are whole"),
            None => endpoint,
        };
        let channel = runtime.block_on(endpoint.connect()).map_err(|error| format!("{error:?}"))?;
        Ok(Gateway { runtime, channel, token: None })
    }

    /// The same with another token; an empty one: without.
    pub(super) fn with(self, token: &str) -> Gateway {
        Gateway { token: (!token.is_empty()).then(|| token.to_owned()), ..self }
    }

    /// Asks, and waits.
    pub(super) fn check(&self, question: &Value) -> Result<Value, Status> {
        self.runtime.block_on(self.ask(question))
    }

    /// Asks.
    pub(super) fn ask(&self, question: &Value) -> impl Future<Output = Result<Value, Status>> + Send + 'static {
        let question = question.to_string();
        let mut from = serde_json::Deserializer::from_str(&question);
        let question = DynamicMessage::deserialize(message("envoy.service.auth.v3.CheckRequest"), &mut from);
        let mut request = Request::new(question.expect("it is such a message"));
        if let Some(token) = &self.token {
            let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a token is plain text");
            request.metadata_mut().insert("authorization", value);
        }
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        async move {
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = Published(message("envoy.service.auth.v3.CheckResponse"));
            let answer = client.unary(request, CHECK.parse().expect("it is a path"), codec).await?;
            let answer = answer.into_inner();
            assert_eq!(answer.unknown_fields().count(), 0, "nothing is said that is not published: {answer:?}");
            Ok(serde_json::to_value(&answer).expect("a message is JSON"))
        }
    }
}

/// Where a daemon answers gateways.
pub(super) fn address(served: &Served) -> String {
    served.with(|daemon| {
        let lines = daemon.told().iter().map(|line| serde_json::from_str::<Value>(line).unwrap_or_default());
        let told = lines.rev().find(|line| line["message"] == "external authorization");
        told.expect("it says where")["address"].as_str().expect("an address is a text").to_owned()
    })
}

/// A question as Envoy asks it, about a request with these headers.
pub(super) fn question(headers: Value) -> Value {
    question_of(headers, json!({}), "/")
}

/// The same of a route with context extensions, and of a path.
pub(super) fn question_of(headers: Value, extensions: Value, path: &str) -> Value {
    let socket =
        |address: &str, port: u16| json!({"address": {"socketAddress": {"address": address, "portValue": port}}});
    json!({"attributes": {
        "source": socket("192.0.2.10", 51_000),
        "destination": socket("192.0.2.20", 8000),
        "request": {
            "time": "2026-05-01T10:00:00.123Z",
            "http": {
                "id": "15269194929541741021",
                "method": "GET",
                "headers": headers,
                "path": path,
                "host": "shop.example",
                "scheme": "https",
                "protocol": "HTTP/2",
                "size": "-1",
            },
        },
        "contextExtensions": extensions,
        "metadataContext": {"filterMetadata": {"envoy.filters.http.jwt_authn": {"sub": "other"}}},
        "tlsSession": {"sni": "shop.example"},
    }})
}

/// The value of a header that an answer sets.
pub(super) fn header<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    let headers = answer["okResponse"]["headers"].as_array().or(answer["deniedResponse"]["headers"].as_array())?;
    let found = headers.iter().find(|option| option["header"]["key"] == name)?;
    assert_eq!(found["appendAction"], "OVERWRITE_IF_EXISTS_OR_ADD", "what was there is replaced: {answer}");
    found["header"]["value"].as_str()
}

/// The problem that an answer tells the client.
pub(super) fn problem(answer: &Value) -> Value {
    assert_eq!(header(answer, "content-type"), Some("application/problem+json"), "{answer}");
    serde_json::from_str(answer["deniedResponse"]["body"].as_str().expect("it has a body")).expect("it is JSON")
}

/// The verdict with which a request goes on.
pub(super) fn goes_on(answer: &Result<Value, Status>) -> Option<&str> {
    let answer = answer.as_ref().ok().filter(|answer| answer["okResponse"].is_object())?;
    assert!(answer["status"].get("code").is_none(), "{answer}");
    header(answer, "refguard-verdict")
}

/// Status and reason with which a request is refused.
pub(super) fn refused(answer: &Result<Value, Status>) -> Option<(u64, String)> {
    let answer = answer.as_ref().ok().filter(|answer| answer["deniedResponse"].is_object())?;
    assert!(answer["status"]["code"].as_i64().is_some_and(|code| code != 0), "{answer}");
    let problem = problem(answer);
    let named = answer["deniedResponse"]["status"]["code"].as_str().unwrap_or_default();
    let status = problem["status"].as_u64().expect("a problem has a status");
    assert_eq!(named, status_name(status), "the problem has the status of the answer");
    assert_eq!(problem["reason"].as_str(), header(answer, "refguard-reason"), "{answer}");
    Some((
        status,
        header(answer, "refguard-reason").unwrap_or_else(|| problem["code"].as_str().unwrap_or_default()).to_owned(),
    ))
}

/// A status as Envoy names it.
fn status_name(status: u64) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        503 => "ServiceUnavailable",
        _ => "another",
    }
}
