//! Reads what the messages in `ui/fail` suggest, and applies it to the case as a reader would.

use piggyback_tests::fresh::repository;
use std::fs;
use std::ops::Range;
use std::sync::LazyLock;

/// Whether an attribute has this option: the tables of the documentation have all of them.
fn is_option(name: &str) -> bool {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let read = |attribute| {
            let path = repository().join(format!("runtime/docs/{attribute}.md"));
            let text = fs::read_to_string(path).unwrap();
            let rows = text
                .lines()
                .skip_while(|line| !line.starts_with("| option |"));
            let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
            let codes =
                rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
            let names = codes.filter_map(|code| code.split([' ', '(']).next());
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        ["dedup", "batch"].into_iter().flat_map(read).collect()
    });
    NAMES.iter().any(|known| known == name)
}

/// Words before a suggestion. Behind one, `, or` brings an alternative of the same kind.
const VERBS: &[&str] = &["did you mean `", "write `", "add `", "remove `"];

/// One suggestion of a message: what it says, whether something is to be removed, and whether it comes on top of the one
/// before.
struct Suggestion<'a> {
    text: &'a str,
    removes: bool,
    also: bool,
}

fn suggestions(message: &str) -> Vec<Suggestion<'_>> {
    let mut found = Vec::new();
    let mut rest = message;
    let mut before = "";
    loop {
        let verbs = VERBS.iter().chain(
            (!found.is_empty())
                .then_some(&", or `")
                .filter(|or| rest.starts_with(**or)),
        );
        let next = verbs
            .filter_map(|verb| Some((rest.find(verb)?, *verb)))
            .min();
        let Some((at, verb)) = next else {
            return found;
        };
        let also = before == "found" && rest[..at].ends_with(", and ");
        rest = &rest[at + verb.len()..];
        let Some(end) = rest.find('`') else {
            return found;
        };
        found.push(Suggestion {
            text: &rest[..end],
            removes: verb.starts_with("remove"),
            also,
        });
        rest = &rest[end + 1..];
        before = "found";
    }
}

/// Whether it has a place to fill in, so that nobody can paste it.
fn has_holes(suggestion: &str) -> bool {
    ["…", "<T>", "[T]", "[&T]", "= T>"]
        .iter()
        .any(|hole| suggestion.contains(hole))
}

/// The case as it is after each alternative that its message suggests, without `main`: callers may have to change, too.
pub fn fixed(source: &str, stderr: &str) -> Vec<String> {
    let main = source
        .find("#[tokio::main]\nasync fn main")
        .or_else(|| source.find("fn main"));
    let source = &source[..main.unwrap_or(source.len())];
    let (message, at) = (
        stderr.lines().next().unwrap_or_default(),
        place(source, stderr),
    );
    let mut all: Vec<String> = Vec::new();
    for suggestion in suggestions(message) {
        if has_holes(suggestion.text) {
            continue;
        }
        if let (true, Some(last)) = (suggestion.also, all.last_mut()) {
            *last = apply(last, None, &suggestion);
        } else {
            all.push(apply(source, Some(at.clone()), &suggestion));
        }
    }
    all
}

/// Where the error is: the line of `-->`, and the first carets.
fn place(source: &str, stderr: &str) -> Range<usize> {
    let arrow = stderr.lines().find(|line| line.contains("-->")).unwrap();
    let mut numbers = arrow
        .rsplit(':')
        .map(|number| number.parse::<usize>().unwrap_or(0));
    let (column, line) = (numbers.next().unwrap(), numbers.next().unwrap());
    let carets = stderr.lines().find(|line| line.contains('^')).unwrap();
    let length = carets.chars().filter(|c| "^-".contains(*c)).count();
    let start = source
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum::<usize>()
        + column
        - 1;
    start..start + length
}

fn apply(source: &str, at: Option<Range<usize>>, suggestion: &Suggestion<'_>) -> String {
    let text = suggestion.text;
    let mut fixed = source.to_owned();
    let name = text.split([' ', '(']).next().unwrap_or_default();
    let attribute = attribute(source, at.as_ref());
    let unknown = at
        .clone()
        .filter(|at| attribute.contains(&at.start))
        .map(|at| &source[at])
        .filter(|there| !is_option(there) && there.chars().all(|c| c.is_alphabetic() || c == '_'));
    if text.starts_with("#[") {
        fixed.replace_range(attribute, text);
    } else if suggestion.removes {
        fixed.replace_range(option(source, &attribute, name).expect("it is there"), "");
    } else if let Some(at) = at
        .clone()
        // An option that is missing is missed in the whole attribute.
        .filter(|at| !source[at.clone()].starts_with("#["))
        .filter(|_| !is_option(name) || !text.contains([' ', '(']))
    {
        // A name, a type, or an option without a value.
        let there = &source[at.clone()];
        let at = match option(source, &attribute, name) {
            Some(option) if there.starts_with('=') => option,
            _ if is_option(name) && !attribute.contains(&at.start) => {
                return add(source, &attribute, text);
            }
            _ => inner(there, text).map_or(at.clone(), |inner| {
                at.start + inner.start..at.start + inner.end
            }),
        };
        fixed.replace_range(at, text);
    } else if let Some(option) = option(source, &attribute, name)
        // An option that there is not.
        .or_else(|| unknown.and_then(|unknown| option(source, &attribute, unknown)))
    {
        fixed.replace_range(option, text);
    } else {
        return add(source, &attribute, text);
    }
    fixed
}

fn add(source: &str, attribute: &Range<usize>, text: &str) -> String {
    let mut fixed = source.to_owned();
    let end = attribute.end - 1;
    if source[attribute.clone()].ends_with(")]") {
        fixed.insert_str(end - 1, &format!(", {text}"));
    } else {
        fixed.insert_str(end, &format!("({text})"));
    }
    fixed
}

/// The part of an argument or of a return type that a type stands for.
fn inner(there: &str, text: &str) -> Option<Range<usize>> {
    let (open, close) = if text.starts_with("Box<") {
        (there.find("Box<")?, there.rfind('>')?)
    } else if let Some(vec) = there.find("Vec<").filter(|_| there.contains(": ")) {
        (vec + 4, there.rfind('>')?)
    } else {
        (
            there.find("&[").filter(|_| there.contains(": "))? + 2,
            there.rfind(']')?,
        )
    };
    Some(open..close)
}

/// The attribute of ours that the error is in, or the first one.
fn attribute(source: &str, at: Option<&Range<usize>>) -> Range<usize> {
    let starts = ["#[dedup", "#[batch"]
        .iter()
        .filter_map(|start| source.find(start));
    let attributes: Vec<_> = starts
        .map(|start| start..start + source[start..].find("]\n").expect("its end") + 1)
        .collect();
    let is_in = |attribute: &&Range<usize>| at.is_some_and(|at| attribute.contains(&at.start));
    let first = attributes.iter().min_by_key(|attribute| attribute.start);
    attributes
        .iter()
        .find(is_in)
        .or(first)
        .expect("an attribute")
        .clone()
}

/// An option of that name, to the next comma that is not in parentheses.
fn option(source: &str, attribute: &Range<usize>, name: &str) -> Option<Range<usize>> {
    let text = &source[attribute.clone()];
    let is_name = |at: &(usize, &str)| {
        let (before, after) = (&text[..at.0], &text[at.0 + name.len()..]);
        before.ends_with(['(', ' ']) && after.starts_with([' ', '(', ',', ')'])
    };
    let (start, _) = text.match_indices(name).find(is_name)?;
    let mut depth = 0;
    let length = text[start..].find(|c| {
        depth += match c {
            '(' | '[' => 1,
            ')' | ']' => -1,
            _ => 0,
        };
        depth < 0 || depth == 0 && c == ','
    })?;
    Some(attribute.start + start..attribute.start + start + length)
}
