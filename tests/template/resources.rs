//! What the functions rely on and cannot check themselves. Each expected value has the reason for it.

use aws_sdk_dynamodb::types::AttributeValue;
use dashboard::template::Template;
use local::dynamo::{Dynamo, FEED, create_tables};
use order_status_stream::metrics::{DIMENSION, NAMESPACE};
use serde_json::{Value, json};

use super::cloud_support::Cloud;

/// A path in the template, its value, and the reason for it.
type Expected<'a> = (&'a str, Value, &'a str);

#[track_caller]
fn check(part: &str, expected: &[Expected<'_>]) {
    let template = Template::read();
    for (path, value, why) in expected {
        assert_eq!(
            template.at(part).pointer(&format!("/{path}")),
            Some(value),
            "{part}/{path}: {why}"
        );
    }
}

/// Checks a whole part. A member that is not listed is a failure too.
#[track_caller]
fn check_all(part: &str, expected: &[Expected<'_>]) {
    check(part, expected);
    let mut names: Vec<_> = expected.iter().map(|(path, ..)| *path).collect();
    names.sort_unstable();
    let template = Template::read();
    let mut found = template.names(part);
    found.sort_unstable();
    assert_eq!(found, names, "{part}");
}

#[test]
fn the_mapping_loses_no_record() {
    let failed = json!({ "OnFailure": { "Destination": { "Fn::GetAtt": "FailedRecords.Arn" } } });
    let stream = json!({ "Fn::If": ["CreatesOrders", { "Fn::GetAtt": "OrdersTable.StreamArn" }, { "Ref": "OrdersStreamArn" }] });
    let mapping = "Resources/ProjectorFunction/Properties/Events/Orders/Properties";
    let filter = Template::read()
        .at(&format!("{mapping}/FilterCriteria"))
        .clone();
    check_all(
        mapping,
        &[
            ("Stream", stream, "changes come from the orders table"),
            ("FilterCriteria", filter, "filter.rs checks what it admits"),
            (
                "StartingPosition",
                json!("TRIM_HORIZON"),
                "LATEST skips what is written while the mapping is created or replaced",
            ),
            (
                "FunctionResponseTypes",
                json!(["ReportBatchItemFailures"]),
                "without it, Lambda does not read which records failed, and counts all of them as done",
            ),
            (
                "MaximumRetryAttempts",
                json!(-1),
                "with any other number, Lambda gives up a record during an outage of DynamoDB, and its change is lost",
            ),
            (
                "MaximumRecordAgeInSeconds",
                json!(23 * 3600),
                "after 24 hours, DynamoDB itself drops a record, and it is neither kept nor counted",
            ),
            (
                "DestinationConfig",
                failed,
                "records that are given up must be kept, and the alarm counts those that are kept there",
            ),
            (
                "BisectBatchOnFunctionError",
                json!(true),
                "a batch that takes longer than the timeout would be repeated as a whole for 23 hours",
            ),
            (
                "ParallelizationFactor",
                json!(10),
                "with 1, an order that cannot be appended holds back all orders of its shard",
            ),
            (
                "MetricsConfig",
                json!({ "Metrics": ["EventCount"] }),
                "without it, PolledEventCount has no data, and ProjectorNotPollingAlarm always rings",
            ),
        ],
    );
}

#[test]
fn the_tables_have_the_keys_that_the_code_writes() {
    let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
    let attribute =
        |name: &str, kind: &str| json!({ "AttributeName": name, "AttributeType": kind });
    check(
        "Resources/FeedTable",
        &[
            (
                "Properties/KeySchema",
                json!([key("order", "HASH"), key("seq", "RANGE")]),
                "the entries of an order are one partition, sorted by number",
            ),
            (
                "Properties/AttributeDefinitions",
                json!([attribute("order", "S"), attribute("seq", "N")]),
                "as text, 10 would come before 9",
            ),
            (
                "Properties/TimeToLiveSpecification",
                json!({ "AttributeName": "expiresAt", "Enabled": true }),
                "with another name, nothing expires: the feed grows for ever and keeps personal data",
            ),
            (
                "Properties/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled",
                json!(true),
                "a history cannot be rebuilt from the orders table",
            ),
            (
                "DeletionPolicy",
                json!("RetainExceptOnCreate"),
                "a deleted stack must not delete the history",
            ),
            (
                "UpdateReplacePolicy",
                json!("Retain"),
                "a replaced table must not delete the history",
            ),
        ],
    );
    check(
        "Resources/OrdersTable/Properties",
        &[
            (
                "StreamSpecification/StreamViewType",
                json!("NEW_AND_OLD_IMAGES"),
                "a record with only keys has no status",
            ),
            (
                "KeySchema",
                json!([{ "AttributeName": { "Ref": "OrderIdAttribute" }, "KeyType": "HASH" }]),
                "the order id must be the whole key, because Lambda keeps the sequence only of records with the same key",
            ),
        ],
    );
}

/// A restored feed, or one that another stack left behind.
#[test]
fn the_functions_use_an_existing_feed_if_it_is_named() {
    let template = Template::read();
    let created = template.at("Resources/FeedTable/Condition");
    assert_eq!(
        created,
        &json!("CreatesFeed"),
        "else a second table would be made"
    );
    for function in [
        "ProjectorFunction",
        "StreamFunction",
        "ManagedStreamFunction",
    ] {
        for (given, expected) in [
            (&[][..], "FeedTable"),
            (&[("FeedTableName", "Restored")], "Restored"),
        ] {
            let values = template.with_defaults(given);
            let found = &template.environment(function, &values)["FEED_TABLE"];
            assert_eq!(found, expected, "{function}");
        }
    }
}

/// All tests of the feed run on this table.
#[tokio::test]
async fn tests_use_the_feed_table_of_the_template() {
    let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
    let client = dynamo.client();
    create_tables(&client).await.unwrap();
    let table = client
        .describe_table()
        .table_name(FEED)
        .send()
        .await
        .unwrap();
    let table = table.table.unwrap();
    let keys = table.key_schema().iter();
    let keys = keys.map(
        |key| json!({ "AttributeName": key.attribute_name(), "KeyType": key.key_type().as_str() }),
    );
    let attributes = table.attribute_definitions().iter().map(|attribute| {
        json!({ "AttributeName": attribute.attribute_name(), "AttributeType": attribute.attribute_type().as_str() })
    });
    let expiry = client
        .describe_time_to_live()
        .table_name(FEED)
        .send()
        .await
        .unwrap();
    let expiry = expiry.time_to_live_description.unwrap();

    let template = Template::read();
    let deployed = template.at("Resources/FeedTable/Properties");
    assert_eq!(deployed["KeySchema"], keys.collect::<Value>());
    assert_eq!(
        deployed["AttributeDefinitions"],
        attributes.collect::<Value>()
    );
    assert_eq!(
        deployed["TimeToLiveSpecification"]["AttributeName"],
        json!(expiry.attribute_name())
    );
}

#[tokio::test]
async fn superseded_entries_expire_by_the_attribute_of_the_template() {
    let cloud = Cloud::new().await;
    cloud.append("A", "PLACED").await;
    cloud.append("A", "PAID").await;
    let written = cloud.client.scan().table_name(FEED).send().await.unwrap();
    let template = Template::read();
    let ttl = template.at("Resources/FeedTable/Properties/TimeToLiveSpecification/AttributeName");
    let (key, ttl) = ("seq", ttl.as_str().unwrap());
    let expiring = written.items().iter().filter(|item| item.contains_key(ttl));
    let expiring: Vec<_> = expiring
        .map(|item| (&item[key], item[ttl].is_n()))
        .collect();
    assert_eq!(expiring, [(&AttributeValue::N("1".to_owned()), true)]);
}

#[test]
fn the_stream_function_streams() {
    check(
        "Resources/StreamFunction/Properties",
        &[
            (
                "FunctionUrlConfig/InvokeMode",
                json!("RESPONSE_STREAM"),
                "BUFFERED delivers a response after its end, so no change is live",
            ),
            (
                "Timeout",
                json!({ "Ref": "StreamTimeout" }),
                "the parameter must have an effect",
            ),
        ],
    );
    check(
        "Globals/Function",
        &[
            (
                "Runtime",
                json!("provided.al2023"),
                "the bootstrap is a binary",
            ),
            (
                "LoggingConfig/LogFormat",
                json!("JSON"),
                "metric filters read fields",
            ),
        ],
    );
}

/// The statements of a role: Sid, actions, and the resource as in the template.
fn statements(role: &str) -> Vec<(String, Vec<String>, Value)> {
    let template = Template::read();
    let policies = template.at(&format!("Resources/{role}/Properties/Policies"));
    let policies = policies.as_array().unwrap();
    assert_eq!(policies.len(), 1, "{role} has exactly one policy");
    let statements = policies[0]["PolicyDocument"]["Statement"]
        .as_array()
        .unwrap();
    statements
        .iter()
        .map(|statement| {
            // A statement that depends on a condition counts.
            let statement = statement.pointer("/Fn::If/1").unwrap_or(statement);
            assert_eq!(statement["Effect"], "Allow");
            let actions = match &statement["Action"] {
                Value::String(action) => vec![action.clone()],
                actions => serde_json::from_value(actions.clone()).unwrap(),
            };
            let sid = statement["Sid"].as_str().unwrap();
            (sid.to_owned(), actions, statement["Resource"].clone())
        })
        .collect()
}

#[track_caller]
fn check_role(role: &str, expected: &[(&str, &[&str], Value)]) {
    let template = Template::read();
    let role_properties = template.at(&format!("Resources/{role}/Properties"));
    let network =
        json!({ "Fn::If": ["HasVpc", [{ "Ref": "NetworkPolicy" }], { "Ref": "AWS::NoValue" }] });
    assert_eq!(role_properties["ManagedPolicyArns"], network, "{role}");
    let found = statements(role);
    assert_eq!(
        found.len(),
        expected.len(),
        "{role} allows more or less than its function does: {found:?}"
    );
    for ((sid, actions, resource), (expected_sid, expected_actions, expected_resource)) in
        found.iter().zip(expected)
    {
        assert_eq!(sid, expected_sid, "{role}");
        assert_eq!(
            actions, expected_actions,
            "{role} {sid}: exactly what the function does"
        );
        assert_eq!(
            resource, expected_resource,
            "{role} {sid}: no resource of another stack"
        );
    }
}

#[test]
fn a_role_allows_exactly_what_its_function_does() {
    let existing =
        "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${FeedTableName}";
    let created = json!({ "Fn::GetAtt": "FeedTable.Arn" });
    let feed = json!({ "Fn::If": ["CreatesFeed", created, { "Fn::Sub": existing }] });
    let write_logs: &[&str] = &["logs:CreateLogStream", "logs:PutLogEvents"];
    check_role(
        "StreamRole",
        &[
            ("ReadTheFeed", &["dynamodb:Query"], feed.clone()),
            (
                "WriteLogs",
                write_logs,
                json!({ "Fn::GetAtt": "StreamLogs.Arn" }),
            ),
        ],
    );
    let read_the_stream: &[&str] = &[
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
    ];
    let stream = json!({ "Fn::If": ["CreatesOrders", { "Fn::GetAtt": "OrdersTable.StreamArn" }, { "Ref": "OrdersStreamArn" }] });
    check_role(
        "ProjectorRole",
        &[
            ("ReadTheOrdersStream", read_the_stream, stream),
            (
                "DecryptTheOrdersStream",
                &["kms:Decrypt"],
                json!({ "Ref": "OrdersKmsKeyArn" }),
            ),
            ("ReadTheNewestEntry", &["dynamodb:Query"], feed.clone()),
            ("AppendAnEntry", &["dynamodb:PutItem"], feed.clone()),
            ("LetASupersededEntryExpire", &["dynamodb:UpdateItem"], feed),
            (
                "KeepFailedRecords",
                &["s3:PutObject"],
                json!({ "Fn::Sub": "${FailedRecords.Arn}/aws/lambda/*" }),
            ),
            (
                "FindTheBucketOfFailedRecords",
                &["s3:ListBucket"],
                json!({ "Fn::GetAtt": "FailedRecords.Arn" }),
            ),
            (
                "WriteLogs",
                write_logs,
                json!({ "Fn::GetAtt": "ProjectorLogs.Arn" }),
            ),
        ],
    );
}

/// The policy that the roles have in a VPC only.
#[test]
fn lambda_may_connect_the_functions_to_a_vpc_but_their_code_may_not() {
    let policy = "Resources/NetworkPolicy";
    check(
        policy,
        &[("Condition", json!("HasVpc"), "no VPC, no permission")],
    );
    let template = Template::read();
    let statements = template.at(&format!("{policy}/Properties/PolicyDocument/Statement"));
    let statements = statements.as_array().unwrap();
    let of_effect = |effect: &str| {
        let statements = statements.iter().filter(|it| it["Effect"] == effect);
        let mut actions: Vec<_> = statements
            .flat_map(|it| it["Action"].as_array().unwrap())
            .collect();
        actions.sort_by_key(|action| action.to_string());
        actions
    };
    let allowed = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    ];
    assert_eq!(
        of_effect("Allow"),
        allowed,
        "those of AWSLambdaVPCAccessExecutionRole, without its logs"
    );
    assert_eq!(of_effect("Deny"), allowed, "the code needs none of them");
    let of_code = json!({ "Null": { "lambda:SourceFunctionArn": "false" } });
    let denied: Vec<_> = statements
        .iter()
        .filter(|it| it["Effect"] == "Deny")
        .collect();
    assert_eq!(denied.len(), 1);
    assert_eq!(
        denied[0]["Condition"], of_code,
        "without it, Lambda is refused too"
    );
    let own =
        json!({ "Fn::Sub": "arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:*/*" });
    for (sid, resource) in [
        ("FindNetworkInterfaces", json!("*")),
        ("ManageNetworkInterfaces", own),
    ] {
        let statement = statements.iter().find(|it| it["Sid"] == sid).unwrap();
        assert_eq!(statement["Resource"], resource, "{sid}");
    }
}

/// Checks an alarm: its metric, its threshold, and whether it rings without data.
#[track_caller]
fn check_alarm(
    name: &str,
    metric: [&str; 2],
    dimension: Option<[&str; 2]>,
    rings: [&str; 3],
    missing: &str,
    why: &str,
) {
    let template = Template::read();
    let alarm = template.at(&format!("Resources/{name}/Properties"));
    let stack = json!({ "Ref": "AWS::StackName" });
    let namespace = if metric[0].is_empty() {
        stack
    } else {
        json!(metric[0])
    };
    assert_eq!(alarm["Namespace"], namespace, "{name}: {why}");
    assert_eq!(alarm["MetricName"], json!(metric[1]), "{name}: {why}");
    let dimensions = dimension.map(|[name, of]| json!([{ "Name": name, "Value": { "Ref": of } }]));
    assert_eq!(
        alarm.get("Dimensions"),
        dimensions.as_ref(),
        "{name}: {why}"
    );
    let found = ["Statistic", "ComparisonOperator", "Threshold"]
        .map(|key| alarm[key].to_string().replace('"', ""));
    assert_eq!(found, rings, "{name}: {why}");
    assert_eq!(alarm["TreatMissingData"], json!(missing), "{name}: {why}");
    let topic = json!([{ "Fn::If": ["HasAlarmTopic", { "Ref": "AlarmTopicArn" }, { "Ref": "AWS::NoValue" }] }]);
    assert_eq!(alarm["AlarmActions"], topic, "{name} must notify");
}

const AT_LEAST_ONE: [&str; 3] = ["Sum", "GreaterThanOrEqualToThreshold", "1"];

#[test]
fn an_alarm_rings_if_lambda_does_not_poll() {
    check_alarm(
        "ProjectorNotPollingAlarm",
        ["AWS/Lambda", "PolledEventCount"],
        Some(["EventSourceMappingUUID", "ProjectorFunctionOrders"]),
        ["Sum", "LessThanThreshold", "0"],
        "breaching",
        "Lambda sends 0 for an empty poll and no data without a poll, so missing data is the signal",
    );
    check(
        "Resources/ProjectorNotPollingAlarm/Properties",
        &[
            ("Period", json!(300), "a shorter period may contain no poll"),
            (
                "EvaluationPeriods",
                json!(3),
                "a deployment of the mapping takes some minutes",
            ),
        ],
    );
}

#[test]
fn an_alarm_rings_if_a_function_breaks() {
    for (name, function) in [
        ("ProjectorBrokenAlarm", "ProjectorFunction"),
        ("StreamBrokenAlarm", "StreamFunction"),
        ("ManagedBrokenAlarm", "ManagedStreamFunction"),
    ] {
        check_alarm(
            name,
            ["AWS/Lambda", "Errors"],
            Some(["FunctionName", function]),
            AT_LEAST_ONE,
            "notBreaching",
            "a function reports failures in its response, so an error is a crash, a wrong setting or a timeout",
        );
    }
    for (name, function) in [
        ("StreamThrottledAlarm", "StreamFunction"),
        ("ManagedThrottledAlarm", "ManagedStreamFunction"),
    ] {
        check_alarm(
            name,
            ["AWS/Lambda", "Throttles"],
            Some(["FunctionName", function]),
            AT_LEAST_ONE,
            "notBreaching",
            "an EventSource gives up after 429",
        );
    }
}

/// The alarm's expression must be the share of the limit at which Lambda answers 429.
#[test]
fn an_alarm_rings_before_the_first_429() {
    let limit = json!({ "Fn::If": ["HasStreamConcurrency", { "Ref": "StreamReservedConcurrency" }, { "Ref": "ConcurrencyLimit" }] });
    let expression = json!({ "Fn::Sub": ["100 * MAX([executions, requests / 600]) / ${Limit}", { "Limit": limit }] });
    let function = json!([{ "Name": "FunctionName", "Value": { "Ref": "StreamFunction" } }]);
    let of = json!({ "Fn::If": ["HasStreamConcurrency", function, { "Ref": "AWS::NoValue" }] });
    let metric = |name: &str, stat: &str| {
        let metric = json!({ "Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": of });
        json!({ "Metric": metric, "Period": 60, "Stat": stat })
    };
    let topic = json!([{ "Fn::If": ["HasAlarmTopic", { "Ref": "AlarmTopicArn" }, { "Ref": "AWS::NoValue" }] }]);
    let alarm = "StreamNearLimitAlarm";
    check(
        &format!("Resources/{alarm}/Properties"),
        &[
            (
                "Metrics/0/Expression",
                expression,
                "429 comes from the limit on, and from ten times as many requests a second on: 600 a minute",
            ),
            (
                "Metrics/1/Id",
                json!("executions"),
                "the expression names it",
            ),
            (
                "Metrics/1/MetricStat",
                metric("ConcurrentExecutions", "Maximum"),
                "the account's functions share its limit",
            ),
            (
                "Metrics/1/ReturnData",
                json!(false),
                "an alarm watches one value",
            ),
            ("Metrics/2/Id", json!("requests"), "the expression names it"),
            (
                "Metrics/2/MetricStat",
                metric("Invocations", "Sum"),
                "check-ins are short: they reach the limit of requests first",
            ),
            (
                "Metrics/2/ReturnData",
                json!(false),
                "an alarm watches one value",
            ),
            (
                "Threshold",
                json!(80),
                "the alarm must come before the limit",
            ),
            (
                "ComparisonOperator",
                json!("GreaterThanOrEqualToThreshold"),
                "more is worse",
            ),
            ("EvaluationPeriods", json!(1), "a minute is long enough"),
            ("TreatMissingData", json!("notBreaching"), "nobody watches"),
            ("AlarmActions", topic, "it must notify"),
        ],
    );
}

#[test]
fn an_alarm_rings_if_records_are_late_or_given_up() {
    check_alarm(
        "ProjectorLateAlarm",
        ["AWS/Lambda", "IteratorAge"],
        Some(["FunctionName", "ProjectorFunction"]),
        ["Maximum", "GreaterThanThreshold", "60000"],
        "notBreaching",
        "without orders there is no data, and nothing is late",
    );
    check_alarm(
        "FailedRecordsAlarm",
        ["AWS/Lambda", "OnFailureDestinationDeliveredEventCount"],
        Some(["EventSourceMappingUUID", "ProjectorFunctionOrders"]),
        AT_LEAST_ONE,
        "notBreaching",
        "records were given up after 23 hours",
    );
    check_alarm(
        "KafkaLateAlarm",
        ["AWS/Lambda", "OffsetLag"],
        Some(["FunctionName", "ProjectorFunction"]),
        ["Minimum", "GreaterThanThreshold", "100"],
        "notBreaching",
        "a mapping of Kafka has no IteratorAge",
    );
    check_alarm(
        "LostRecordsAlarm",
        ["AWS/Lambda", "DestinationDeliveryFailures"],
        Some(["FunctionName", "ProjectorFunction"]),
        AT_LEAST_ONE,
        "notBreaching",
        "records were given up and not kept",
    );
}

#[test]
fn an_alarm_rings_if_streams_fail_although_their_function_works() {
    for (name, metric, of_five) in [
        ("FeedUnavailableAlarm", "RestedFeedFailed", Some(json!(3))),
        (
            "KeysUnavailableAlarm",
            "RestedKeysUnavailable",
            Some(json!(3)),
        ),
        ("SessionPanickedAlarm", "RestedPanicked", None),
    ] {
        check_alarm(
            name,
            [NAMESPACE, metric],
            Some([DIMENSION, "AWS::StackName"]),
            AT_LEAST_ONE,
            "notBreaching",
            "such a response ends with `rest`, so Lambda counts no error",
        );
        let template = Template::read();
        let alarm = template.at(&format!("Resources/{name}"));
        assert_eq!(alarm["Condition"], "HasMetrics", "{name}");
        let periods = of_five.as_ref().map_or(1, |_| 5);
        assert_eq!(alarm["Properties"]["EvaluationPeriods"], periods, "{name}");
        let found = alarm["Properties"].get("DatapointsToAlarm");
        assert_eq!(found, of_five.as_ref(), "{name}: one blip is no outage");
    }
}

#[test]
fn an_alarm_rings_if_clients_cannot_continue() {
    let dimensions = json!([{ "Name": DIMENSION, "Value": { "Ref": "AWS::StackName" } }]);
    let metric = |name: &str| {
        let metric =
            json!({ "Namespace": NAMESPACE, "MetricName": name, "Dimensions": dimensions });
        json!({ "Metric": metric, "Period": 300, "Stat": "Sum" })
    };
    check(
        "Resources/ResetsAlarm/Properties",
        &[
            (
                "Metrics/0/Expression",
                json!("IF(resets >= 10, 100 * resets / checkins, 0)"),
                "a few bad cursors are no reason",
            ),
            (
                "Metrics/1/MetricStat",
                metric("ResetsUnknownCursor"),
                "a client is reset because of its cursor",
            ),
            (
                "Metrics/2/MetricStat",
                metric("CheckIns"),
                "each of them came back",
            ),
            ("Metrics/1/Id", json!("resets"), "the expression names it"),
            ("Metrics/2/Id", json!("checkins"), "the expression names it"),
            ("Threshold", json!(5), "per cent"),
            (
                "TreatMissingData",
                json!("notBreaching"),
                "no resets, no data",
            ),
        ],
    );
}

/// What the stack creates, and what of it costs something.
#[test]
fn everything_that_can_have_tags_has_the_one_of_the_bill() {
    let template = Template::read();
    let tag = json!([{ "Key": "order-status-stream", "Value": { "Ref": "AWS::StackName" } }]);
    // SAM gives its functions the tags of `Globals`.
    let of_functions = template.at("Globals/Function/Tags/order-status-stream");
    assert_eq!(of_functions, &tag[0]["Value"]);
    let untagged = [
        "AWS::ApiGateway::Deployment",
        "AWS::ApiGateway::Method",
        "AWS::ApiGateway::Resource",
        "AWS::CloudFront::Function",
        "AWS::CloudFront::OriginAccessControl",
        "AWS::CloudFront::OriginRequestPolicy",
        "AWS::CloudWatch::Dashboard",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::Lambda::Permission",
        "AWS::Logs::MetricFilter",
        "AWS::Serverless::Function",
        "AWS::WAFv2::WebACLAssociation",
    ];
    for name in template.names("Resources") {
        let resource = template.at(&format!("Resources/{name}"));
        let properties = &resource["Properties"];
        let tags = properties.get("Tags").or(properties.get("ResourceTags"));
        match untagged.contains(&resource["Type"].as_str().unwrap()) {
            true => assert_eq!(tags, None, "{name}"),
            false => assert_eq!(tags, Some(&tag), "{name}"),
        }
    }
}

#[test]
fn an_alarm_rings_for_each_message_that_needs_a_person() {
    let messages = [
        ("PoisonRecords", "poison record"),
        ("SettingsMisfits", "the settings do not fit the records"),
        ("OlderStreamRecords", "dropped a record of an older stream"),
    ];
    let is = |message: &str| format!(r#"$.fields.message = "{message}""#);
    for (name, message) in messages {
        let pattern = match name {
            "SettingsMisfits" => format!(
                "{{ ({}) || ({}) }}",
                is(message),
                is("no item matches ORDER_KEY")
            ),
            _ => format!("{{ {} }}", is(message)),
        };
        let transformation = json!([{
            "MetricNamespace": { "Ref": "AWS::StackName" }, "MetricName": name, "MetricValue": "1",
        }]);
        check(
            &format!("Resources/{name}/Properties"),
            &[
                (
                    "LogGroupName",
                    json!({ "Ref": "ProjectorLogs" }),
                    "the projector logs it",
                ),
                (
                    "FilterPattern",
                    json!(pattern),
                    "src/projector.rs logs this message",
                ),
                (
                    "MetricTransformations",
                    transformation,
                    "the alarm watches it",
                ),
            ],
        );
        check_alarm(
            &format!("{name}Alarm"),
            ["", name],
            None,
            AT_LEAST_ONE,
            "notBreaching",
            "each message is a reason",
        );
    }
}

/// What the filter refuses is neither an error nor late. So nothing else would tell that `OrderKey` is wrong.
#[test]
fn an_alarm_rings_if_the_filter_admits_nothing() {
    let metric = |name: &str| {
        let mapping = json!([{ "Name": "EventSourceMappingUUID", "Value": { "Ref": "ProjectorFunctionOrders" } }]);
        let metric =
            json!({ "Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": mapping });
        json!({ "Metric": metric, "Period": 10800, "Stat": "Sum" })
    };
    let topic = json!([{ "Fn::If": ["HasAlarmTopic", { "Ref": "AlarmTopicArn" }, { "Ref": "AWS::NoValue" }] }]);
    let alarm = "NoOrdersAlarm";
    check(
        &format!("Resources/{alarm}"),
        &[
            (
                "Condition",
                json!("FiltersOrders"),
                "without a filter, the projector sees each record, and logs a message",
            ),
            (
                "Properties/Metrics/0/Expression",
                json!("IF(FILL(invoked, 0) > 0, 0, FILL(polled, 0))"),
                "a count is missing if it is 0",
            ),
            (
                "Properties/Metrics/1/MetricStat",
                metric("PolledEventCount"),
                "before the filter",
            ),
            (
                "Properties/Metrics/2/MetricStat",
                metric("InvokedEventCount"),
                "after the filter",
            ),
            (
                "Properties/Threshold",
                json!(100),
                "other items are written too",
            ),
            (
                "Properties/ComparisonOperator",
                json!("GreaterThanOrEqualToThreshold"),
                "100 records without an order",
            ),
            (
                "Properties/TreatMissingData",
                json!("notBreaching"),
                "nobody writes the table",
            ),
            ("Properties/AlarmActions", topic, "somebody must be told"),
        ],
    );
}

#[test]
fn no_alarm_is_untested() {
    let template = Template::read();
    let resources = template.names("Resources").into_iter();
    let alarms = resources.filter(|name| {
        template.at(&format!("Resources/{name}/Type")) == &json!("AWS::CloudWatch::Alarm")
    });
    let tests = include_str!("resources.rs");
    for alarm in alarms {
        let of_a_message = tests.contains(&format!("(\"{}\", ", alarm.trim_end_matches("Alarm")));
        assert!(
            of_a_message
                || tests.contains(&format!("\"{alarm}\""))
                || tests.contains(&format!("\"Resources/{alarm}/")),
            "{alarm} is in no test"
        );
    }
}
