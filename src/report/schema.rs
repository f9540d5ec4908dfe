//! The JSON Schemas of the output, generated from its types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::bisect::Document as Bisect;
use super::json::Document as Run;
use crate::event::Stamped;
use crate::model::answer::Answer;

/// One line of a run folder's `events.jsonl`.
#[must_use]
pub fn events() -> Value {
    let schema = closed(generator().into_root_schema_for::<Stamped>().to_value());
    titled("A line of an exitone run's events.jsonl", schema)
}

/// The documents of `run`, `why` and `bisect` with `--format json`, named under `$defs`.
#[must_use]
pub fn result() -> Value {
    let mut generator = generator();
    let one = |generator: &mut SchemaGenerator, of: fn(&mut SchemaGenerator) -> schemars::Schema| {
        closed(of(generator).to_value())
    };
    let documents = [
        ("run", one(&mut generator, Run::json_schema)),
        ("why", one(&mut generator, Answer::json_schema)),
        ("bisect", one(&mut generator, Bisect::json_schema)),
    ];
    let any: Vec<Value> = documents.iter().map(|(name, _)| json!({"$ref": format!("#/$defs/{name}")})).collect();
    let parts = generator.take_definitions(true).into_iter().map(|(name, part)| (name, closed(part)));
    let named = documents.into_iter().map(|(name, schema)| (name.to_owned(), schema));
    let defs: Map<String, Value> = named.chain(parts).collect();
    titled("What exitone run, why and bisect write with --format json", json!({"oneOf": any, "$defs": defs}))
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

fn titled(title: &str, schema: Value) -> Value {
    let mut whole = Map::new();
    whole.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    whole.insert("title".to_owned(), title.into());
    if let Value::Object(rest) = schema {
        whole.extend(rest.into_iter().filter(|(key, _)| key != "$schema" && key != "title"));
    }
    Value::Object(whole)
}

/// Allows no other keys in objects: the output changes only with its version.
fn closed(mut schema: Value) -> Value {
    close(&mut schema, true);
    schema
}

fn close(schema: &mut Value, whole: bool) {
    match schema {
        Value::Array(parts) => parts.iter_mut().for_each(|part| close(part, whole)),
        Value::Object(keys) => {
            let variants = ["oneOf", "anyOf", "allOf"].into_iter().find(|key| keys.contains_key(*key));
            let object = keys.contains_key("properties");
            // The default of a missing key matters to readers, not to the output.
            keys.remove("default");
            for (key, value) in keys.iter_mut() {
                match (key.as_str(), value) {
                    ("properties" | "$defs", Value::Object(parts)) => {
                        parts.values_mut().for_each(|part| close(part, true));
                    }
                    // A part of an object does not list the keys of the others.
                    ("oneOf" | "anyOf" | "allOf", parts) => close(parts, whole && !object),
                    ("items" | "prefixItems", part) => close(part, true),
                    _ => {}
                }
            }
            if object && whole {
                let word = if variants.is_some() { "unevaluatedProperties" } else { "additionalProperties" };
                keys.insert(word.to_owned(), false.into());
            }
        }
        _ => {}
    }
}
