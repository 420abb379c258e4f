use super::*;
use crate::event::Field;
use crate::signals::tests::derive;

/// As sent: platform, browser, family.
const PEOPLE: &[(&str, &str, &str, &str)] = &[
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "Windows",
        "Chrome 126",
        "Chrome on Windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
        "Windows",
        "Edge 126",
        "Edge on Windows",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
        "Android",
        "Chrome 126",
        "Chrome on Android",
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
        "Android",
        "SamsungBrowser 25",
        "SamsungBrowser on Android",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "iOS",
        "Safari 17",
        "Safari on iOS",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.35 Mobile/15E148 Safari/604.1",
        "iOS",
        "Chrome 126",
        "Chrome on iOS",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Safari/605.1.15",
        "macOS",
        "Safari 17",
        "Safari on macOS",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Linux",
        "Firefox 128",
        "Firefox on Linux",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 OPR/110.0.0.0",
        "Windows",
        "Opera 110",
        "Opera on Windows",
    ),
    ("okhttp/4.12.0", "", "okhttp 4", "okhttp"),
    ("LoyaltyApp/3.14.1 (iPhone; iOS 17.5; Scale/3.00)", "iOS", "LoyaltyApp 3", "LoyaltyApp on iOS"),
    ("LoyaltyApp/812 CFNetwork/1494.0.7 Darwin/23.4.0", "iOS", "LoyaltyApp 812", "LoyaltyApp on iOS"),
    (
        "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)",
        "Windows",
        "Internet Explorer 8",
        "Internet Explorer on Windows",
    ),
    ("", "", "", ""),
    ("-", "", "", ""),
    ("?", "", "", ""),
];

#[test]
fn user_agents_of_people() {
    for (raw, platform, browser, family) in PEOPLE {
        let derived = derive(&[(Field::UserAgent, raw)]);
        assert_eq!(derived.text(Signal::DevicePlatform), *platform, "{raw}");
        assert_eq!(derived.text(Signal::DeviceBrowser), *browser, "{raw}");
        assert_eq!(derived.text(Signal::DeviceUaFamily), *family, "{raw}");
        assert!(!derived.flag(Signal::DeviceBot), "{raw}");
    }
}

#[test]
fn user_agents_of_scripts() {
    for raw in [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
        "python-requests/2.32.3",
        "curl/8.7.1",
        "Go-http-client/2.0",
        "axios/1.7.2",
        "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
        "PostmanRuntime/7.39.0",
        "Scrapy/2.11 (+https://scrapy.org)",
        "facebookexternalhit/1.1",
        "ia_archiver",
        "SomeBot",
    ] {
        assert!(derive(&[(Field::UserAgent, raw)]).flag(Signal::DeviceBot), "{raw}");
    }
    for raw in [
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
        "Dart/3.4 (dart:io)",
        "Bottega/1.2 (iPhone; iOS 17.0)",
    ] {
        assert!(!derive(&[(Field::UserAgent, raw)]).flag(Signal::DeviceBot), "{raw}");
    }
}

#[test]
fn a_long_user_agent_is_read_as_far_as_it_goes() {
    let long = format!("LoyaltyApp/3 {}é Googlebot", "x".repeat(AGENT_BYTES_MAX - 14));
    let derived = derive(&[(Field::UserAgent, &long)]);
    assert_eq!(derived.text(Signal::DeviceBrowser), "LoyaltyApp 3");
    assert!(!derived.flag(Signal::DeviceBot));
}
