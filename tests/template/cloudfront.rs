//! CloudFront in front of a stream function: nothing without the parameter, and with it no other way in.

use std::process::Command;

use dashboard::template::{Template, Variables};
use order_status_stream::access::{AccessSettings, TokenHeader};
use order_status_stream::settings::StreamSettings;
use serde_json::{Value, json};

const DISTRIBUTION: &str = "Resources/Distribution/Properties/DistributionConfig";
const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const ON: (&str, &str) = ("CloudFront", "true");
const BUCKET: (&str, &str) = ("PageBucket", "shop-page");
const SERVER: (&str, &str) = ("PageOrigin", "pages.shop.example");
const SUBNETS: (&str, &str) = ("ManagedSubnetIds", "subnet-0a");
const GROUPS: (&str, &str) = ("ManagedSecurityGroupIds", "sg-0a");
const MANAGED: (&str, &str) = ("CloudFrontTarget", "managed");

fn values(template: &Template, given: &[(&str, &str)]) -> Variables {
    let given: Vec<_> = given.iter().chain(&[("Jwks", KEYS)]).copied().collect();
    let mut values = template.with_defaults(&given);
    for (attribute, value) in [
        ("StreamFunctionUrl.FunctionUrl", "https://stream.on.aws/"),
        (
            "ManagedStreamFunctionUrl.FunctionUrl",
            "https://managed.on.aws/",
        ),
        ("Distribution.DomainName", "d1.cloudfront.net"),
    ] {
        values.insert(attribute.to_owned(), value.to_owned());
    }
    values
}

/// A part of the distribution, as CloudFormation computes it.
fn part(given: &[(&str, &str)], name: &str) -> Value {
    let template = Template::read();
    let values = values(&template, given);
    assert_eq!(template.refusals(&values), Vec::<String>::new());
    template.value(template.at(&format!("{DISTRIBUTION}/{name}")), &values)
}

/// Whether a resource or an output is created.
fn exists(template: &Template, path: &str, values: &Variables) -> bool {
    let condition = template.at(path).get("Condition");
    condition.is_none_or(|name| template.holds(&json!({ "Fn::Condition": name }), values))
}

#[test]
fn without_the_parameter_nothing_of_it_exists() {
    let template = Template::read();
    let values = values(&template, &[SUBNETS, GROUPS]);
    for name in template.names("Resources") {
        let path = format!("Resources/{name}");
        let kind = template.at(&format!("{path}/Type")).as_str().unwrap();
        let belongs = kind.starts_with("AWS::CloudFront") || name.ends_with("CloudFront");
        assert!(!belongs || !exists(&template, &path, &values), "{name}");
    }
}

/// Since October 2025 a caller of a Function URL needs both permissions.
#[test]
fn each_url_is_either_public_or_open_to_the_distribution_alone() {
    let template = Template::read();
    let arn = "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${Distribution}";
    for (function, instances) in [("StreamFunction", false), ("ManagedStreamFunction", true)] {
        let permissions = [
            ("UrlPublicPermissions", false, "lambda:InvokeFunctionUrl"),
            ("URLInvokeAllowPublicAccess", false, "lambda:InvokeFunction"),
            ("UrlCloudFront", true, "lambda:InvokeFunctionUrl"),
            ("InvokeCloudFront", true, "lambda:InvokeFunction"),
        ];
        for (suffix, by_cloudfront, action) in permissions {
            let path = format!("Resources/{function}{suffix}");
            let mut expected = json!({ "Action": action, "FunctionName": { "Ref": function } });
            let auth = if by_cloudfront { "AWS_IAM" } else { "NONE" };
            match action {
                "lambda:InvokeFunction" => expected["InvokedViaFunctionUrl"] = json!(true),
                _ => expected["FunctionUrlAuthType"] = json!(auth),
            }
            expected["Principal"] = json!("*");
            if by_cloudfront {
                expected["Principal"] = json!("cloudfront.amazonaws.com");
                expected["SourceArn"] = json!({ "Fn::Sub": arn });
            }
            assert_eq!(template.at(&format!("{path}/Properties")), &expected);
            for cloudfront in [false, true] {
                for with_instances in [false, true] {
                    let mut given = vec![];
                    given.extend(cloudfront.then_some(ON));
                    given.extend(with_instances.then_some([SUBNETS, GROUPS]).iter().flatten());
                    let found = exists(&template, &path, &values(&template, &given));
                    let due = cloudfront == by_cloudfront && (with_instances || !instances);
                    assert_eq!(found, due, "{path} {given:?}");
                }
            }
        }
        let auth = format!("Resources/{function}/Properties/FunctionUrlConfig/AuthType");
        for (given, expected) in [(&[][..], "NONE"), (&[ON], "AWS_IAM")] {
            let found = template.value(template.at(&auth), &values(&template, given));
            assert_eq!(found, json!(expected));
        }
    }
    let public = template.names("Resources").into_iter().filter(|name| {
        let principal = format!("Resources/{name}/Properties");
        template.at(&principal).get("Principal") == Some(&json!("*"))
    });
    assert_eq!(public.count(), 4, "no other resource is public");
}

#[test]
fn the_stream_is_neither_cached_nor_compressed_nor_cut() {
    let streams = part(&[ON], "DefaultCacheBehavior");
    let expected = json!({
        "TargetOriginId": "stream",
        "ViewerProtocolPolicy": "https-only",
        "AllowedMethods": ["GET", "HEAD", "OPTIONS"],
        "Compress": false,
        // CachingDisabled.
        "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
        "OriginRequestPolicyId": "StreamRequest",
        "FunctionAssociations": [{
            "EventType": "viewer-request", "FunctionARN": { "Fn::GetAtt": "TokenFunction.FunctionARN" },
        }],
    });
    assert_eq!(streams, expected);
    assert_eq!(part(&[ON], "CacheBehaviors"), json!("AWS::NoValue"));
    for page in [BUCKET, SERVER] {
        let behaviours = ["/orders/*", "/customers/*"].map(|pattern| {
            let mut behaviour = expected.clone();
            behaviour["PathPattern"] = json!(pattern);
            behaviour
        });
        assert_eq!(part(&[ON, page], "CacheBehaviors"), json!(behaviours));
    }

    let origin = part(&[ON], "Origins/0/CustomOriginConfig");
    let longest = Template::read();
    let longest = (1..=60)
        .rev()
        .find(|seconds| longest.accepts("Heartbeat", &format!("{seconds}s")));
    assert!(longest.unwrap() < origin["OriginReadTimeout"].as_u64().unwrap());
    assert_eq!(origin["OriginReadTimeout"], json!(60), "more needs a quota");

    let kept: Vec<_> = part(&[ON], "CustomErrorResponses")
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            (
                error["ErrorCode"].as_u64().unwrap(),
                error["ErrorCachingMinTTL"].clone(),
            )
        })
        .collect();
    // CloudFront keeps neither 401 nor 429.
    let all = [400, 403, 404, 405, 414, 500, 501, 502, 503, 504];
    assert_eq!(kept, all.map(|code| (code, json!(0))));
}

#[test]
fn cloudfront_sends_what_the_function_reads_and_no_other_cookie() {
    let template = Template::read();
    let policy = template.at("Resources/StreamRequest/Properties/OriginRequestPolicyConfig");
    let headers = [
        "accept",
        "access-control-request-headers",
        "access-control-request-method",
        "last-event-id",
        "origin",
        "x-authorization",
    ];
    assert_eq!(policy["HeadersConfig"]["Headers"], json!(headers));
    assert_eq!(policy["CookiesConfig"]["Cookies"], json!(["access_token"]));
    assert_eq!(
        policy["QueryStringsConfig"]["QueryStringBehavior"],
        json!("all")
    );
    let access = template.at("Resources/StreamOriginAccess/Properties/OriginAccessControlConfig");
    assert_eq!(access["SigningBehavior"], json!("always"));
    assert_eq!(access["OriginAccessControlOriginType"], json!("lambda"));
}

#[test]
fn it_leads_to_the_function_and_the_page_that_were_asked_for() {
    let origin = |given: &[_]| {
        let name = part(given, "Origins/0/DomainName");
        name.as_str().unwrap().to_owned()
    };
    assert_eq!(origin(&[ON]), "stream.on.aws");
    assert_eq!(origin(&[ON, SUBNETS, GROUPS]), "stream.on.aws");
    assert_eq!(origin(&[ON, SUBNETS, GROUPS, MANAGED]), "managed.on.aws");

    let page = |given: &[_]| {
        let origins = part(given, "Origins");
        let origins = origins.as_array().unwrap().iter().skip(1);
        let pages: Vec<_> = origins.filter(|page| page.is_object()).collect();
        let domains: Vec<_> = pages
            .iter()
            .map(|page| page["DomainName"].clone())
            .collect();
        json!(domains)
    };
    assert_eq!(page(&[ON]), json!([]));
    let bucket = "shop-page.s3.AWS::Region.AWS::URLSuffix";
    assert_eq!(page(&[ON, BUCKET]), json!([bucket]));
    assert_eq!(page(&[ON, SERVER]), json!(["pages.shop.example"]));
    let behaviour = part(&[ON, SERVER], "DefaultCacheBehavior");
    assert_eq!(
        behaviour["CachePolicyId"],
        json!("4135ea2d-6df8-44a3-9df3-4b5a84be39ad")
    );
}

/// With a page, only what matches a pattern goes to the stream function. A customer's token would go to the page's server.
#[test]
fn each_path_of_a_stream_leads_to_the_stream_function() {
    for page in [BUCKET, SERVER] {
        for (base, before) in [("", ""), ("/", ""), ("/api", "/api"), ("/api/", "/api")] {
            let behaviours = part(&[ON, page, ("BasePath", base)], "CacheBehaviors");
            let patterns = behaviours.as_array().unwrap().iter().map(|behaviour| {
                assert_eq!(behaviour["TargetOriginId"], json!("stream"));
                behaviour["PathPattern"].as_str().unwrap()
            });
            let starts: Vec<_> = patterns.map(|it| it.strip_suffix('*').unwrap()).collect();
            for path in ["/orders/A/events", "/orders/events", "/customers/me/events"] {
                let path = format!("{before}{path}");
                let is_routed = starts.iter().any(|start| path.starts_with(start));
                assert!(is_routed, "{path} {starts:?}");
            }
            assert!(
                starts
                    .iter()
                    .all(|start| start.starts_with(&format!("{before}/")))
            );
            assert!(!starts.contains(&"/"), "the page is shown");
        }
    }
}

#[test]
fn the_functions_are_told() {
    let template = Template::read();
    let settings = |function: &str, given: &[_]| {
        let set = template.environment(function, &values(&template, given));
        StreamSettings::read(|name| set.get(name).cloned()).unwrap()
    };
    for function in ["StreamFunction", "ManagedStreamFunction"] {
        for (given, expected) in [
            (&[][..], TokenHeader::Authorization),
            (&[ON], TokenHeader::XAuthorization),
        ] {
            let AccessSettings::Jwt { header, .. } = settings(function, given).access else {
                panic!("ACCESS is open");
            };
            assert_eq!(header, expected, "{function} {given:?}");
        }
    }
    let price = |given: &[_]| {
        let policy = settings("StreamFunction", given).policy.unwrap();
        policy.prices.request.usd() * 1e6
    };
    let own = ("RequestPrice", "0.75");
    for (given, expected) in [
        (&[][..], 0.20),
        (&[ON], 1.30),
        (&[own], 0.75),
        (&[ON, own], 0.75),
    ] {
        assert!((price(given) - expected).abs() < 1e-9, "{given:?}");
    }
}

#[test]
fn the_outputs_name_the_way_in() {
    let template = Template::read();
    let url = |given: &[_]| {
        let values = values(&template, given);
        template.value(template.at("Outputs/StreamUrl/Value"), &values)
    };
    let domain = ("CloudFrontDomain", "orders.shop.example");
    let certificate = ("CloudFrontCertificateArn", CERTIFICATE);
    assert_eq!(url(&[]), json!("https://stream.on.aws/"));
    assert_eq!(
        url(&[ON, ("BasePath", "/api")]),
        json!("https://d1.cloudfront.net/api/")
    );
    assert_eq!(
        url(&[ON, domain, certificate]),
        json!("https://orders.shop.example/")
    );
    let aliases = part(&[ON, domain, certificate], "Aliases");
    assert_eq!(aliases, json!(["orders.shop.example"]));
    let viewer = part(&[ON, domain, certificate], "ViewerCertificate");
    assert_eq!(viewer["AcmCertificateArn"], json!(CERTIFICATE));
    assert_eq!(viewer["MinimumProtocolVersion"], json!("TLSv1.2_2021"));
    let managed = |given: &[_]| {
        exists(
            &template,
            "Outputs/ManagedStreamUrl",
            &values(&template, given),
        )
    };
    assert!(managed(&[SUBNETS, GROUPS]) && !managed(&[SUBNETS, GROUPS, ON]));
}

const CERTIFICATE: &str = "arn:aws:acm:us-east-1:123456789012:certificate/0a-1b";
const WEB_ACL: &str = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/shop/0a-1b";

#[test]
fn parameters_that_do_not_fit_are_refused() {
    let template = Template::read();
    let check = |given: &[(&str, &str)], expected: &str| {
        let refusals = template.refusals(&values(&template, given));
        assert_eq!(
            refusals.len(),
            usize::from(!expected.is_empty()),
            "{given:?} {refusals:?}"
        );
        assert!(
            refusals.iter().all(|refusal| refusal.contains(expected)),
            "{refusals:?}"
        );
    };
    let acl = ("CloudFrontWebAclArn", WEB_ACL);
    let domain = ("CloudFrontDomain", "orders.shop.example");
    check(&[ON, acl], "");
    for off in [acl, BUCKET, SERVER] {
        check(&[off], "Set CloudFront to true");
    }
    check(&[ON, domain], "CloudFrontCertificateArn is needed");
    check(
        &[ON, ("CloudFrontCertificateArn", CERTIFICATE)],
        "CloudFrontDomain is needed",
    );
    check(&[ON, MANAGED], "ManagedSubnetIds is needed");
    check(&[ON, BUCKET, SERVER], "Set only one of them");
    for (name, value) in [
        ("CloudFrontDomain", "https://orders.shop.example"),
        ("CloudFrontDomain", "orders"),
        (
            "CloudFrontCertificateArn",
            "arn:aws:acm:eu-west-1:123456789012:certificate/0a",
        ),
        (
            "CloudFrontWebAclArn",
            "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/shop/0a",
        ),
        ("PageBucket", "arn:aws:s3:::shop-page"),
        ("PageOrigin", "https://shop.example/"),
        ("CloudFront", "yes"),
    ] {
        assert!(!template.accepts(name, value), "{name} {value}");
    }
    assert!(template.accepts("CloudFrontDomain", "orders.shop.example"));
    assert!(template.accepts("PageOrigin", "a-bucket.s3.eu-west-1.amazonaws.com"));
}

/// Runs the function that CloudFront runs.
#[test]
fn the_token_is_moved_out_of_the_header_of_the_signature() {
    let template = Template::read();
    let code = template.at("Resources/TokenFunction/Properties/FunctionCode");
    let check = |headers: Value, expected: Value| {
        let event = json!({ "request": { "method": "GET", "headers": headers } });
        let script = format!(
            "{}\nconsole.log(JSON.stringify(handler({event})))",
            code.as_str().unwrap()
        );
        // `make test` requires node.
        let output = Command::new("node").args(["-e", &script]).output().unwrap();
        let request: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(request, json!({ "method": "GET", "headers": expected }));
    };
    let (token, other) = (json!({ "value": "Bearer a.b.c" }), json!({ "value": "1" }));
    check(
        json!({ "authorization": token, "last-event-id": other }),
        json!({ "x-authorization": token, "last-event-id": other }),
    );
    check(json!({ "cookie": other }), json!({ "cookie": other }));
    check(json!({ "x-authorization": other }), json!({}));
    check(
        json!({ "authorization": token, "x-authorization": other }),
        json!({ "x-authorization": token }),
    );
}
