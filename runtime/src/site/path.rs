//! What a function is called in stats, spans, metrics and messages.

use std::any::type_name;
use std::borrow::Cow;

/// Where a function's path comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path {
    /// A free function: `module_path!()` and the function's name.
    Free(&'static str, &'static str),
    /// A method or associated function: the same, and the type in between is read off the marker.
    Method(&'static str, &'static str),
    /// As said with `name = "…"`.
    Named(&'static str),
}

impl Path {
    /// The path of the function in whose body the closure `M` was written.
    pub(super) fn of<M>(self) -> Cow<'static, str> {
        match self {
            Self::Named(name) => Cow::Borrowed(name),
            Self::Free(module, name) => Cow::Owned(format!("{module}::{name}")),
            Self::Method(module, name) => Cow::Owned(method(module, name, type_name::<M>())),
        }
    }
}

/// Picks the type's name out of `type_name` of a closure in a method, which reads
/// `module::Type<…>::name<…>::{{closure}}` or `<module::Type<…> as module::Trait>::name::{{closure}}`.
/// Neither form is promised by the language: where it is another one, the path goes without the type.
fn method(module: &str, name: &str, marker: &str) -> String {
    let receiver = match marker.strip_prefix('<') {
        Some(qualified) => qualified.split_once(" as ").map(|(receiver, _)| receiver),
        None => {
            let plain = without_generics(marker);
            // In the function itself, or in what it has in common with its `forget`.
            let ends = [
                name.to_owned(),
                format!("__{name}_needs_Self_in_its_signature"),
            ];
            let ends = ends.map(|function| format!("::{function}::{{{{closure}}}}"));
            return match ends.iter().find_map(|end| plain.find(end)) {
                Some(at) => {
                    let owner = &plain[..at];
                    let owner = owner.rsplit("::").next().unwrap_or(owner);
                    match module.rsplit("::").next() {
                        Some(last) if last == owner => format!("{module}::{name}"),
                        _ => format!("{module}::{owner}::{name}"),
                    }
                }
                None => format!("{module}::{name}"),
            };
        }
    };
    match receiver {
        Some(receiver) => {
            let receiver = without_generics(receiver);
            let receiver = receiver.rsplit("::").next().unwrap_or(&receiver);
            format!("{module}::{receiver}::{name}")
        }
        None => format!("{module}::{name}"),
    }
}

/// `a::B<c::D>::e` → `a::B::e`.
fn without_generics(path: &str) -> String {
    let mut depth = 0usize;
    path.chars()
        .filter(|&c| {
            match c {
                '<' => depth += 1,
                '>' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_called_by_its_type() {
        for (marker, path) in [
            (
                "app::repo::Repo<'_, &alloc::string::String>::find<u8>::{{closure}}::{{closure}}",
                "app::repo::Repo::find",
            ),
            (
                "<app::repo::Repo<'_, u64> as app::Store>::find::{{closure}}::{{closure}}",
                "app::repo::Repo::find",
            ),
            (
                "app::repo::test::Repo::find::{{closure}}::{{closure}}",
                "app::repo::Repo::find",
            ),
            (
                "app::repo::find::{{closure}}::{{closure}}",
                "app::repo::find",
            ),
            (
                "app::repo::Repo<u64>::__find_needs_Self_in_its_signature::{{closure}}",
                "app::repo::Repo::find",
            ),
            ("something else", "app::repo::find"),
            ("<something> else", "app::repo::find"),
        ] {
            assert_eq!(method("app::repo", "find", marker), path, "{marker}");
        }
    }
}
