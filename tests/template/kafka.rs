//! The mapping of a Kafka topic: it loses no record, and Lambda may read nothing else.

use serde_json::{Value, json};

use dashboard::template::Template;

fn with_if(condition: &str, value: Value) -> Value {
    json!({ "Fn::If": [condition, value, { "Ref": "AWS::NoValue" }] })
}

/// Lambda would read a response that names records as a success, and a limit of attempts as permission to drop records.
#[test]
fn the_mapping_repeats_a_batch_until_it_succeeds() {
    let template = Template::read();
    let mapping = template.at("Resources/KafkaOrders");
    assert_eq!(mapping["Condition"], "HasKafka");
    assert_eq!(mapping["DependsOn"], "KafkaPolicy");
    let properties = &mapping["Properties"];
    assert_eq!(properties["Topics"], json!([{ "Ref": "KafkaTopic" }]));
    assert_eq!(
        properties["StartingPosition"], "TRIM_HORIZON",
        "LATEST skips what is written while the mapping starts"
    );
    for name in [
        "FunctionResponseTypes",
        "MaximumRetryAttempts",
        "MaximumRecordAgeInSeconds",
        // With a destination, Lambda gives up after ten attempts.
        "DestinationConfig",
    ] {
        assert_eq!(properties.get(name), None, "{name}");
    }
}

#[test]
fn the_mapping_has_one_kind_of_cluster() {
    let template = Template::read();
    let properties = template.at("Resources/KafkaOrders/Properties");
    let arn = with_if("HasMsk", json!({ "Ref": "KafkaClusterArn" }));
    assert_eq!(properties["EventSourceArn"], arn);
    let (nothing, name) = (json!({ "Ref": "AWS::NoValue" }), "SelfManagedEventSource");
    assert_eq!(properties[name]["Fn::If"][0], "HasMsk");
    assert_eq!(properties[name]["Fn::If"][1], nothing);
    let group = with_if("HasKafkaGroup", json!({ "Ref": "KafkaConsumerGroup" }));
    for (config, index) in [
        ("AmazonManagedKafkaEventSourceConfig", 1),
        ("SelfManagedKafkaEventSourceConfig", 2),
    ] {
        let config = &properties[config]["Fn::If"];
        assert_eq!(config[index], json!({ "ConsumerGroupId": group }));
        assert_eq!(config[3 - index], nothing);
    }
}

/// The statements, each with its condition and its actions.
#[test]
fn lambda_may_read_this_topic_only_and_the_code_may_not() {
    let template = Template::read();
    let policy = template.at("Resources/KafkaPolicy/Properties");
    assert_eq!(policy["Roles"], json!([{ "Ref": "ProjectorRole" }]));
    let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
    let (deny, allow) = statements.split_last().unwrap();
    assert_eq!(deny["Effect"], "Deny");
    let of_code = json!({ "Null": { "lambda:SourceFunctionArn": "false" } });
    assert_eq!(deny["Condition"], of_code);
    let cluster = json!({ "Ref": "KafkaClusterArn" });
    let cluster_part = |part: &str| {
        let split = json!({ "Fn::Split": [":cluster/", cluster] });
        json!({ "Fn::Join": [format!(":{part}/"), split] })
    };
    let group = json!({ "Fn::If": ["HasKafkaGroup", { "Ref": "KafkaConsumerGroup" }, "*"] });
    let join =
        |part: &str, last: Value| json!({ "Fn::Join": ["", [cluster_part(part), "/", last]] });
    let interfaces = "arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:*/*";
    let expected = [
        (
            "HasMsk",
            json!([
                "kafka:DescribeCluster",
                "kafka:DescribeClusterV2",
                "kafka:GetBootstrapBrokers"
            ]),
            cluster.clone(),
        ),
        (
            "HasMsk",
            json!([
                "kafka-cluster:Connect",
                "kafka-cluster:DescribeClusterDynamicConfiguration"
            ]),
            cluster.clone(),
        ),
        (
            "HasMsk",
            json!(["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"]),
            join("topic", json!({ "Ref": "KafkaTopic" })),
        ),
        (
            "HasMsk",
            json!(["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"]),
            join("group", group),
        ),
        (
            "HasKafkaSecret",
            json!("secretsmanager:GetSecretValue"),
            json!({ "Ref": "KafkaSecretArn" }),
        ),
        (
            "HasKafkaNetwork",
            json!([
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs"
            ]),
            json!("*"),
        ),
        (
            "HasKafkaNetwork",
            json!(["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"]),
            json!({ "Fn::Sub": interfaces }),
        ),
    ];
    assert_eq!(allow.len(), expected.len());
    for (statement, (condition, actions, resource)) in allow.iter().zip(expected) {
        let parts = &statement["Fn::If"];
        assert_eq!(parts[0], condition, "{statement}");
        assert_eq!(parts[1]["Action"], actions);
        assert_eq!(parts[1]["Resource"], resource);
        let denied = deny["Action"].as_array().unwrap();
        let actions = actions.as_array().cloned().unwrap_or(vec![actions]);
        for action in actions {
            let service = action.as_str().unwrap().split(':').next().unwrap();
            assert!(denied.contains(&json!(format!("{service}:*"))), "{action}");
        }
    }
}

#[track_caller]
fn check(given: &[(&str, &str)], expected: Option<&str>) {
    let template = Template::read();
    let open = [("Access", "open")];
    let values = template.with_defaults(&[&open, given].concat());
    let refusals = template.refusals(&values);
    let as_expected = match expected {
        Some(part) => refusals.len() == 1 && refusals[0].contains(part),
        None => refusals.is_empty(),
    };
    assert!(as_expected, "{given:?}: {refusals:?}");
}

#[test]
fn a_topic_has_one_cluster() {
    let topic = ("KafkaTopic", "shop.public.orders");
    let arn = "arn:aws:kafka:us-east-1:123456789012:cluster/vpc-2priv-2pub/751d2973-a626-431c-9d4e-d7975eb44dd7-2";
    let cluster = ("KafkaClusterArn", arn);
    let servers = (
        "KafkaBootstrapServers",
        "abc.xyz.com:9092,abc2.xyz.com:9092",
    );
    let (subnets, group) = (
        ("KafkaSubnetIds", "subnet-0a,subnet-0b"),
        ("KafkaSecurityGroupId", "sg-0a"),
    );
    check(&[topic, cluster], None);
    check(&[topic, servers], None);
    check(&[topic, servers, subnets, group], None);
    check(
        &[topic],
        Some("KafkaClusterArn or KafkaBootstrapServers is needed"),
    );
    check(&[topic, cluster, servers], Some("both set"));
    check(&[cluster], Some("Set KafkaTopic"));
    check(
        &[(
            "KafkaSecretArn",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:kafka-AbCdEf",
        )],
        Some("Set KafkaTopic"),
    );
    check(&[("KafkaTopicGeneration", "2")], Some("Set KafkaTopic"));
    let basic = ("KafkaAuthentication", "BASIC_AUTH");
    check(&[basic], Some("Set KafkaTopic"));
    check(&[topic, servers, basic], None);
    check(&[topic, servers, ("OrderKey", "id={orderId}")], None);
    check(&[topic, servers, subnets], Some("needed together"));
    check(&[topic, servers, group], Some("needed together"));
    check(
        &[topic, cluster, subnets, group],
        Some("is for KafkaBootstrapServers"),
    );
    check(&[("KafkaTopic", "a/b"), servers], Some("KafkaTopic is "));
    check(
        &[topic, ("KafkaBootstrapServers", "abc.xyz.com")],
        Some("KafkaBootstrapServers is "),
    );
}
