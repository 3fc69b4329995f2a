//! A REST API in front of the stream function: nothing without the parameter, and with it no other way in.

use order_status_stream::settings::StreamSettings;
use serde_json::{Value, json};

use dashboard::template::{Template, Variables};

const ON: (&str, &str) = ("RestApi", "regional");
const KEYS: (&str, &str) = ("RestApiKeyRequired", "true");
const LOGS: (&str, &str) = ("RestApiLogs", "on");
const WEB_ACL: &str = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/shop/0a-1b";
const FIREWALL: (&str, &str) = ("RestApiWebAclArn", WEB_ACL);

fn values(template: &Template, given: &[(&str, &str)]) -> Variables {
    let given: Vec<_> = given.iter().chain(&[("Access", "open")]).copied().collect();
    let mut values = template.with_defaults(&given);
    let url = "https://stream.on.aws/".to_owned();
    values.insert("StreamFunctionUrl.FunctionUrl".to_owned(), url);
    values
}

/// The value at a path, as CloudFormation computes it.
#[track_caller]
fn value(path: &str, given: &[(&str, &str)]) -> Value {
    let template = Template::read();
    let values = values(&template, given);
    assert_eq!(template.refusals(&values), Vec::<String>::new());
    template.value(template.at(path), &values)
}

/// The resources and outputs that are created.
fn created(given: &[(&str, &str)]) -> Vec<String> {
    let template = Template::read();
    let values = values(&template, given);
    let paths = ["Resources", "Outputs"].into_iter().flat_map(|part| {
        let names = template.names(part).into_iter();
        names.map(move |name| (name.to_owned(), format!("{part}/{name}")))
    });
    let exists = |path: &str| match template.at(path).get("Condition") {
        Some(name) => template.holds(&json!({ "Fn::Condition": name }), &values),
        None => true,
    };
    let found = paths.filter(|(_, path)| exists(path));
    found.map(|(name, _)| name).collect()
}

#[test]
fn each_parameter_creates_what_belongs_to_it_and_nothing_else() {
    let without = created(&[]);
    let check = |given: &[(&str, &str)], expected: &[&str], gone: &[&str]| {
        let with = created(given);
        let new: Vec<_> = with.iter().filter(|name| !without.contains(name)).collect();
        let old: Vec<_> = without.iter().filter(|name| !with.contains(name)).collect();
        assert_eq!(new, expected, "{given:?}");
        assert_eq!(old, gone, "{given:?}");
    };
    let public = [
        "StreamFunctionURLInvokeAllowPublicAccess",
        "StreamFunctionUrlPublicPermissions",
    ];
    let api = [
        "StreamApi",
        "StreamApiDeployment",
        "StreamApiMethod",
        "StreamApiPath",
        "StreamApiStage",
        "StreamFunctionInvokeRestApi",
    ];
    check(&[], &[], &[]);
    check(&[ON], &api, &public);
    let with = |more: &[&'static str]| {
        let mut all = [&api, more].concat();
        all.sort_unstable();
        all
    };
    check(&[ON, LOGS], &with(&["StreamApiLogs"]), &public);
    check(&[ON, FIREWALL], &with(&["StreamApiWebAcl"]), &public);
    let mut keys = with(&[
        "StreamApiDeploymentWithKeys",
        "StreamApiPreflight",
        "StreamApiUsagePlan",
    ]);
    keys.retain(|name| *name != "StreamApiDeployment");
    keys.push("RestApiUsagePlanId");
    check(&[ON, KEYS], &keys, &public);
}

/// API Gateway signs nothing: the permission names the API and its stage.
#[test]
fn nobody_but_the_api_can_call_the_function() {
    let permission = value("Resources/StreamFunctionInvokeRestApi/Properties", &[ON]);
    let arn = "arn:AWS::Partition:execute-api:AWS::Region:AWS::AccountId:StreamApi/live/*/*";
    assert_eq!(
        permission,
        json!({
            "Action": "lambda:InvokeFunction",
            "FunctionName": "StreamFunction",
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": arn,
        })
    );
    let auth = "Resources/StreamFunction/Properties/FunctionUrlConfig/AuthType";
    assert_eq!(value(auth, &[]), json!("NONE"));
    assert_eq!(value(auth, &[ON]), json!("AWS_IAM"));
}

#[test]
fn each_path_and_method_is_streamed() {
    let path = value("Resources/StreamApiPath/Properties", &[ON]);
    assert_eq!(path["PathPart"], json!("{proxy+}"));
    assert_eq!(
        path["ParentId"],
        json!({ "Fn::GetAtt": "StreamApi.RootResourceId" })
    );
    let function = "functions/StreamFunction.Arn/response-streaming-invocations";
    for (method, http_method, key, key_with_keys) in [
        ("StreamApiMethod", "ANY", "false", "true"),
        ("StreamApiPreflight", "OPTIONS", "", "false"),
    ] {
        let properties = format!("Resources/{method}/Properties");
        let found = value(&properties, &[ON, KEYS]);
        let uri =
            format!("arn:AWS::Partition:apigateway:AWS::Region:lambda:path/2021-11-15/{function}");
        assert_eq!(
            found["Integration"],
            json!({
                "Type": "AWS_PROXY",
                "IntegrationHttpMethod": "POST",
                "Uri": uri,
                "ResponseTransferMode": "STREAM",
                "TimeoutInMillis": 900_000,
            })
        );
        assert_eq!(found["HttpMethod"], json!(http_method));
        assert_eq!(found["AuthorizationType"], json!("NONE"));
        let required = |value: &Value| value.to_string().trim_matches('"').to_owned();
        assert_eq!(
            required(&found["ApiKeyRequired"]),
            key_with_keys,
            "{method}"
        );
        if !key.is_empty() {
            assert_eq!(required(&value(&properties, &[ON])["ApiKeyRequired"]), key);
        }
    }
    let template = Template::read();
    let longest = template.at("Parameters/StreamTimeout/MaxValue").as_u64();
    assert!(
        longest.unwrap() * 1000 <= 900_000,
        "the API would cut a stream"
    );
    assert!(
        !template.accepts("Heartbeat", "5m"),
        "a regional API cuts a silent stream"
    );
}

/// A deployment is a copy of the methods that exist when it is made.
#[test]
fn the_stage_shows_the_methods_as_they_are() {
    let deployed = |given: &[_]| value("Resources/StreamApiStage/Properties/DeploymentId", given);
    assert_eq!(deployed(&[ON]), json!("StreamApiDeployment"));
    assert_eq!(deployed(&[ON, KEYS]), json!("StreamApiDeploymentWithKeys"));
    let after = |name: &str| value(&format!("Resources/{name}/DependsOn"), &[ON]);
    assert_eq!(after("StreamApiDeployment"), json!("StreamApiMethod"));
    assert_eq!(
        after("StreamApiDeploymentWithKeys"),
        json!(["StreamApiMethod", "StreamApiPreflight"])
    );
}

#[test]
fn the_stage_limits_requests_and_logs_no_secret() {
    let settings = value("Resources/StreamApiStage/Properties/MethodSettings", &[ON]);
    assert_eq!(
        settings,
        json!([{
            "HttpMethod": "*",
            "ResourcePath": "/*",
            "ThrottlingRateLimit": "1000",
            "ThrottlingBurstLimit": "1000",
            "LoggingLevel": "OFF",
            "DataTraceEnabled": false,
        }])
    );
    let log = "Resources/StreamApiStage/Properties/AccessLogSetting";
    assert_eq!(value(log, &[ON]), json!("AWS::NoValue"));
    let log = value(log, &[ON, LOGS]);
    let group = "arn:AWS::Partition:logs:AWS::Region:AWS::AccountId:log-group:StreamApiLogs";
    assert_eq!(log["DestinationArn"], json!(group));
    let line: Value = serde_json::from_str(log["Format"].as_str().unwrap()).unwrap();
    let shown: Vec<_> = line.as_object().unwrap().values().collect();
    let shown: Vec<_> = shown.iter().map(|value| value.as_str().unwrap()).collect();
    // Not `$context.path`, `$context.identity.apiKey` and `$context.authorizer`.
    let allowed = [
        "$context.requestId",
        "$context.requestTime",
        "$context.identity.sourceIp",
        "$context.identity.apiKeyId",
        "$context.httpMethod",
        "$context.status",
        "$context.error.responseType",
        "$context.wafResponseCode",
        "$context.responseLatency",
        "$context.responseLength",
    ];
    for variable in shown {
        assert!(allowed.contains(&variable), "{variable}");
    }
}

#[test]
fn the_firewall_and_the_usage_plan_belong_to_the_stage() {
    let firewall = value("Resources/StreamApiWebAcl/Properties", &[ON, FIREWALL]);
    let stage =
        "arn:AWS::Partition:apigateway:AWS::Region::/restapis/StreamApi/stages/StreamApiStage";
    let expected = json!({ "ResourceArn": stage, "WebACLArn": WEB_ACL });
    assert_eq!(firewall, expected);
    let plan = value(
        "Resources/StreamApiUsagePlan/Properties/ApiStages",
        &[ON, KEYS],
    );
    assert_eq!(
        plan,
        json!([{ "ApiId": "StreamApi", "Stage": "StreamApiStage" }])
    );
    assert_eq!(
        value("Outputs/RestApiUsagePlanId/Value", &[ON, KEYS]),
        json!("StreamApiUsagePlan")
    );
}

#[test]
fn the_function_is_told_what_a_request_costs() {
    let template = Template::read();
    let price = |given: &[_]| {
        let set = template.environment("StreamFunction", &values(&template, given));
        let settings = StreamSettings::read(|name| set.get(name).cloned()).unwrap();
        settings.policy.unwrap().prices.request.usd() * 1e6
    };
    let own = ("RequestPrice", "2.75");
    for (given, expected) in [(&[][..], 0.20), (&[ON], 3.70), (&[ON, own], 2.75)] {
        assert!((price(given) - expected).abs() < 1e-9, "{given:?}");
    }
}

#[test]
fn the_outputs_name_the_stage() {
    let api = "https://StreamApi.execute-api.AWS::Region.AWS::URLSuffix/live";
    for (base_path, expected) in [("", "/"), ("/", "/"), ("/api", "/api/"), ("/api/", "/api/")] {
        let given = [ON, ("BasePath", base_path)];
        let url = value("Outputs/StreamUrl/Value", &given);
        assert_eq!(url, json!(format!("{api}{expected}")));
        let watch = value("Outputs/Watch/Value", &given);
        let watched = watch.as_str().unwrap().rsplit(' ').next().unwrap();
        assert_eq!(watched, format!("{api}{expected}orders/A-1001/events"));
    }
}

#[test]
fn parameters_that_do_not_fit_are_refused() {
    let template = Template::read();
    let check = |given: &[(&str, &str)], expected: &[&str]| {
        let refusals = template.refusals(&values(&template, given));
        assert_eq!(refusals.len(), expected.len(), "{given:?} {refusals:?}");
        for (refusal, part) in refusals.iter().zip(expected) {
            assert!(refusal.contains(part), "{refusals:?}");
        }
    };
    check(&[ON, KEYS, LOGS, FIREWALL], &[]);
    for off in [KEYS, LOGS, FIREWALL] {
        check(&[off], &["Set RestApi to regional"]);
    }
    check(&[ON, ("CloudFront", "true")], &["Set only one of them"]);
    let instances = [
        ON,
        ("ManagedSubnetIds", "subnet-0a"),
        ("ManagedSecurityGroupIds", "sg-0a"),
    ];
    check(&instances, &["ManagedSubnetIds must be empty"]);
    for (name, value) in [
        ("RestApi", "edge"),
        ("RestApiKeyRequired", "yes"),
        ("RestApiLogs", "true"),
        (
            "RestApiWebAclArn",
            "arn:aws:wafv2:us-east-1:123456789012:global/webacl/shop/0a",
        ),
    ] {
        assert!(!template.accepts(name, value), "{name} {value}");
    }
}
