//! What a function is called in stats, spans, metrics and messages.

/// Where a function's path comes from.
#[derive(Debug, Clone, Copy)]
pub enum Path {
    /// A free function: `module_path!()` and the function's name.
    Free(&'static str, &'static str),
    /// A method or associated function: the same, and the type in between is read off the marker.
    Method(&'static str, &'static str),
    /// As said with `name = "…"`.
    Named(&'static str),
}
