//! Countries by their two letters: what signals and events name, and what rules compare with.

/// Every code of ISO 3166-1 alpha-2 that is assigned, and `XK` for Kosovo, which ISO leaves to its users and which
/// address databases and telephone numbers have.
const CODES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM \
    BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX \
    CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG \
    GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR \
    IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV \
    LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE \
    NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO \
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF \
    TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF \
    WS YE YT ZA ZM ZW XK";

/// A bit for each second letter, by first letter.
const ASSIGNED: [u32; 26] = {
    let codes = CODES.as_bytes();
    let mut assigned = [0; 26];
    let mut at = 0;
    while at < codes.len() {
        assigned[(codes[at] - b'A') as usize] |= 1 << (codes[at + 1] - b'A');
        at += 3;
    }
    assigned
};

/// The code of a country, in upper case; `None` for what is no country.
pub fn country(text: &str) -> Option<[u8; 2]> {
    let &[first, second] = text.trim().as_bytes() else { return None };
    let (first, second) = (first.to_ascii_uppercase(), second.to_ascii_uppercase());
    let row = ASSIGNED.get(usize::from(first.checked_sub(b'A')?))?;
    let column = second.checked_sub(b'A').filter(|column| *column < 26)?;
    (row >> column & 1 == 1).then_some([first, second])
}

/// A country's code as text; `""` for two zero bytes, which stand for none.
pub fn country_text(code: &[u8; 2]) -> &str {
    if *code == [0; 2] { "" } else { std::str::from_utf8(code).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_assigned_codes() {
        assert_eq!(ASSIGNED.iter().map(|row| row.count_ones()).sum::<u32>(), 250);
        for code in ["SA", "AE", "US", "GB", "ZW", "AD", "XK", "BQ", "SS"] {
            assert_eq!(country(code), Some(code.as_bytes().try_into().unwrap()));
        }
        assert_eq!(country(" sa\t"), Some(*b"SA"));
        for wrong in ["", "S", "SAU", "UK", "EU", "XX", "ZZ", "AN", "1A", "A1", "ة", "S\0", "[[", "@A", "A["] {
            assert_eq!(country(wrong), None, "{wrong:?}");
        }
    }
}
