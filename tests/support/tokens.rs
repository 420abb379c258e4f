//! Where a client of Kafka gets its tokens: an endpoint of OAuth 2.0 that hands out signed ones, to who knows the secret.

use super::certificates::openssl;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whom a broker must find in a token.
pub(crate) const ISSUER: &str = "https://tokens.example";
/// Whom a broker finds a token to be for.
pub(crate) const AUDIENCE: &str = "kafka";
/// What the endpoint asks of a client.
pub(crate) const CLIENT: (&str, &str) = ("refguard", "client-secret");

/// Makes the key that signs tokens, and `jwks.json`, by which brokers check them.
pub(crate) fn make_keys(folder: &Path) {
    openssl(folder, &["genrsa", "-out", "tokens.key", "2048"]);
    let modulus = openssl(folder, &["rsa", "-in", "tokens.key", "-noout", "-modulus"]);
    let digits = String::from_utf8(modulus).expect("openssl prints digits");
    let digits = digits.trim().strip_prefix("Modulus=").expect("openssl names the modulus").to_owned();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("these are hexadecimal digits");
    let modulus: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    let key = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode(modulus)});
    fs::write(folder.join("jwks.json"), json!({"keys": [key]}).to_string()).expect("the folder can be written");
}

/// Starts an endpoint that lives as long as the test program; answers its address.
pub(crate) fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        // A client that went away is its own fault.
        listener.incoming().flatten().for_each(|stream| drop(answer(&stream, &folder)));
    });
    format!("http://{address}/token")
}

fn answer(stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut known) = (0, false);
    let secret = format!("Basic {}", STANDARD.encode(format!("{}:{}", CLIENT.0, CLIENT.1)));
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "authorization" => known = value == secret,
            _ => {}
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    let (status, body) = match known {
        true => ("200 OK", json!({"access_token": token(folder), "token_type": "Bearer", "expires_in": 600})),
        false => ("401 Unauthorized", json!({"error": "invalid_client"})),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close",
        body.len()
    );
    (&*stream).write_all(format!("{head}\r\n\r\n{body}").as_bytes())
}

#[expect(clippy::disallowed_methods, reason = "the broker's clock is this machine's")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_secs()
}

/// A token of ten minutes (RFC 7519, signed by RS256 as RFC 7518 has it).
fn token(folder: &Path) -> String {
    let now = now();
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": "one"});
    let claims =
        json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "refguard", "iat": now, "exp": now + 600, "scope": "events"});
    let text = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    // One client may ask while another does.
    let name = super::kafka::unique("token");
    fs::write(folder.join(&name), &text).expect("the folder can be written");
    let signature = openssl(folder, &["dgst", "-sha256", "-sign", "tokens.key", &name]);
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
