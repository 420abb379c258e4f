//! Rows for people: each column as wide as its widest cell.

/// The rows below their heads.
pub(super) fn table<const COLUMNS: usize>(heads: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let heads = heads.map(str::to_owned);
    let all = || std::iter::once(&heads).chain(rows);
    let widths: Vec<usize> =
        (0..COLUMNS).map(|at| all().map(|row| row[at].chars().count()).max().unwrap_or_default()).collect();
    let mut text = String::new();
    for row in all() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let row = |cells: [&str; 5]| cells.map(str::to_owned);
        let rows = [row(["2026", "متجر", "in/0/1", "mapping", "x"]), row(["2026", "s", "line 9", "not_json", "y"])];
        let expected = "TIME  SOURCE  POSITION  REASON    DETAIL\n\
                        2026  متجر    in/0/1    mapping   x\n\
                        2026  s       line 9    not_json  y\n";
        assert_eq!(table(["TIME", "SOURCE", "POSITION", "REASON", "DETAIL"], &rows), expected);
    }
}
