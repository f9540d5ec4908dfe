use super::*;
use crate::serve::api::error::ApiError;
use crate::serve::api::shapes::{
    CreateServiceRequest, EgressConfiguration, ImageConfiguration, ImageRepository, InstanceConfiguration,
    NetworkConfiguration, SourceConfiguration, UpdateServiceRequest,
};

fn of_image(image: &str) -> Settings {
    let repository = ImageRepository {
        image_identifier: image.to_owned(),
        image_repository_type: "ECR".to_owned(),
        image_configuration: None,
    };
    let source = SourceConfiguration { image_repository: Some(repository), ..SourceConfiguration::default() };
    Settings { source_configuration: Some(source), ..Settings::default() }
}

fn stamp(now_ms: i64) -> Stamp {
    Stamp { now_ms, operation: format!("op{now_ms}") }
}

/// A state with one service.
struct World {
    state: State,
    arn: String,
}

impl World {
    fn created() -> Self {
        let mut state = State::default();
        let request = CreateServiceRequest {
            service_name: "app1".to_owned(),
            settings: of_image("app:1"),
            ..CreateServiceRequest::default()
        };
        let identity = Identity { arn: "arn:1".to_owned(), id: "1".to_owned(), url: "x.r".to_owned() };
        let begun = create(&state, request, identity, &stamp(1)).expect("created");
        begun.changes.into_iter().for_each(|change| state.apply(change));
        Self { state, arn: "arn:1".to_owned() }
    }

    fn running() -> Self {
        let mut world = Self::created();
        world.end(Ended::Well, 2);
        world
    }

    fn service(&self) -> &Service {
        &self.state.services[&self.arn]
    }

    fn try_call(
        &mut self,
        begin: impl FnOnce(&Service, &Stamp) -> Result<Begun, ApiError>,
        now: i64,
    ) -> Result<Begun, ApiError> {
        let begun = begin(self.service(), &stamp(now))?;
        begun.changes.clone().into_iter().for_each(|change| self.state.apply(change));
        Ok(begun)
    }

    fn call(&mut self, begin: impl FnOnce(&Service, &Stamp) -> Result<Begun, ApiError>, now: i64) -> Begun {
        self.try_call(begin, now).expect("accepted")
    }

    fn end(&mut self, ended: Ended, now: i64) {
        let operation = self.state.under_way(&self.arn).expect("an operation is under way").clone();
        let changes = end(self.service(), &operation, ended, now);
        changes.into_iter().for_each(|change| self.state.apply(change));
    }

    fn last(&self) -> (OperationKind, OperationStatus) {
        let operation = self.state.operations[&self.arn].last().expect("an operation");
        (operation.kind, operation.status)
    }
}

fn to(image: &'static str) -> impl FnOnce(&Service, &Stamp) -> Result<Begun, ApiError> {
    move |service, stamp| {
        let request = UpdateServiceRequest { service_arn: service.arn.clone(), settings: of_image(image) };
        update(service, request, stamp)
    }
}

#[test]
fn what_comes_of_each_call() {
    use OperationKind as Kind;
    type Call = fn(&Service, &Stamp) -> Result<Begun, ApiError>;
    let update: Call = |service, stamp| to("app:2")(service, stamp);
    // The call, how it ends, the service then, and the operation then.
    let rows: [(Call, Ended, Status, (Kind, OperationStatus)); 8] = [
        (update, Ended::Well, Status::Running, (Kind::UpdateService, OperationStatus::Succeeded)),
        (update, Ended::Badly, Status::Running, (Kind::UpdateService, OperationStatus::RollbackSucceeded)),
        (deploy, Ended::Well, Status::Running, (Kind::StartDeployment, OperationStatus::Succeeded)),
        (deploy, Ended::Badly, Status::Running, (Kind::StartDeployment, OperationStatus::RollbackSucceeded)),
        (pause, Ended::Well, Status::Paused, (Kind::PauseService, OperationStatus::Succeeded)),
        (pause, Ended::Badly, Status::Running, (Kind::PauseService, OperationStatus::Failed)),
        (delete, Ended::Well, Status::Deleted, (Kind::DeleteService, OperationStatus::Succeeded)),
        (delete, Ended::Badly, Status::DeleteFailed, (Kind::DeleteService, OperationStatus::Failed)),
    ];
    for (call, ended, status, operation) in rows {
        let mut world = World::running();
        let begun = world.call(call, 3);
        assert_eq!(begun.service.status, Status::OperationInProgress, "at once");
        assert_eq!(world.last().1, OperationStatus::InProgress);
        world.end(ended, 4);
        assert_eq!((world.service().status, world.last()), (status, operation));
        assert_eq!(world.service().before, None);
        assert_eq!(world.state.operations[&world.arn].last().and_then(|operation| operation.ended_ms), Some(4));
    }
}

#[test]
fn failed_update_restores_what_served() {
    let mut world = World::running();
    let before = world.service().settings.clone();
    let begun = world.call(to("app:2"), 3);
    assert_eq!(settings::image(&begun.service.settings), Some("app:2"), "the answer shows the new one");
    assert_eq!(settings::image(serving(world.service())), Some("app:1"));
    let operation = world.state.under_way("arn:1").expect("under way").clone();
    let back = rolling_back(world.service(), &operation, 4);
    world.state.apply(back);
    assert_eq!(world.last().1, OperationStatus::RollbackInProgress);
    world.end(Ended::Badly, 5);
    assert_eq!(world.service().settings, before);
    world.call(to("app:3"), 6);
    world.end(Ended::Well, 7);
    assert_eq!(settings::image(&world.service().settings), Some("app:3"));
}

#[test]
fn failed_creation_is_built_again_by_an_update() {
    let mut world = World::created();
    world.end(Ended::Badly, 2);
    assert_eq!((world.service().status, world.last().1), (Status::CreateFailed, OperationStatus::Failed));
    assert!(deploy(world.service(), &stamp(3)).is_err(), "a deployment needs a running service");
    world.call(to("app:2"), 3);
    world.end(Ended::Badly, 4);
    assert_eq!((world.service().status, world.last().1), (Status::CreateFailed, OperationStatus::Failed));
    world.call(to("app:3"), 5);
    world.end(Ended::Well, 6);
    assert_eq!((world.service().status, world.last().1), (Status::Running, OperationStatus::Succeeded));
}

#[test]
fn calls_during_an_operation_are_refused_in_app_runners_words() {
    let mut world = World::running();
    world.call(to("app:2"), 3);
    let second = world.try_call(to("app:3"), 4).expect_err("busy");
    assert_eq!(
        (second.code, second.message.as_str()),
        ("InvalidStateException", "Service cannot be updated in the current state: OPERATION_IN_PROGRESS.")
    );
    let started = world.try_call(deploy, 4).expect_err("busy");
    assert_eq!(started.code, "InvalidRequestException");
    for call in [pause, resume, delete] {
        assert_eq!(world.try_call(call, 4).expect_err("busy").code, "InvalidStateException");
    }
}

#[test]
fn paused_service_is_resumed_and_not_updated() {
    let mut world = World::running();
    assert_eq!(world.call(resume, 3).operation, None, "it runs already");
    world.call(pause, 3);
    world.end(Ended::Well, 4);
    assert_eq!(world.call(pause, 5).operation, None, "it is paused already");
    assert!(world.try_call(to("app:2"), 5).is_err());
    assert_eq!(world.call(resume, 6).work, Work::Deploy);
    world.end(Ended::Badly, 7);
    assert_eq!(world.service().status, Status::Paused);
    world.call(delete, 8);
    world.end(Ended::Well, 9);
    assert_eq!((world.service().status, world.service().deleted_ms), (Status::Deleted, Some(9)));
    assert_eq!(world.call(delete, 10).operation, None, "it is deleted already");
}

#[test]
fn name_is_free_again_when_its_service_is_deleted() {
    let mut world = World::running();
    let request = || CreateServiceRequest {
        service_name: "app1".to_owned(),
        settings: of_image("app:1"),
        ..CreateServiceRequest::default()
    };
    let identity = || Identity { arn: "arn:2".to_owned(), id: "2".to_owned(), url: "y.r".to_owned() };
    let taken = create(&world.state, request(), identity(), &stamp(3)).expect_err("taken");
    assert_eq!(taken.message, "Service with the provided name already exists: app1.");
    world.call(delete, 4);
    world.end(Ended::Well, 5);
    assert!(create(&world.state, request(), identity(), &stamp(6)).is_ok());
}

#[test]
fn update_keeps_what_it_leaves_out() {
    let variables = |name: &str| Some([(name.to_owned(), "1".to_owned())].into());
    let mut known = of_image("app:1");
    let image = known.source_configuration.as_mut().and_then(|source| source.image_repository.as_mut());
    image.expect("an image").image_configuration = Some(ImageConfiguration {
        runtime_environment_variables: variables("A"),
        start_command: Some("serve".to_owned()),
        ..ImageConfiguration::default()
    });
    let known = settings::with_defaults(known);
    assert_eq!(known.instance_configuration.as_ref().and_then(|size| size.cpu.as_deref()), Some("1024"));
    let mut update = of_image("app:2");
    let image = update.source_configuration.as_mut().and_then(|source| source.image_repository.as_mut());
    image.expect("an image").image_configuration =
        Some(ImageConfiguration { runtime_environment_variables: variables("B"), ..ImageConfiguration::default() });
    update.instance_configuration =
        Some(InstanceConfiguration { memory: Some("4 GB".to_owned()), ..InstanceConfiguration::default() });
    let egress = |kind: &str, connector: Option<&str>| NetworkConfiguration {
        egress_configuration: Some(EgressConfiguration {
            egress_type: Some(kind.to_owned()),
            vpc_connector_arn: connector.map(str::to_owned),
        }),
        ..NetworkConfiguration::default()
    };
    update.network_configuration = Some(egress("VPC", Some("arn:connector")));
    let next = settings::merged(&known, update);
    let image = settings::image_configuration(&next).expect("a configuration");
    assert_eq!(image.runtime_environment_variables, variables("B"), "a map replaces the whole map");
    assert_eq!(image.start_command.as_deref(), Some("serve"), "a start command persists");
    assert_eq!(image.port.as_deref(), Some("8080"));
    let size = next.instance_configuration.as_ref().expect("a size");
    assert_eq!((size.cpu.as_deref(), size.memory.as_deref()), (Some("1024"), Some("4096")));
    let mut port = of_image("app:2");
    let image = port.source_configuration.as_mut().and_then(|source| source.image_repository.as_mut());
    image.expect("an image").image_configuration =
        Some(ImageConfiguration { port: Some("9000".to_owned()), ..ImageConfiguration::default() });
    let port = settings::merged(&known, port);
    let image = settings::image_configuration(&port).expect("a configuration");
    assert_eq!(image.port.as_deref(), Some("9000"));
    assert_eq!(image.runtime_environment_variables, variables("A"), "a port alone keeps the variables");
    assert!(settings::is_public(&next), "what goes in stays as it was");
    let back = Settings { network_configuration: Some(egress("DEFAULT", None)), ..Settings::default() };
    let back = settings::merged(&next, back);
    let egress = back.network_configuration.and_then(|network| network.egress_configuration).expect("egress");
    assert_eq!((egress.egress_type.as_deref(), egress.vpc_connector_arn), (Some("DEFAULT"), None));
}
