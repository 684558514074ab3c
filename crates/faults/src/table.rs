//! The shape of the tables: what a row is, and the macros that make classes, rows and typed
//! constructors of the two tables ([`crate::catalogue`] and [`crate::extensions`]).

use std::borrow::Cow;

use crate::catalogue::Class;

/// Whether trying again can help, as the docs and the CLI's hint say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again: change it first.
    No,
    /// The cause may pass; the same call can succeed.
    Maybe,
    /// Wait (`Retry-After` says how long), then call again.
    AfterDelay,
}

impl Retry {
    /// The name in `docs/errors.json`.
    pub fn name(self) -> &'static str {
        match self {
            Retry::No => "no",
            Retry::Maybe => "maybe",
            Retry::AfterDelay => "after-delay",
        }
    }

    /// A sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Retry::No => "No: the same call fails again; change it first.",
            Retry::Maybe => "Maybe: the cause may pass, and the same call can succeed.",
            Retry::AfterDelay => {
                "Yes, after a pause: `Retry-After` says how long, then call again."
            }
        }
    }
}

/// One row of the contract (110 of them), or of [`crate::extensions`].
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The class, which has the status.
    pub class: Class,
    /// `details[].code` on the wire.
    pub code: &'static str,
    /// The parameters' names in wire order (`{0}`, `{1}` of the texts).
    pub args: &'static [&'static str],
    /// The English text.
    pub en: &'static str,
    /// What happened and what to do, as Markdown.
    pub doc: &'static str,
}

impl Row {
    /// `Class.Code`, the row's name in docs, tests and the CLI.
    pub fn name(&self) -> String {
        format!("{}.{}", self.class.name(), self.code)
    }

    /// When exactly this code comes, as one paragraph.
    pub fn what_happened(&self) -> Cow<'static, str> {
        section(self.doc, "What happened:")
    }

    /// What the person who hit it does now, as one paragraph.
    pub fn what_to_do(&self) -> Cow<'static, str> {
        section(self.doc, "What to do:")
    }
}

impl Class {
    /// What the class means, as one paragraph.
    pub fn what_happened(self) -> Cow<'static, str> {
        section(self.doc(), "What happened:")
    }

    /// What the person who hit it does now, as one paragraph.
    pub fn what_to_do(self) -> Cow<'static, str> {
        section(self.doc(), "What to do:")
    }
}

/// The paragraph of a doc comment that begins with `label`, without the label and with its lines
/// joined; empty if there is none (a test shows that there always is one).
fn section(doc: &'static str, label: &str) -> Cow<'static, str> {
    let mut words = Vec::new();
    let mut inside = false;
    for line in doc.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix(label) {
            inside = true;
            words.push(rest.trim());
        } else if line.is_empty() {
            inside = false;
        } else if inside {
            words.push(line);
        }
    }
    match words.as_slice() {
        [one] => Cow::Borrowed(*one),
        many => Cow::Owned(many.join(" ")),
    }
}

/// Makes [`Class`], the rows and the constructors of the contract's table.
macro_rules! catalogue {
    ($(
        $(#[doc = $class_doc:literal])+
        $class:ident = $status:literal, $retry:ident, $class_en:literal, {
            $(
                $(#[doc = $doc:literal])+
                $code:ident = $make:ident($($arg:ident),*), $en:literal;
            )*
        }
    )+) => {
        /// An error class: `error.code` on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class {
            $( $(#[doc = $class_doc])+ $class, )+
        }

        impl Class {
            /// All classes in contract order.
            pub const ALL: &'static [Class] = &[$(Class::$class),+];

            /// `error.code` on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Class::$class => stringify!($class)),+ }
            }

            /// The HTTP status of every failure of this class.
            pub fn status(self) -> u16 {
                match self { $(Class::$class => $status),+ }
            }

            /// Whether trying again can help.
            pub fn retry(self) -> Retry {
                match self { $(Class::$class => Retry::$retry),+ }
            }

            /// The English text of the class: `error.message`.
            pub fn en(self) -> &'static str {
                match self { $(Class::$class => $class_en),+ }
            }

            /// What the class means and what to do, as Markdown.
            pub fn doc(self) -> &'static str {
                match self { $(Class::$class => concat!($($class_doc, "\n"),+)),+ }
            }

            /// The rows of this class in contract order.
            pub fn rows(self) -> &'static [&'static Row] {
                match self {
                    $(Class::$class => {
                        static ROWS: &[&Row] = &[$(&rows::$class::$code),*];
                        ROWS
                    }),+
                }
            }
        }

        /// The rows as values, by class and code: `rows::BadArgument::BlobNotFound`.
        #[allow(non_snake_case, non_upper_case_globals)]
        pub mod rows {
            $(
                #[doc = concat!("The rows of `", stringify!($class), "`.")]
                pub mod $class {
                    #[allow(unused_imports)]
                    use super::super::{Class, Row};
                    $(
                        $(#[doc = $doc])+
                        pub static $code: Row = Row {
                            class: Class::$class,
                            code: stringify!($code),
                            args: &[$(stringify!($arg)),*],
                            en: $en,
                            doc: concat!($($doc, "\n"),+),
                        };
                    )*
                }
            )+
        }

        with_modules! { $( $class { $( $(#[doc = $doc])+ $code = $make($($arg),*); )* } )+ }
    };
}

/// One module of constructors per class that has rows; `macro_rules!` cannot change a name's case,
/// so the names of the modules stand here.
macro_rules! with_modules {
    ($( $class:ident { $( $(#[doc = $doc:literal])+ $code:ident = $make:ident($($arg:ident),*); )* } )+) => {
        $( with_modules! { @$class { $( $(#[doc = $doc])+ $code = $make($($arg),*); )* } } )+
    };
    (@BadArgument $t:tt) => { constructors! { bad_argument BadArgument $t } };
    (@BadUserArgument $t:tt) => { constructors! { bad_user_argument BadUserArgument $t } };
    (@InvalidOperation $t:tt) => { constructors! { invalid_operation InvalidOperation $t } };
    (@WebServicePackageError $t:tt) => { constructors! { web_service_package_error WebServicePackageError $t } };
    (@Unauthorized $t:tt) => { constructors! { unauthorized Unauthorized $t } };
    (@NotFound $t:tt) => { constructors! { not_found NotFound $t } };
    (@RequestTimeout $t:tt) => { constructors! { request_timeout RequestTimeout $t } };
    (@Conflict $t:tt) => { constructors! { conflict Conflict $t } };
    (@MemoryQuotaViolation $t:tt) => { constructors! { memory_quota_violation MemoryQuotaViolation $t } };
    (@InternalError $t:tt) => { constructors! { internal_error InternalError $t } };
    (@WebServicePackageInternalError $t:tt) => { constructors! { web_service_package_internal_error WebServicePackageInternalError $t } };
    (@ServiceUnavailable $t:tt) => { constructors! { service_unavailable ServiceUnavailable $t } };
    (@GatewayTimeout $t:tt) => { constructors! { gateway_timeout GatewayTimeout $t } };
    (@$class:ident {}) => {};
}

/// The constructors of one class's rows: as many parameters as the row has, in wire order.
macro_rules! constructors {
    ($module:ident $class:ident { $( $(#[doc = $doc:literal])+ $code:ident = $make:ident($($arg:ident),*); )* }) => {
        #[doc = concat!("Constructors of the rows of `", stringify!($class), "`.")]
        pub mod $module {
            use super::{rows, Fault};
            $(
                $(#[doc = $doc])+
                pub fn $make($($arg: impl Into<String>),*) -> Fault {
                    Fault::row(&rows::$class::$code, vec![$($arg.into()),*])
                }
            )*
        }
    };
}

/// Makes the rows and constructors of the codes outside the contract's count.
macro_rules! extensions {
    ($(
        $(#[doc = $doc:literal])+
        $class:ident.$code:ident = $make:ident($($arg:ident),*), $en:literal;
    )+) => {
        /// The rows as values, by code.
        #[allow(non_upper_case_globals)]
        pub mod rows {
            use super::{Class, Row};
            $(
                $(#[doc = $doc])+
                pub static $code: Row = Row {
                    class: Class::$class,
                    code: stringify!($code),
                    args: &[$(stringify!($arg)),*],
                    en: $en,
                    doc: concat!($($doc, "\n"),+),
                };
            )+
        }

        /// All rows of this table, in its order.
        pub static ALL: &[&Row] = &[$(&rows::$code),+];

        $(
            $(#[doc = $doc])+
            pub fn $make($($arg: impl Into<String>),*) -> Fault {
                Fault::row(&rows::$code, vec![$($arg.into()),*])
            }
        )+
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_one_paragraph_without_its_label() {
        let doc = " What happened: one\n two.\n\n What to do: three.\n\n Not this.\n";
        assert_eq!(section(doc, "What happened:"), "one two.");
        assert_eq!(section(doc, "What to do:"), "three.");
        assert_eq!(section(" Nothing of it.\n", "What to do:"), "");
    }
}
