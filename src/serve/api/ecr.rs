//! The operations of ECR that deploy scripts use. The images are the engine's own: nothing is stored, nothing is sent
//! (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_Operations.html>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::error::{ApiError, ApiResult};
use super::{arn, input, seconds};
use crate::engine::Engine;
use crate::serve::prepare::resolved;
use crate::serve::service::Change;
use crate::serve::shared::{Place, Shared};

/// How long a password would be valid there: twelve hours.
const VALID_MS: i64 = 12 * 3600 * 1000;
/// The password of the simulated registry: `aws` splits the token at its only colon.
const LOGIN: &str = "AWS:exitone";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Request {
    repository_name: String,
    repository_names: Option<Vec<String>>,
    image_ids: Option<Vec<ImageId>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ImageId {
    image_tag: Option<String>,
    image_digest: Option<String>,
}

/// Carries out one operation.
///
/// # Errors
/// As the service model has them, and the engine's.
pub(super) async fn call(shared: &Shared, engine: &dyn Engine, operation: &str, body: &[u8]) -> ApiResult<Json> {
    match operation {
        "GetAuthorizationToken" => Ok(token(shared)),
        "DescribeRepositories" => repositories(shared, &input(body)?),
        "CreateRepository" => create(shared, &input(body)?),
        "DescribeImages" => images(shared, engine, &input(body)?).await,
        _ => Err(ApiError::not_implemented(&format!("AmazonEC2ContainerRegistry_V20150921.{operation}"))),
    }
}

fn registry(place: &Place) -> String {
    format!("{}.dkr.ecr.{}.amazonaws.com", place.account, place.region)
}

fn token(shared: &Shared) -> Json {
    json!({ "authorizationData": [{
        "authorizationToken": STANDARD.encode(LOGIN),
        "expiresAt": seconds(shared.now_ms() + VALID_MS),
        "proxyEndpoint": format!("https://{}", registry(&shared.place)),
    }] })
}

fn shown(place: &Place, name: &str, created_ms: i64) -> Json {
    json!({
        "repositoryName": name,
        "repositoryArn": arn(place, "ecr", &format!("repository/{name}")),
        "registryId": place.account,
        "repositoryUri": format!("{}/{name}", registry(place)),
        "createdAt": seconds(created_ms),
        "imageTagMutability": "MUTABLE",
    })
}

fn repositories(shared: &Shared, request: &Request) -> ApiResult<Json> {
    let books = shared.books();
    let known = &books.state.repositories;
    let all: Vec<Json> = match &request.repository_names {
        None => known.iter().map(|(name, created_ms)| shown(&shared.place, name, *created_ms)).collect(),
        Some(names) => {
            let one = |name: &String| match known.get(name) {
                Some(created_ms) => Ok(shown(&shared.place, name, *created_ms)),
                None => Err(ApiError::repository_not_found(format!(
                    "The repository with name '{name}' does not exist in the registry with id '{}'",
                    shared.place.account
                ))),
            };
            names.iter().map(one).collect::<ApiResult<_>>()?
        }
    };
    Ok(json!({ "repositories": all }))
}

fn needed_name(request: &Request) -> ApiResult<&String> {
    let name = &request.repository_name;
    if name.is_empty() { Err(ApiError::parameter("repositoryName must be given.")) } else { Ok(name) }
}

fn create(shared: &Shared, request: &Request) -> ApiResult<Json> {
    let name = needed_name(request)?.clone();
    let mut books = shared.books();
    if books.state.repositories.contains_key(&name) {
        return Err(ApiError::repository_exists(format!(
            "The repository with name '{name}' already exists in the registry with id '{}'",
            shared.place.account
        )));
    }
    let created_ms = shared.now_ms();
    books.change(vec![Change::Repository { name: name.clone(), created_ms }])?;
    Ok(json!({ "repository": shown(&shared.place, &name, created_ms) }))
}

async fn images(shared: &Shared, engine: &dyn Engine, request: &Request) -> ApiResult<Json> {
    let name = needed_name(request)?;
    let Some(ids) = request.image_ids.as_ref().filter(|ids| !ids.is_empty()) else {
        return Err(ApiError::parameter(
            "imageIds must be given: which images belong to a repository is not known here.",
        ));
    };
    let mut details = Vec::new();
    for id in ids {
        let reference = match (&id.image_tag, &id.image_digest) {
            (Some(tag), _) => format!("{}/{name}:{tag}", registry(&shared.place)),
            (None, Some(digest)) => format!("{}/{name}@{digest}", registry(&shared.place)),
            (None, None) => return Err(ApiError::parameter("imageIds must have an imageTag or an imageDigest.")),
        };
        let found = resolved(engine, &reference).await?;
        let Some(facts) = found else {
            return Err(ApiError::image_not_found(format!(
                "The image with imageId {{imageDigest:'null', imageTag:'{}'}} does not exist within the repository \
                 with name '{name}' in the registry with id '{}'",
                id.image_tag.as_deref().unwrap_or("null"),
                shared.place.account
            )));
        };
        details.push(json!({
            "registryId": shared.place.account,
            "repositoryName": name,
            "imageDigest": facts.id.to_string(),
            "imageTags": id.image_tag.iter().collect::<Vec<_>>(),
        }));
    }
    Ok(json!({ "imageDetails": details }))
}
