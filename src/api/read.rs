//! Reading a `TraceCapture` from YAML, with the line of every fault.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use super::capture::{API_VERSION, KIND};
use super::fault::Fault;
use super::rules;
use super::validate::{ValidCapture, check};

/// Reads one `TraceCapture` from YAML or JSON and checks it.
///
/// Unknown fields are faults: a setting that is misspelt must not be silently without effect.
///
/// # Errors
/// Every fault at once in the order of lines; only the first where the text is no YAML.
pub fn parse(text: &str) -> Result<ValidCapture, Vec<Fault>> {
    let document = read_document(text).map_err(|fault| vec![fault])?;
    let mut lines = BTreeMap::new();
    let object = document.into_json("", &mut lines);
    let mut faults = type_faults(&object)?;
    match check(object, rules::all()) {
        Ok(capture) if faults.is_empty() => return Ok(capture),
        Ok(_) => {}
        Err(mut others) => {
            others.retain(|other| faults.iter().all(|known| known.path != other.path));
            faults.append(&mut others);
        }
    }
    for fault in &mut faults {
        fault.line = line_of(&fault.path, &lines);
    }
    faults.sort_by_key(|fault| fault.line);
    Err(faults)
}

/// A YAML value with the line it stands on.
struct Node(Spanned<Content>);

enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// Returns the value as JSON and adds the line of everything below `path` to `lines`.
    fn into_json(self, path: &str, lines: &mut BTreeMap<String, u64>) -> Value {
        match self.0.value {
            Content::Scalar(value) => value,
            Content::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    lines.insert(path.clone(), item.0.referenced.line());
                    list.push(item.into_json(&path, lines));
                }
                Value::Array(list)
            }
            Content::Map(members) => {
                let mut object = Map::new();
                for (name, member) in members {
                    let path = if path.is_empty() { name.value.clone() } else { format!("{path}.{}", name.value) };
                    // The line of the name: that of a map as a value is only the line of its first member.
                    lines.insert(path.clone(), name.referenced.line());
                    let value = member.into_json(&path, lines);
                    object.insert(name.value, value);
                }
                Value::Object(object)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Content, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        // JSON has no infinity; as a text it is refused wherever a number belongs.
        Ok(Content::Scalar(Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Content::Map(members))
    }
}

fn read_document(text: &str) -> Result<Node, Fault> {
    let options = serde_saphyr::options! { with_snippet: false };
    let documents: Vec<Node> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| not_yaml(&error))?;
    let n_documents = documents.len();
    let mut documents = documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) => Ok(document),
        (None, _) => Err(Fault::new("", format!("is empty: write a `{KIND}` object"))),
        _ => Err(Fault::new("", format!("holds {n_documents} YAML documents: put each into a file of its own"))),
    }
}

fn not_yaml(error: &serde_saphyr::Error) -> Fault {
    let location = error.location().filter(|location| location.line() > 0);
    let message = if let serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } = error {
        format!("`{key}` stands here a second time: keep one of the two")
    } else {
        let text = error.to_string();
        // The line is told for every fault in the same place; the column helps only here.
        let place = location.map(|at| format!(" at line {}, column {}", at.line(), at.column()));
        let what = place.and_then(|place| text.strip_suffix(&place).map(str::to_owned)).unwrap_or(text);
        let column = location.map(|at| format!(" (column {})", at.column())).unwrap_or_default();
        format!("is not YAML: {what}{column}")
    };
    Fault { path: String::new(), message, line: location.map(|location| location.line()) }
}

/// Finds what is wrong with `apiVersion` and `kind`; an error where there is no object to look at any further.
fn type_faults(object: &Value) -> Result<Vec<Fault>, Vec<Fault>> {
    let Some(members) = object.as_object() else {
        return Err(vec![Fault::new("", format!("is not an object: write a `{KIND}` with `apiVersion` and `kind`"))]);
    };
    let faults = [("apiVersion", API_VERSION), ("kind", KIND)]
        .into_iter()
        .filter(|&(field, wanted)| members.get(field).and_then(Value::as_str) != Some(wanted))
        .map(|(field, wanted)| Fault::new(field, format!("write `{wanted}`, the only one that is read here")))
        .collect();
    Ok(faults)
}

/// Returns the line of `path`, or of the nearest that holds it where the file does not have it.
fn line_of(path: &str, lines: &BTreeMap<String, u64>) -> Option<u64> {
    let mut path = path;
    loop {
        if let Some(&line) = lines.get(path) {
            return Some(line);
        }
        path = path.rfind(['.', '[']).and_then(|end| path.get(..end)).filter(|_| !path.is_empty())?;
    }
}
