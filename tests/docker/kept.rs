//! Test images that stay on the engine.

use std::collections::BTreeMap;
use std::path::Path;

use exitone::engine::archive::{NewImage, write};
use exitone::engine::{Engine, IMAGE_LABEL};
use exitone::images::CONTENT_LABEL;

/// The labels of an image that stays on the engine, with this content.
pub(crate) fn labels(content: &str) -> BTreeMap<String, String> {
    [(IMAGE_LABEL, "test"), (CONTENT_LABEL, content)].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Loads images in one archive.
pub(crate) async fn load(engine: &dyn Engine, images: &[NewImage], folder: &Path) {
    let archive = folder.join("images.tar");
    write(images, std::fs::File::create(&archive).expect("a file")).expect("packed");
    engine.load_image(&archive).await.expect("loaded");
}
