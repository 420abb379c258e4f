//! The process's environment: read here and nowhere else.

/// Whether text on a terminal is to have no colours: <https://no-color.org>, or a terminal that has none.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn forbids_colours() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}

/// The variables, as pairs; those that are not text are left out, since none of ours can be.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
