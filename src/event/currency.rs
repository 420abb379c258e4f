//! Which currencies there are. Source: the alphabetic codes of ISO 4217, list one, with the funds that prices stand in and
//! without precious metals and tests.

/// Alphabetic codes, sorted, and points, which are no currency of ISO 4217.
const CURRENCIES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN \
    BZD CAD CDF CHF CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD \
    GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR \
    LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK \
    PHP PKR PLN PTS PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT \
    TND TOP TRY TTD TWD TZS UAH UGX USD UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

/// The code of points.
pub const POINTS: &str = "PTS";

/// A bit for each third letter, by the first two.
const KNOWN: [[u32; 26]; 26] = {
    let codes = CURRENCIES.as_bytes();
    let mut known = [[0; 26]; 26];
    let mut at = 0;
    while at < codes.len() {
        known[(codes[at] - b'A') as usize][(codes[at + 1] - b'A') as usize] |= 1 << (codes[at + 2] - b'A');
        at += 4;
    }
    known
};

/// Whether a code, in upper case, is that of a currency or of points (`PTS`).
pub fn is_currency(code: &str) -> bool {
    let place = |letter: u8| usize::from(letter.wrapping_sub(b'A'));
    let &[first, second, third] = code.as_bytes() else { return false };
    let row = KNOWN.get(place(first)).and_then(|row| row.get(place(second)));
    row.is_some_and(|row| place(third) < 26 && row >> place(third) & 1 == 1)
}

/// Every code, to look for the nearest.
pub fn currencies() -> impl Iterator<Item = &'static str> + Clone {
    CURRENCIES.split_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_if_it_is_listed() {
        assert!(currencies().is_sorted() && currencies().all(is_currency));
        let letters = || (b'A'..=b'Z').map(char::from);
        let all = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}"))));
        assert_eq!(all.filter(|code| is_currency(code)).count(), currencies().count());
        for wrong in ["", "SA", "SARR", "sar", "S R", "[AR", "@@@", "سعر"] {
            assert!(!is_currency(wrong), "{wrong:?}");
        }
    }
}
