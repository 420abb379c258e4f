//! The API: where it listens, with which certificates, and what bounds a call.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::setting::{Address, Bytes, Millis, Whole, settings, words};

settings! {
    /// The API: docs/http.md. It is served where a source is `http: {}`.
    Http "`http`" {
        listen: Address = "127.0.0.1:8080",
            "Where it listens; port 0 takes a free one.";
        tls: HttpTls = "{}",
            "Certificates. Without them the API speaks plain HTTP: let it listen on loopback alone then, or behind something that ends TLS.";
        admin_token_file: PathBuf = "secrets/admin.token",
            "Where the first admin token is left, for refguard's user alone to read, when there was never a token; `refguard token` and the like take it from there. Make others with it, then revoke it and remove the file.";
        max_connections: Whole<1, 65536> = "1024",
            "Connections at once; more wait in the system's queue.";
        max_body: Bytes = "8MiB",
            "The longest body of a call. An event has at most 64 KiB in any case.";
        head_timeout: Millis = "10s",
            "How long the head of a request or a TLS handshake may take, and how long a connection may be idle.";
        body_timeout: Millis = "10s",
            "How long the body of a call may take to come, and how long a client may take none of an answer.";
        answer_timeout: Millis = "10s",
            "How long a call waits for a verdict at most; a caller asks for less by `Refguard-Deadline-Ms`.";
        degraded_after: Millis = "2s",
            "While a service is away that verdicts wait for, after how long `POST /v1/evaluate` answers what `policy.on_state_unavailable` says.";
        evidence: Bytes = "64MiB",
            "How much is kept of what verdicts rested on, for `GET /v1/explain`; the oldest leaves first, and what is older than `dedup.span`. A verdict with a match takes 1 KiB or so, a plain `allow` nothing. It is part of the state, and of `state.max_bytes`.";
        limits: HttpLimits = "{}",
            "How much one token, and one address, may ask. Past it the answer is 429, with `Retry-After`.";
        grpc: HttpGrpc = "{}",
            "gRPC for gateways: Envoy's external authorization. docs/envoy.md.";
    }

    /// Envoy's external authorization, and how the requests of a gateway name their subjects.
    HttpGrpc "`grpc`" {
        listen: Option<Address> = "" eg "127.0.0.1:9191",
            "Where gateways are answered; port 0 takes a free one. Absent: nowhere. It wants a source `http: {}`, as the API does, of which it is a part: its tokens, limits and records.";
        tls: HttpTls = "{}",
            "Certificates, apart from those of the API. Without them gateways speak plain HTTP/2: let it listen on loopback alone then.";
        program: HttpGrpcOrigin = "{constant: default}",
            "Which program a request belongs to. A route's context extension `refguard_program` goes first; where nothing is said it is `default`.";
        event_type: HttpGrpcOrigin = "{constant: gateway.request}",
            "As which type of event a request counts: decisions that do not count for that type let it pass. A route's context extension `refguard_type` goes first. By default no value moves, so that a hold stops nothing until a route says `reward.requested` or the like.";
        fields: BTreeMap<String, HttpGrpcOrigin> = "{}" eg "{account_id: {header: x-account-id}, ip: {peer: true}}",
            "Where the subjects of a request are, by the fields of `POST /v1/decisions/check`. What is absent is not checked.";
        required: Vec<String> = "[]" eg "[account_id]",
            "Fields without which, or with nothing readable in which, a request is refused with 400.";
        deny_from: HttpGrpcDeny = "hold",
            "From which verdict on a request is refused: `challenge` with 401, `hold` and `block` with 403. What is less grave goes on, with the verdict in the header `refguard-verdict`.";
        max_message: Bytes = "128KiB",
            "The longest question of a gateway. It has the headers of the request.";
        answer_timeout: Millis = "150ms",
            "How long the engine may take; then `policy.on_state_unavailable` answers. Less than the gateway's own timeout, which Envoy has at 200 ms.";
        max_calls: Whole<1, 256> = "128",
            "Questions that wait for the engine at once; to more, `policy.on_state_unavailable` answers without waiting.";
    }

    /// Where a value is in a gateway's question: one of these, and `hop` beside `header`.
    HttpGrpcOrigin "an origin" {
        header: Option<String> = "" eg "x-account-id",
            "A header of the request. One that came more than once names all of its values.";
        hop: Option<Whole<1, 64>> = "" eg "1",
            "Of a header that is a list, such as `x-forwarded-for`, which element from its end; 1 is the last, which the nearest proxy has added.";
        cookie: Option<String> = "" eg "device",
            "A cookie of the request.";
        query: Option<String> = "" eg "code",
            "A parameter of the request's query.";
        extension: Option<String> = "" eg "campaign",
            "A context extension of the route.";
        peer: Option<bool> = "" eg "true",
            "The address that the connection to the gateway comes from.";
        constant: Option<String> = "" eg "default",
            "Always this.";
    }

    /// Certificates of the API, read again when the files change.
    HttpTls "`tls`" {
        certificate: Option<PathBuf> = "" eg "tls/server.pem",
            "The server's certificates in PEM, its own first.";
        key: Option<PathBuf> = "" eg "tls/server.key",
            "Its private key in PEM.";
        client_ca: Option<PathBuf> = "" eg "tls/clients.pem",
            "Certificates in PEM of the authorities that a client must have its certificate from, beside its token. Absent: clients need none.";
    }

    /// How much may be asked.
    HttpLimits "`limits`" {
        token: HttpAllowance = "{}",
            "Of one token.";
        address: HttpAllowance = "{}",
            "Of one address; of IPv6, of a /64. Behind a proxy all clients have one address.";
        wrong_tokens_per_minute: Whole<1, 1000000> = "30",
            "Wrong tokens of one address; past it the address waits for the minute to end, and the audit trail says so.";
    }

    /// Calls and bytes.
    HttpAllowance "an allowance" {
        calls_per_second: Whole<1, 10000000> = "10000",
            "Calls a second.";
        burst: Whole<1, 10000000> = "20000",
            "Calls that may come at once.";
        bytes_per_second: Bytes = "64MiB",
            "Bytes of bodies a second, below 4 GiB; twice as many may come at once.";
    }
}

words! {
    /// A verdict from which on requests are refused.
    HttpGrpcDeny {
        /// Whoever has to prove who it is, too.
        Challenge = "challenge",
        /// Whoever waits for a review, too.
        Hold = "hold",
        /// Whoever is stopped.
        Block = "block",
    }
}
