//! The API: where it listens, with which certificates, and what bounds a call.

use std::path::PathBuf;

use super::setting::{Address, Bytes, Millis, Whole, settings};

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
