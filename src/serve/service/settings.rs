//! Settings: defaults, the form in which they are echoed, and what an update leaves as it is.

use crate::serve::api::shapes::{
    EgressConfiguration, HealthCheckConfiguration, ImageConfiguration, IngressConfiguration, InstanceConfiguration,
    NetworkConfiguration, ServiceObservabilityConfiguration, Settings, SourceConfiguration,
};

/// The port of a service that names none.
const PORT: &str = "8080";

/// Whether the source is an image, not a source repository.
#[must_use]
pub(crate) fn is_image(settings: &Settings) -> bool {
    settings.source_configuration.as_ref().is_some_and(|source| source.image_repository.is_some())
}

/// The name of the image.
#[must_use]
pub(crate) fn image(settings: &Settings) -> Option<&str> {
    let repository = settings.source_configuration.as_ref()?.image_repository.as_ref()?;
    Some(repository.image_identifier.as_str())
}

/// How the image is run.
#[must_use]
pub(crate) fn image_configuration(settings: &Settings) -> Option<&ImageConfiguration> {
    settings.source_configuration.as_ref()?.image_repository.as_ref()?.image_configuration.as_ref()
}

/// Whether the service has a public address.
#[must_use]
pub(crate) fn is_public(settings: &Settings) -> bool {
    let ingress = settings.network_configuration.as_ref().and_then(|network| network.ingress_configuration.as_ref());
    ingress.is_none_or(|ingress| ingress.is_publicly_accessible)
}

/// Whether a new image under the same name starts a deployment.
#[must_use]
pub(crate) fn deploys_by_itself(settings: &Settings) -> bool {
    let source = settings.source_configuration.as_ref();
    source.and_then(|source| source.auto_deployments_enabled).unwrap_or_default()
}

/// What App Runner says of a service, with every default in it
/// (<https://docs.aws.amazon.com/apprunner/latest/api/API_CreateService.html>).
#[must_use]
pub(crate) fn with_defaults(settings: Settings) -> Settings {
    let mut source = settings.source_configuration.unwrap_or_default();
    if let Some(image) = &mut source.image_repository {
        image.image_configuration.get_or_insert_default().port.get_or_insert_with(|| PORT.to_owned());
        // https://docs.aws.amazon.com/apprunner/latest/api/API_SourceConfiguration.html
        let is_public = image.image_repository_type == "ECR_PUBLIC";
        source.auto_deployments_enabled.get_or_insert(!is_public);
    }
    let instance = settings.instance_configuration.unwrap_or_default();
    let health = settings.health_check_configuration.unwrap_or_default();
    let network = settings.network_configuration.unwrap_or_default();
    let egress = network.egress_configuration.unwrap_or_default();
    Settings {
        source_configuration: Some(source),
        instance_configuration: Some(InstanceConfiguration {
            cpu: Some(cpu(instance.cpu.as_deref().unwrap_or("1024"))),
            memory: Some(memory(instance.memory.as_deref().unwrap_or("2048"))),
            ..instance
        }),
        health_check_configuration: Some(HealthCheckConfiguration {
            protocol: health.protocol.or_else(|| Some("TCP".to_owned())),
            path: health.path.or_else(|| Some("/".to_owned())),
            interval: health.interval.or(Some(5)),
            timeout: health.timeout.or(Some(2)),
            healthy_threshold: health.healthy_threshold.or(Some(1)),
            unhealthy_threshold: health.unhealthy_threshold.or(Some(5)),
        }),
        network_configuration: Some(NetworkConfiguration {
            egress_configuration: Some(EgressConfiguration {
                egress_type: egress.egress_type.or_else(|| Some("DEFAULT".to_owned())),
                ..egress
            }),
            ingress_configuration: network
                .ingress_configuration
                .or(Some(IngressConfiguration { is_publicly_accessible: true })),
            ip_address_type: network.ip_address_type.or_else(|| Some("IPV4".to_owned())),
        }),
        observability_configuration: settings
            .observability_configuration
            .or_else(|| Some(ServiceObservabilityConfiguration::default())),
        auto_scaling_configuration_arn: settings.auto_scaling_configuration_arn,
    }
}

/// `1 vCPU` as `1024`; what has the service model's other form stays as it is.
fn cpu(written: &str) -> String {
    let vcpu = written.strip_suffix(" vCPU").and_then(|number| number.parse::<f64>().ok());
    vcpu.map_or_else(|| written.to_owned(), |vcpu| format!("{}", (vcpu * 1024.0) as u32))
}

/// `2 GB` as `2048`.
fn memory(written: &str) -> String {
    let gigabytes = written.strip_suffix(" GB").and_then(|number| number.parse::<f64>().ok());
    gigabytes.map_or_else(|| written.to_owned(), |gigabytes| format!("{}", (gigabytes * 1024.0) as u32))
}

/// What an update makes of a service's settings. A group that is left out stays. Within a group, a member that is left
/// out stays, too: AWS's own example changes the memory alone
/// (<https://docs.aws.amazon.com/cli/latest/reference/apprunner/update-service.html>), and in the field a start command that
/// an update left out persisted. A map of variables replaces the whole map. Egress that becomes DEFAULT has no connector.
#[must_use]
pub(crate) fn merged(known: &Settings, update: Settings) -> Settings {
    let instance =
        both(&known.instance_configuration, update.instance_configuration, |known, new| InstanceConfiguration {
            cpu: new.cpu.map(|written| cpu(&written)).or(known.cpu),
            memory: new.memory.map(|written| memory(&written)).or(known.memory),
            instance_role_arn: new.instance_role_arn.or(known.instance_role_arn),
        });
    let health = both(&known.health_check_configuration, update.health_check_configuration, |known, new| {
        HealthCheckConfiguration {
            protocol: new.protocol.or(known.protocol),
            path: new.path.or(known.path),
            interval: new.interval.or(known.interval),
            timeout: new.timeout.or(known.timeout),
            healthy_threshold: new.healthy_threshold.or(known.healthy_threshold),
            unhealthy_threshold: new.unhealthy_threshold.or(known.unhealthy_threshold),
        }
    });
    let network = both(&known.network_configuration, update.network_configuration, |known, new| NetworkConfiguration {
        egress_configuration: both(&known.egress_configuration, new.egress_configuration, egress),
        ingress_configuration: new.ingress_configuration.or(known.ingress_configuration),
        ip_address_type: new.ip_address_type.or(known.ip_address_type),
    });
    Settings {
        source_configuration: both(&known.source_configuration, update.source_configuration, source),
        instance_configuration: instance,
        health_check_configuration: health,
        network_configuration: network,
        observability_configuration: update
            .observability_configuration
            .or_else(|| known.observability_configuration.clone()),
        auto_scaling_configuration_arn: update
            .auto_scaling_configuration_arn
            .or_else(|| known.auto_scaling_configuration_arn.clone()),
    }
}

fn both<T: Clone>(known: &Option<T>, new: Option<T>, merge: impl FnOnce(T, T) -> T) -> Option<T> {
    match (known, new) {
        (Some(known), Some(new)) => Some(merge(known.clone(), new)),
        (known, None) => known.clone(),
        (None, new) => new,
    }
}

fn egress(known: EgressConfiguration, new: EgressConfiguration) -> EgressConfiguration {
    let is_default = new.egress_type.as_deref() == Some("DEFAULT");
    EgressConfiguration {
        vpc_connector_arn: new.vpc_connector_arn.or(known.vpc_connector_arn).filter(|_| !is_default),
        egress_type: new.egress_type.or(known.egress_type),
    }
}

fn source(known: SourceConfiguration, new: SourceConfiguration) -> SourceConfiguration {
    let repository = match (known.image_repository, new.image_repository) {
        (Some(known), Some(mut new)) => {
            new.image_configuration =
                both(&known.image_configuration, new.image_configuration, |known, new| ImageConfiguration {
                    runtime_environment_variables: new
                        .runtime_environment_variables
                        .or(known.runtime_environment_variables),
                    runtime_environment_secrets: new.runtime_environment_secrets.or(known.runtime_environment_secrets),
                    start_command: new.start_command.or(known.start_command),
                    port: new.port.or(known.port),
                });
            Some(new)
        }
        (known, None) if new.code_repository.is_none() => known,
        (_, new) => new,
    };
    SourceConfiguration {
        code_repository: new.code_repository.or(known.code_repository).filter(|_| repository.is_none()),
        image_repository: repository,
        auto_deployments_enabled: new.auto_deployments_enabled.or(known.auto_deployments_enabled),
        authentication_configuration: new.authentication_configuration.or(known.authentication_configuration),
    }
}
