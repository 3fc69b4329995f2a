//! The stream function on Managed Instances is the same function, with other limits.

use std::time::Duration;

use dashboard::template::Template;
use order_status_stream::settings::StreamSettings;
use serde_json::{Value, json};

const FUNCTION: &str = "Resources/ManagedStreamFunction/Properties";
const GIVEN: [(&str, &str); 3] = [
    ("Access", "open"),
    ("ManagedSubnetIds", "subnet-0a,subnet-0b,subnet-0c"),
    ("ManagedSecurityGroupIds", "sg-0a"),
];

/// The members of an object of the template that are not in this list.
fn without(template: &Template, path: &str, names: &[&str]) -> Value {
    let mut object = template.at(path).clone();
    for name in names {
        let removed = object.as_object_mut().unwrap().remove(*name);
        assert!(removed.is_some(), "{path} has no {name}");
    }
    object
}

#[test]
fn the_two_stream_functions_differ_only_in_what_is_free_on_an_instance() {
    let template = Template::read();
    let path = |function: &str| format!("Resources/{function}/Properties/Environment/Variables");
    let differs = ["HOLD", "WINDOW"];
    assert_eq!(
        without(&template, &path("ManagedStreamFunction"), &differs),
        without(&template, &path("StreamFunction"), &differs),
        "a setting must have the same effect on both"
    );
    for same in ["Role", "LoggingConfig", "FunctionUrlConfig"] {
        let path = |function: &str| format!("Resources/{function}/Properties/{same}");
        assert_eq!(
            template.at(&path("ManagedStreamFunction")),
            template.at(&path("StreamFunction")),
            "{same}"
        );
    }
    assert_eq!(
        template.at("Resources/ManagedStreamFunction/Metadata/BuildProperties"),
        template.at("Resources/StreamFunction/Metadata/BuildProperties"),
        "the same binary"
    );
}

#[test]
fn a_held_stream_is_held_as_long_as_lambda_allows() {
    let template = Template::read();
    let values = template.with_defaults(&GIVEN);
    assert_eq!(template.refusals(&values), Vec::<String>::new());
    let environment = template.environment("ManagedStreamFunction", &values);
    let settings = StreamSettings::read(|name| environment.get(name).cloned()).unwrap();
    assert_eq!(settings.policy, None, "a hold costs nothing");
    assert_eq!(settings.window, Duration::from_secs(900));
    let timeout = template.at(&format!("{FUNCTION}/Timeout"));
    assert_eq!(timeout, &json!(settings.window.as_secs()));
}

#[test]
fn an_environment_gets_as_many_streams_as_asked_for_on_one_core() {
    let template = Template::read();
    let provider = template.at(&format!("{FUNCTION}/CapacityProviderConfig"));
    let expected = json!({
        "Arn": { "Fn::GetAtt": "ManagedInstances.Arn" },
        "ExecutionEnvironmentMemoryGiBPerVCpu": 2,
        "PerExecutionEnvironmentMaxConcurrency": { "Ref": "ManagedStreams" },
    });
    assert_eq!(provider, &expected, "Rust's default is 8 for each vCPU");
    let memory = template.at(&format!("{FUNCTION}/MemorySize"));
    assert_eq!(
        memory,
        &json!(2048),
        "one vCPU, because the process has one thread"
    );
    let published = template.at(&format!("{FUNCTION}/PublishToLatestPublished"));
    assert_eq!(
        published,
        &json!(true),
        "instances run published versions only"
    );
    let streams = template.at("Parameters/ManagedStreams");
    assert_eq!(streams["Default"], json!(1600));
    assert_eq!(streams["MaxValue"], json!(1600), "Lambda accepts no more");
}

#[test]
fn nothing_of_it_exists_without_subnets() {
    let template = Template::read();
    for given in [&[][..], &[("CloudFront", "true")]] {
        let values = template.with_defaults(given);
        for name in template.names("Resources") {
            if name.starts_with("Managed") {
                let resource = template.at(&format!("Resources/{name}"));
                let condition = json!({ "Fn::Condition": resource["Condition"] });
                assert!(!template.holds(&condition, &values), "{name}");
            }
        }
    }
    let without_groups = template.with_defaults(&GIVEN[..2]);
    let refusals = template.refusals(&without_groups);
    assert_eq!(refusals.len(), 1);
    assert!(
        refusals[0].contains("ManagedSecurityGroupIds is needed"),
        "{refusals:?}"
    );
}

#[test]
fn ids_of_other_things_are_refused() {
    let template = Template::read();
    for (value, subnets, groups) in [
        ("", true, true),
        ("subnet-0123456789abcdef0", true, false),
        ("subnet-0a,subnet-0b", true, false),
        ("sg-0a,sg-0b", false, true),
        ("sg-0a, sg-0b", false, false),
        ("vpc-0a", false, false),
        ("subnet-0a,", false, false),
    ] {
        assert_eq!(
            template.accepts("ManagedSubnetIds", value),
            subnets,
            "{value:?}"
        );
        assert_eq!(
            template.accepts("ManagedSecurityGroupIds", value),
            groups,
            "{value:?}"
        );
    }
}
