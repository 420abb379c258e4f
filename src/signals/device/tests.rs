use super::*;
use crate::signals::tests::{derive, derive_with};
use crate::signals::{PUBLIC_DEVICE_KEY, SignalConfig};
use proptest::prelude::*;
use siphasher::sip128::Hasher128 as _;
use std::hash::Hasher as _;

fn id(device: &str) -> String {
    derive(&[(Field::Device, device)]).text(Signal::DeviceId).to_owned()
}

#[test]
fn the_id_of_an_sdk_comes_before_any_hash() {
    let device = (Field::Device, r#"{"model":"Pixel 8"}"#);
    assert_eq!(derive(&[(Field::DeviceId, "fp-1"), device]).text(Signal::DeviceId), "fp-1");
    assert_eq!(derive(&[(Field::DeviceId, "fp-1")]).text(Signal::DeviceId), "fp-1");
    assert_eq!(derive(&[(Field::DeviceId, " "), device]).text(Signal::DeviceId), id(device.1));
    assert_eq!(derive(&[]).text(Signal::DeviceId), "");
}

#[test]
fn a_hash_is_of_what_the_attributes_say() {
    let one = id(r#"{"model":"Pixel 8","os":"Android 15"}"#);
    assert_eq!(one.len(), 32);
    assert!(one.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    for same in [
        r#"{"os":"Android 15","model":"Pixel 8"}"#,
        r#" { "model" : " Pixel 8 " , " os":"Android 15\n" } "#,
        r#"{"model":"\u0050ixel 8","os":"Android 15","imei":""}"#,
    ] {
        assert_eq!(id(same), one, "{same}");
    }
    for other in [
        r#"{"model":"Pixel 8"}"#,
        r#"{"model":"Pixel 8o","os":"s:Android 15"}"#,
        r#"{"mode":"lPixel 8","os":"Android 15"}"#,
        r#"{"model":"Android 15","os":"Pixel 8"}"#,
        r#"{"model":"pixel 8","os":"Android 15"}"#,
    ] {
        assert_ne!(id(other), one, "{other}");
    }
    for nothing in ["{}", r#"{"a":" "}"#, "", "null", "[]", "{"] {
        assert_eq!(id(nothing), "", "{nothing}");
    }
}

#[test]
fn a_hash_is_of_its_key() {
    let device = [(Field::Device, r#"{"model":"Pixel 8"}"#)];
    let other = SignalConfig { device_key: [7; 16], ..SignalConfig::default() };
    assert_ne!(derive_with(&other, &device).text(Signal::DeviceId), id(device[0].1));
    // The documented key of `eval`: what it gives must not change between versions.
    assert_eq!(PUBLIC_DEVICE_KEY, *b"refguard.devices");
    let mut hasher = SipHasher24::new_with_key(&PUBLIC_DEVICE_KEY);
    hasher.write(b"\x05\0\0\0\0\0\0\0model\x07\0\0\0\0\0\0\0Pixel 8");
    let expected: String = hasher.finish128().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(id(device[0].1), expected);
}

#[test]
fn emulators_give_themselves_away() {
    for (device, expected) in [
        (r#"{"emulator":"true"}"#, true),
        (r#"{"isEmulator":"1"}"#, true),
        (r#"{"is_simulator":"YES"}"#, true),
        (r#"{"emulator":"false"}"#, false),
        (r#"{"model":"sdk_gphone64_arm64"}"#, true),
        (r#"{"MODEL":"Android SDK built for x86"}"#, true),
        (r#"{"hardware":"ranchu"}"#, true),
        (r#"{"Hardware":"goldfish_x86"}"#, true),
        (r#"{"fingerprint":"google/sdk_gphone64/emu64:14/UE1A"}"#, true),
        (r#"{"fingerprint":"google/shiba/shiba:14/AP2A"}"#, false),
        (r#"{"manufacturer":"Genymotion"}"#, true),
        (r#"{"model":"Pixel 8","hardware":"shiba","brand":"google"}"#, false),
        (r#"{"name":"goldfish"}"#, false),
        (r#"{"model":"SM-S918B","device":"generic"}"#, false),
    ] {
        assert_eq!(derive(&[(Field::Device, device)]).flag(Signal::DeviceEmulator), expected, "{device}");
        let with_id = [(Field::DeviceId, "x"), (Field::Device, device)];
        assert_eq!(derive(&with_id).flag(Signal::DeviceEmulator), expected, "{device}");
    }
}

proptest! {
    #[test]
    fn equal_attributes_in_any_order_have_one_id(
        attributes in prop::collection::btree_map("[a-z]{1,6}", "\\PC{0,8}", 1..8),
        turn in 0..8usize,
    ) {
        let mut pairs: Vec<String> = attributes
            .iter()
            .map(|(name, value)| format!("{}:{}", serde_json::json!(name), serde_json::json!(value)))
            .collect();
        let straight = format!("{{{}}}", pairs.join(","));
        let middle = turn % pairs.len();
        pairs.rotate_left(middle);
        prop_assert_eq!(id(&straight), id(&format!("{{{}}}", pairs.join(","))));
    }
}
