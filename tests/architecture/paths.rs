//! The paths in a text, read without knowing what they mean.

/// The names of a path, such as `std`, `fs`, `File`.
pub(crate) type Names = Vec<String>;

/// Returns every path of two names or more, groups such as `std::{fs, io}` taken apart.
pub(crate) fn paths(text: &str) -> Vec<Names> {
    let in_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(start) = text[at..].find(in_path).map(|more| at + more) {
        let path = &text[start..];
        let head = path.find(|c| !in_path(c)).unwrap_or(path.len());
        let end = if path[head..].starts_with('{') && path[..head].ends_with("::") {
            head + closing(&path[head..])
        } else {
            head
        };
        // What begins with colons goes on where something else ended, such as `<T as Trait>::name`; and who may see
        // something is not needed by it.
        if !path.starts_with(':') && !text[..start].ends_with("pub(in ") && path[..head].contains("::") {
            found.extend(leaves(&path[..end]).into_iter().map(|(path, _)| path));
        }
        at = start + end;
    }
    found
}

/// Splits a tree such as `a::{b, c::{d as e, self}}` into its paths, each with the name that it gets.
pub(crate) fn leaves(tree: &str) -> Vec<(Names, String)> {
    let names =
        |path: &str| path.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if let Some((before, group)) = tree.split_once('{') {
        let before: Names = names(before);
        let whole = |(path, name): (Names, String)| match path.as_slice() {
            [only] if only == "self" => (before.clone(), before.last().cloned().unwrap_or_default()),
            _ => ([before.as_slice(), &path].concat(), name),
        };
        return members(group).into_iter().flat_map(leaves).map(whole).collect();
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
    let path: Names = names(path);
    let name = if alias.is_empty() { path.last().cloned().unwrap_or_default() } else { alias.trim().to_owned() };
    vec![(path, name)]
}

/// Splits the inside of a group, from behind its opening brace, at its own commas.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0_u32, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                members.push(group[start..at].trim());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

/// Returns the length of a group, its braces included.
fn closing(group: &str) -> usize {
    let mut depth = 0_u32;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    group.len()
}
