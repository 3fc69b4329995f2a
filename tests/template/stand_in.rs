//! The stand-in for Lambda's event source mapping (`dev/local`) has the properties of the template's mapping.

use local::event_source::Settings;
use serde_json::{Value, json};

use dashboard::template::Template;

#[test]
fn the_stand_in_has_the_properties_of_the_mapping() {
    let template = Template::read();
    let mapping = template.at("Resources/ProjectorFunction/Properties/Events/Orders/Properties");
    let settings = Settings::default();
    let timeout = template.at("Resources/ProjectorFunction/Properties/Timeout");
    assert_eq!(*timeout, json!(settings.timeout.as_secs()));
    let retries = settings.maximum_retry_attempts.map_or(-1, i64::from);
    let properties = [
        (
            "ParallelizationFactor",
            json!(settings.parallelization_factor),
        ),
        (
            "BisectBatchOnFunctionError",
            json!(settings.bisect_batch_on_function_error),
        ),
        (
            "MaximumRecordAgeInSeconds",
            json!(settings.maximum_record_age.as_secs()),
        ),
        ("MaximumRetryAttempts", json!(retries)),
    ];
    for (name, value) in properties {
        assert_eq!(mapping[name], value, "{name}");
    }
    // The template leaves these out. Lambda's defaults are 100 records and no window.
    assert_eq!(
        (&mapping["BatchSize"], settings.batch_size),
        (&Value::Null, 100)
    );
    assert_eq!(mapping["MaximumBatchingWindowInSeconds"], Value::Null);
}
