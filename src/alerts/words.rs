//! The words of alerts: why a record was written, why an alert closed, what became of an event.

/// Declares words with their names, in order.
macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident $text:literal,)* })*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $variant_doc])+ $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The word in records and metrics.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    )*};
}

words! {
    /// Why a record of an alert was written.
    AlertChange {
        /// It opens.
        Opened "opened",
        /// Its count has doubled since the last record, or a while has passed in which it grew.
        Grown "grown",
        /// Its verdict or its severity is graver than the last record said.
        Worse "worse",
        /// It is over: the last record.
        Closed "closed",
    }

    /// Why an alert closed.
    AlertClosing {
        /// Nothing came for so long.
        Quiet "quiet",
        /// Too many are open, and it had been quiet for the longest.
        Displaced "displaced",
        /// Its rule is no longer there, or off.
        RuleRemoved "rule_removed",
    }

    /// What became of a match that calls for an alert.
    AlertEvent {
        /// It opened one.
        Opened "opened",
        /// It belongs to one that was open.
        Joined "joined",
        /// Its rule has too many open in its program: it belongs to the one that stands for the rest.
        Gathered "gathered",
    }
}
