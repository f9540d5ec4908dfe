//! The JSON Schema of scenario files, generated from the table of keys that the reader checks against.

use serde_json::{Map, Value, json};

use super::keys::SCENARIO;
use super::shape::{Key, Shape};

/// The schema of a scenario file (<https://json-schema.org/draft/2020-12>).
#[must_use]
pub fn scenario() -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".to_owned(), "A scenario of exitone".into());
    if let Value::Object(rest) = mapping(&SCENARIO) {
        schema.extend(rest);
    }
    // Without candidates, the built image is the only one.
    schema.insert("anyOf".to_owned(), json!([{"required": ["candidates"]}, {"required": ["build"]}]));
    Value::Object(schema)
}

fn of(shape: Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Scalar => json!({"type": ["string", "number", "boolean"]}),
        Shape::Whole(low, high) => whole(low, high),
        Shape::Port => whole(1, 65535),
        Shape::Time(_) => json!({"type": "string", "examples": ["200ms", "5s", "1m"]}),
        Shape::Word(words) => json!({"enum": words}),
        Shape::Json => json!({}),
        Shape::List(inner) => json!({"type": "array", "items": of(*inner)}),
        Shape::OneOrMany(inner) => {
            json!({"anyOf": [of(*inner), {"type": "array", "items": of(*inner), "minItems": 1}]})
        }
        Shape::TextOr(keys) => json!({"anyOf": [{"type": "string"}, mapping(keys)]}),
        Shape::Map(keys) => mapping(keys),
        Shape::Variables => json!({
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_.-][A-Za-z0-9_.-]*$"},
            "additionalProperties": of(Shape::Scalar),
        }),
        Shape::Named(inner) => json!({"type": "object", "additionalProperties": of(*inner)}),
    }
}

/// A number, quoted or not.
fn whole(low: u32, high: u32) -> Value {
    json!({"anyOf": [{"type": "integer", "minimum": low, "maximum": high}, {"type": "string", "pattern": "^[0-9]+$"}]})
}

fn mapping(keys: &[Key]) -> Value {
    let property = |key: &Key| {
        let mut schema = Map::from_iter([("description".to_owned(), key.about.into())]);
        if let Value::Object(rest) = of(key.shape) {
            schema.extend(rest);
        }
        (key.name.to_owned(), Value::Object(schema))
    };
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let properties: Map<String, Value> = keys.iter().map(property).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}
