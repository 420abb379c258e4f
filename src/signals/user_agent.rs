//! User agents: platform, browser and whether a script says that it is one.
//!
//! By `woothee`, whose table of patterns takes microseconds; a library of a thousand regular expressions would know more
//! models of telephones, at some hundred times the cost, and no rule should rest on what a client says of itself. What
//! it does not know are most scripts and crawlers: [`BOT_MARKS`] has their marks.

use std::fmt::Write as _;

use super::cache::{Cache, CacheUse, Short};
use super::text::beginning;
use crate::event::{EventBatch, Signal, SignalSet, Signals, Span};

/// Bytes of a user agent that are looked at.
const AGENT_BYTES_MAX: usize = 1024;

/// Longest user agent that is remembered, in bytes: those of apps inside apps have 450.
const KEY_BYTES_MAX: usize = 512;

/// What a user agent says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Agent {
    platform: Short<24>,
    /// Family of the browser or the client.
    family: Short<40>,
    /// Major version; 0 when unknown.
    major: u32,
    bot: bool,
}

/// Reads user agents, and remembers them.
#[derive(Debug)]
pub(super) struct UserAgentReader {
    cache: Cache<Agent>,
    lower: String,
    text: String,
}

impl UserAgentReader {
    pub(super) fn new(entries: usize) -> UserAgentReader {
        UserAgentReader { cache: Cache::new(entries, KEY_BYTES_MAX), lower: String::new(), text: String::new() }
    }

    /// Sets the wanted signals of a user agent.
    pub(super) fn derive(&mut self, span: Span, wanted: SignalSet, batch: &mut EventBatch, row: &mut Signals) {
        let UserAgentReader { cache, lower, text } = self;
        let raw = batch.text(span);
        let raw = beginning(raw, AGENT_BYTES_MAX).trim();
        let agent = cache.get_or_make(raw.as_bytes(), || read(raw, lower));
        let (platform, family) = (agent.platform.as_str(), agent.family.as_str());
        row.set_flag(Signal::DeviceBot, agent.bot);
        if wanted.contains(Signal::DevicePlatform) {
            row.set_text(Signal::DevicePlatform, batch.make(platform));
        }
        if wanted.contains(Signal::DeviceBrowser) {
            text.clear();
            text.push_str(family);
            if !family.is_empty() && agent.major > 0 {
                text.push(' ');
                text.push_str(itoa::Buffer::new().format(agent.major));
            }
            row.set_text(Signal::DeviceBrowser, batch.make(text));
        }
        if wanted.contains(Signal::DeviceUaFamily) {
            text.clear();
            let written = match (family, platform) {
                ("", _) => text.write_str(platform),
                (_, "") => text.write_str(family),
                _ => write!(text, "{family} on {platform}"),
            };
            written.expect("a write into a string does not fail");
            row.set_text(Signal::DeviceUaFamily, batch.make(text));
        }
    }

    /// How often it remembered.
    pub(super) fn counts(&self) -> CacheUse {
        self.cache.counts()
    }
}

fn read(raw: &str, lower: &mut String) -> Agent {
    lower.clear();
    lower.push_str(raw);
    lower.make_ascii_lowercase();
    let parsed = woothee::parser::Parser::new().parse(raw).unwrap_or_default();
    let known = |text: &'_ str| !text.is_empty() && text != woothee::woothee::VALUE_UNKNOWN;
    let (family, version) = if known(parsed.name) && parsed.category != "appliance" {
        (parsed.name, parsed.version)
    } else {
        first_product(raw)
    };
    Agent {
        platform: Short::new(if known(parsed.os) { platform(parsed.os) } else { platform_of_client(lower) }),
        family: Short::new(family),
        major: major(version),
        bot: parsed.category == "crawler" || is_bot(lower),
    }
}

/// The operating system family by the library's name for it.
fn platform(os: &str) -> &str {
    match os {
        "iPhone" | "iPad" | "iPod" | "iOS" => "iOS",
        "Mac OSX" | "Mac OS Classic" => "macOS",
        "Windows Phone OS" => "Windows Phone",
        _ if os.starts_with("Windows") => "Windows",
        _ => os,
    }
}

/// The operating system that an app's client library names in passing.
fn platform_of_client(lower: &str) -> &'static str {
    const NAMES: [(&str, &str); 6] = [
        ("android", "Android"),
        ("iphone", "iOS"),
        ("ipad", "iOS"),
        ("ios", "iOS"),
        ("windows", "Windows"),
        ("linux", "Linux"),
    ];
    NAMES.iter().find(|(mark, _)| lower.contains(mark)).map_or("", |(_, name)| name)
}

/// The first `name/version` of a client that the library does not know, such as an app or its HTTP library.
fn first_product(raw: &str) -> (&str, &str) {
    let product = raw.split([' ', ';', '(', ',']).next().unwrap_or_default();
    match product.split_once('/') {
        Some(("Mozilla", _)) | None => ("", ""),
        Some(product) => product,
    }
}

fn major(version: &str) -> u32 {
    let digits = version.bytes().take_while(u8::is_ascii_digit).count();
    version[..digits].parse().unwrap_or(0)
}

/// What scripts, crawlers and driven browsers have in their user agents, in lower case. Libraries that apps use too
/// (okhttp, CFNetwork, Dart, Alamofire) are not among them.
const BOT_MARKS: &[&str] = &[
    "crawl",
    "spider",
    "slurp",
    "scrap",
    "archive",
    "headless",
    "phantomjs",
    "puppeteer",
    "playwright",
    "selenium",
    "webdriver",
    "cypress",
    "python",
    "aiohttp",
    "httpx",
    "curl",
    "wget",
    "libwww",
    "lwp::",
    "java/",
    "jakarta",
    "httpclient/",
    "go-http-client",
    "node-fetch",
    "undici",
    "axios/",
    "got/",
    "got (",
    "superagent",
    "ruby",
    "faraday",
    "perl",
    "php/",
    "guzzle",
    "postmanruntime",
    "insomnia/",
    "httpie",
    "jmeter",
    "locust",
    "restsharp",
    "winhttp",
    "http.rb",
    "lighthouse",
    "pagespeed",
    "preview",
    "monitor",
    "uptime",
    "pingdom",
    "nmap",
    "nikto",
    "sqlmap",
    "masscan",
    "zgrab",
    "scanner",
    "externalhit",
    "validator",
    "checker",
    "feedfetcher",
    "mediapartners",
    "google-",
    "+http",
    "(http",
    "; http",
    "@",
];

/// Whether a user agent, in lower case, says that no person is behind it. `bot` counts at the end of a word, but for
/// the telephones of Cubot.
fn is_bot(lower: &str) -> bool {
    let named = lower
        .match_indices("bot")
        .any(|(at, _)| !lower[at + 3..].starts_with(|c: char| c.is_ascii_lowercase()) && !lower[..at].ends_with("cu"));
    // Only Internet Explorer was compatible and a browser.
    let compatible = lower.contains("compatible;") && !lower.contains("msie");
    named || compatible || BOT_MARKS.iter().any(|mark| lower.contains(mark))
}

#[cfg(test)]
mod tests;
