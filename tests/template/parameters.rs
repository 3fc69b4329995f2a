//! A deployment refuses exactly the values with which a function would not start.

use std::cell::RefCell;
use std::collections::BTreeSet;

use dashboard::template::{Template, Variables};
use order_status_stream::settings::{ProjectorSettings, SettingsError, StreamSettings};
use serde_json::json;

const FUNCTIONS: [&str; 2] = ["ProjectorFunction", "StreamFunction"];

/// Variables that no parameter sets, but the stack. `TOKEN_HEADER` follows from whether CloudFront is used: see `cloudfront.rs`.
const FROM_THE_STACK: [&str; 3] = ["FEED_TABLE", "STACK_NAME", "TOKEN_HEADER"];

/// Pretty-printed, as tools write it, and surrounded by line breaks.
const KEYS: &str = r#"
{
  "keys": [
    {
      "kty": "OKP", "crv": "Ed25519", "kid": "2026-11",
      "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    }
  ]
}
"#;
const PRIVATE_KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "d" : "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}]}"#;
const KEYS_URL: &str = "https://issuer.example/.well-known/jwks.json";

/// Valid and invalid values that people enter. Durations are in another list.
const VALUES: &[&str] = &[
    "end",
    "ignore",
    "End",
    "end ",
    "jwt",
    "open",
    "auto",
    "always",
    "on",
    "off",
    "ON",
    "true",
    "false",
    "1",
    "*",
    "orderId",
    "order id",
    "order-id",
    "a.b",
    "état",
    "🚚",
    " orderId",
    "orderId ",
    "order\tId",
    "\norderId",
    "\u{7f}",
    "{customerId}",
    "{orderId}",
    "{customerId+}",
    "{1}",
    "{a}.{b}",
    "{a",
    " ",
    "  ",
    "null",
    "eta,carrier,trackingUrl",
    "eta, carrier ,",
    ",",
    "eta,\ncarrier",
    "eta\ncarrier",
    "eta;carrier",
    "[\"eta\",\"carrier\"]",
    "[eta, carrier]",
    "\"eta\"",
    "OUT FOR DELIVERY,DELIVERED",
    "carrier=shipping.carrier",
    "eta, carrier = shipping.carrier ,first=items[0].name",
    "items[0]",
    "items[0][12].name",
    "items[0]name",
    "items[0].",
    "items [0]",
    "items[x]",
    "items[]",
    "items[1234567]",
    "items[0",
    "items0]",
    "[0]",
    " [0]",
    "a[0]=b",
    "a=b[0]",
    "a=[0]",
    "=b",
    "a=",
    "a= ",
    "a =b",
    "a=b=c",
    "a==b",
    "=",
    "a..b",
    ".a",
    "1=PLACED,2=PAID",
    " 1 = OUT FOR DELIVERY , true=DELIVERED,",
    "1=PLACED,PAID",
    "1=PLACED,=PAID",
    "PK=ORDER#{orderId}",
    "PK=CUSTOMER#{customerId},SK=ORDER#{orderId}",
    "PK={orderId},SK=META",
    "PK=orders,SK={orderId+}",
    "PK={orderId}#{orderId},SK={x}",
    "a b=x y{orderId}z",
    "pk={orderId}",
    "pk={orderId},",
    ",pk={orderId}",
    "pk={orderId},sk=",
    "pk={orderId},=x",
    "={orderId}",
    "pk={orderId},sk",
    "pk={orderId},pk=META",
    "pk={orderId},PK=META",
    "pk={orderId},pks=META",
    "a={orderId},b={x},c={y}",
    "pk={order_id}",
    "pk={orderid}",
    "pk={orderId",
    "pk=orderId}",
    "pk={orderId}}",
    "pk={{orderId}",
    "pk={orderId}{x}",
    "pk={x}{orderId}",
    "pk={x}-{orderId}",
    "pk={orderId++}",
    "pk={1x}-{orderId}",
    "pk={x y}-{orderId}",
    "pk={}-{orderId}",
    " pk={orderId}",
    "pk ={orderId}",
    "pk= {orderId}",
    "pk={orderId} ",
    "pk={orderId}, sk=META",
    "pk={orderId} ,sk=META",
    "pk={orderId},sk= META",
    "pk={orderId},sk=A B",
    "pk=\"{orderId}",
    "pk=\\{orderId}",
    "p\\k={orderId}",
    "pk=a=b{orderId}",
    "pk=a\n{orderId}",
    "pk=é🚚{orderId}",
    "a,b\u{0}",
    KEYS,
    PRIVATE_KEYS,
    "{}",
    "{ \"keys\": ",
    "[]",
    "keys",
    KEYS_URL,
    "https://issuer.example",
    "https://issuer.example:8443/jwks?tenant=a&v=1",
    "http://issuer.example/jwks",
    "https://",
    "https:///jwks",
    "https://issuer.example/a b",
    "ftp://issuer.example/",
    "issuer.example/jwks",
    "https://shop.example/orders",
    "authorization",
    "x-authorization",
    "0.20",
    "1.30",
    "1.666675",
    "0.1234567",
    "999.999999",
    "01.5",
    ".5",
    "5.",
    "1,5",
    "-0.5",
    "/api",
    "/api/",
    "/api/v1",
    "api",
    "/a b",
    "/a?b",
    "/a#b",
    "/a%20b",
    "//",
    "/",
    "/api//orders",
    "/../x",
    "/ü",
    "redis://cache",
    "redis://cache:6379",
    "redis://10.0.0.7:6379/0",
    "rediss://my-cache.abc123.use1.cache.amazonaws.com:6379",
    "rediss://user:pass@cache:6379/15",
    "rediss://:p%40ss@cache",
    "rediss://:p%4@cache",
    "rediss://:p%4g@cache",
    "rediss://:p s@cache",
    "rediss://:a!b$c&'()*+,;=~_-.d@cache/",
    "rediss://a@b@cache",
    "rediss://@cache",
    "rediss://cache:0",
    "rediss://cache:06379",
    "rediss://cache:9999",
    "rediss://cache:59999",
    "rediss://cache:64999",
    "rediss://cache:65499",
    "rediss://cache:65529",
    "rediss://cache:65535",
    "rediss://cache:65536",
    "rediss://cache:65540",
    "rediss://cache:65600",
    "rediss://cache:66000",
    "rediss://cache:70000",
    "rediss://cache:100000",
    "rediss://cache:",
    "rediss://cache:6379/12345",
    "rediss://cache/a",
    "rediss://cache/#insecure",
    "rediss://cache?protocol=resp2",
    "rediss://[::1]:6379",
    "rediss://",
    "rediss:///",
    "rediss://cäche",
    "rediss://cache ",
    " rediss://cache",
    "rediss://cache\n",
    "cache:6379",
    "valkey://cache",
    "redis+unix:///run/valkey",
];

/// Durations near every limit, and those that a pattern easily treats wrongly.
fn durations() -> Vec<String> {
    let near = [
        3599,
        3600,
        3601,
        3649,
        3650,
        3651,
        9_999,
        10_000,
        10_001,
        54_999,
        55_000,
        55_001,
        59_999,
        60_000,
        99_999,
        100_000,
        299_999,
        300_000,
        300_001,
        599_999,
        600_000,
        600_001,
        899_999,
        900_000,
        900_001,
        999_999,
        1_000_000,
        3_599_999,
        3_600_000,
        3_600_001,
        9_999_999,
        172_800_000,
        4_294_967_295,
        4_294_967_296,
        u64::MAX,
    ];
    let units = [
        "ms", "s", "m", "h", "d", "us", "ns", "y", "M", "min", "sec", "S", "", " s",
    ];
    let numbers = (0..=1001).chain(near).map(|number| number.to_string());
    let numbers = numbers
        .chain(["01", "00", "060", "-1", "+5", "1.5", "1e3", "１", "", " 5"].map(str::to_owned));
    let with_units = numbers.flat_map(|number| units.map(|unit| format!("{number}{unit}")));
    // An empty variable counts as not set. The rules cover those.
    with_units
        .filter(|text| !text.is_empty())
        .chain(
            [
                "1h 30m",
                "1m30s",
                "60s ",
                "60s\n",
                "soon",
                "99999999999999999999999s",
            ]
            .map(str::to_owned),
        )
        .collect()
}

/// The variables without which no other setting is read.
fn base(function: &str) -> Variables {
    let mut base: Variables = [("FEED_TABLE", "Feed")].map(owned).into();
    if function == "StreamFunction" {
        base.extend([("JWKS", KEYS), ("JWT_ISSUER", "https://issuer.example")].map(owned));
    }
    base
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Whether a function starts with these variables.
fn starts(function: &str, variables: &Variables) -> Result<(), SettingsError> {
    let variable = |name: &str| variables.get(name).cloned();
    match function {
        "ProjectorFunction" => ProjectorSettings::read(variable).map(drop),
        _ => StreamSettings::read(variable).map(drop),
    }
}

/// The variables of a function, each with the parameters that it is computed from.
fn sources(template: &Template, function: &str) -> Vec<(String, Vec<String>)> {
    let variables = template.at(&format!(
        "Resources/{function}/Properties/Environment/Variables"
    ));
    let parameters = template.names("Parameters");
    let variables = variables.as_object().unwrap().iter();
    variables
        .map(|(variable, expression)| {
            let text = expression.to_string();
            let is_source =
                |parameter: &&&str| text.contains(&format!(r#"{{"Ref":"{parameter}"}}"#));
            let from = parameters
                .iter()
                .filter(is_source)
                .map(|name| (*name).to_owned());
            (variable.clone(), from.collect())
        })
        .collect()
}

#[test]
fn a_parameter_accepts_exactly_what_the_function_accepts() {
    let template = Template::read();
    let durations = durations();
    for function in FUNCTIONS {
        let base = base(function);
        for (variable, parameters) in sources(&template, function) {
            if FROM_THE_STACK.contains(&&*variable) {
                continue;
            }
            for value in VALUES
                .iter()
                .copied()
                .chain(durations.iter().map(String::as_str))
            {
                let mut variables = base.clone();
                variables.insert(variable.clone(), value.to_owned());
                let started = starts(function, &variables);
                // A pattern cannot compare the names of a list, or those of another parameter.
                let compares = ["twice", "ORDER_KEY has no placeholder {customerId}"];
                if started.as_ref().is_err_and(|error| {
                    let error = error.to_string();
                    compares.iter().any(|end| error.ends_with(end))
                }) {
                    continue;
                }
                let accepted = parameters
                    .iter()
                    .any(|parameter| template.accepts(parameter, value));
                assert_eq!(
                    accepted,
                    started.is_ok(),
                    "{parameters:?} {} {value:?}, but with this {variable}, {function} says {started:?}",
                    if accepted { "accepts" } else { "refuses" }
                );
            }
        }
    }
}

#[test]
fn the_template_sets_exactly_the_variables_that_a_function_reads() {
    let template = Template::read();
    for function in FUNCTIONS {
        let read = RefCell::new(BTreeSet::new());
        for access in ["open", "jwt"] {
            let base = base(function);
            let variable = |name: &str| {
                read.borrow_mut().insert(name.to_owned());
                match name {
                    "ACCESS" => Some(access.to_owned()),
                    other => base.get(other).cloned(),
                }
            };
            match function {
                "ProjectorFunction" => ProjectorSettings::read(variable).map(drop).unwrap(),
                _ => StreamSettings::read(variable).map(drop).unwrap(),
            }
        }
        let read = read.into_inner();
        let set = sources(&template, function);
        let names: BTreeSet<_> = set.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(
            names, read,
            "{function}: set by the template, read by the function"
        );
        for (name, parameters) in set {
            assert!(
                FROM_THE_STACK.contains(&&*name) || !parameters.is_empty(),
                "{name} comes from no parameter"
            );
        }
    }
}

#[test]
fn the_defaults_equal_those_of_the_functions() {
    let template = Template::read();
    let values = template.with_defaults(&[("Jwks", KEYS)]);
    let set = template.environment("ProjectorFunction", &values);
    let stack = ("STACK_NAME", "AWS::StackName");
    let bare: Variables = [("FEED_TABLE", "FeedTable"), stack].map(owned).into();
    assert_eq!(
        ProjectorSettings::read(|name| set.get(name).cloned()),
        ProjectorSettings::read(|name| bare.get(name).cloned())
    );
    let set = template.environment("StreamFunction", &values);
    // A Function URL of the stack allows every origin by default, but a function by itself allows none.
    let origins = ("ALLOWED_ORIGINS", "*");
    let bare: Variables = [("FEED_TABLE", "FeedTable"), ("JWKS", KEYS), stack, origins]
        .map(owned)
        .into();
    assert_eq!(
        StreamSettings::read(|name| set.get(name).cloned()),
        StreamSettings::read(|name| bare.get(name).cloned())
    );
}

/// CloudFormation refuses these parameters for the expected reasons. If it refuses nothing, the functions start.
#[track_caller]
fn check(given: &[(&str, &str)], expected: &[&str]) {
    let template = Template::read();
    let values = template.with_defaults(given);
    let refusals = template.refusals(&values);
    let as_expected = refusals.len() == expected.len()
        && refusals
            .iter()
            .zip(expected)
            .all(|(refusal, part)| refusal.contains(part));
    assert!(
        as_expected,
        "{given:?}: {refusals:?} instead of {expected:?}"
    );
    if refusals.is_empty() {
        for function in FUNCTIONS {
            assert_eq!(
                starts(function, &template.environment(function, &values)),
                Ok(())
            );
        }
    }
}

#[test]
fn rules_compare_parameters_before_anything_is_created() {
    let issuer = ("JwtIssuer", "https://issuer.example");
    let url = ("JwksUrl", KEYS_URL);
    check(&[], &["Jwks or JwksUrl is needed"]);
    check(&[("Access", "open")], &[]);
    check(&[("Jwks", KEYS)], &[]);
    check(&[("Jwks", KEYS), issuer, ("JwtAudience", "shop")], &[]);
    check(&[url, issuer], &[]);
    check(&[url, ("JwtIssuer", "*")], &[]);
    check(&[url], &["JwtIssuer is needed"]);
    check(&[("Jwks", KEYS), url, issuer], &["both set"]);
    check(&[("Jwks", KEYS_URL), issuer], &["Jwks is \"https:"]);
    check(&[("Jwks", PRIVATE_KEYS)], &["Jwks is "]);

    let open = ("Access", "open");
    let credentials = ("AllowCredentials", "true");
    check(&[open, credentials], &["instead of *"]);
    check(
        &[
            open,
            credentials,
            ("AllowedOrigins", "https://shop.example"),
        ],
        &[],
    );
    check(
        &[open, ("AllowCredentials", "yes")],
        &["AllowCredentials is"],
    );
}

#[test]
fn an_order_key_needs_a_table_of_the_shop() {
    let open = ("Access", "open");
    let key = ("OrderKey", "PK=ORDER#{orderId}");
    let stream =
        "arn:aws:dynamodb:eu-west-1:123456789012:table/Shop/stream/2026-11-22T00:00:00.000";
    let stream = ("OrdersStreamArn", stream);
    check(&[open, key, stream], &[]);
    check(&[open, key], &["OrdersStreamArn or KafkaTopic is needed"]);
    let attribute = ("OrderIdAttribute", "id");
    check(
        &[open, key, stream, attribute],
        &["OrderKey and OrderIdAttribute"],
    );
    check(&[open, stream, attribute], &[]);
}

#[test]
fn a_vpc_needs_subnets_and_security_groups() {
    let open = ("Access", "open");
    let subnets = ("SubnetIds", "subnet-0a1b,subnet-2c3d");
    let groups = ("SecurityGroupIds", "sg-0a1b");
    check(&[open, subnets, groups], &[]);
    check(&[open, subnets], &["SecurityGroupIds is needed"]);
    check(&[open, groups], &["SubnetIds is needed"]);
    check(
        &[open, ("SubnetIds", "subnet-0a1b, subnet-2c3d"), groups],
        &["SubnetIds is \"subnet-0a1b, "],
    );
    check(
        &[open, subnets, ("SecurityGroupIds", "default")],
        &["SecurityGroupIds is \"default\""],
    );
    let template = Template::read();
    for function in FUNCTIONS {
        let vpc = template.at(&format!("Resources/{function}/Properties/VpcConfig"));
        let connected = template.value(vpc, &template.with_defaults(&[subnets, groups]));
        assert_eq!(
            connected,
            json!({ "SubnetIds": ["subnet-0a1b", "subnet-2c3d"], "SecurityGroupIds": ["sg-0a1b"] })
        );
        let not_connected = template.value(vpc, &template.with_defaults(&[]));
        assert_eq!(not_connected, json!("AWS::NoValue"));
    }
    let properties = template.names("Resources/ManagedStreamFunction/Properties");
    assert!(
        !properties.contains(&"VpcConfig"),
        "its instances are in a VPC already, and a function cannot have both"
    );
}

/// A deployment shows the values of other parameters to everybody who may read the stack.
#[test]
fn the_url_with_the_password_is_not_echoed() {
    let template = Template::read();
    assert_eq!(template.at("Parameters/WakeUrl/NoEcho"), &json!(true));
}

#[test]
fn origins_and_headers_that_no_browser_could_match_are_refused() {
    let template = Template::read();
    let origins = [
        "*",
        "https://shop.example",
        "https://shop.example,http://localhost:5173",
        "http://[::1]:80",
        "capacitor://localhost",
    ];
    for origins in origins {
        assert!(template.accepts("AllowedOrigins", origins), "{origins:?}");
    }
    let origins = [
        "",
        "shop.example",
        "https://shop.example/",
        "https://shop.example/a",
        "https://a.example, https://b.example",
        "*,https://a.example",
        "https://a.example,*",
        "https://*.shop.example",
        "null",
        "HTTPS://shop.example",
        "https://Shop.example",
    ];
    for origins in origins {
        assert!(!template.accepts("AllowedOrigins", origins), "{origins:?}");
    }
    let headers = [
        "authorization,last-event-id",
        "last-event-id,authorization",
        "baggage,authorization,sentry-trace,last-event-id",
    ];
    for headers in headers {
        assert!(template.accepts("AllowedHeaders", headers), "{headers:?}");
    }
    let headers = [
        "",
        "*",
        "baggage",
        "authorization",
        "last-event-id",
        "authorization,last-event-ids",
        "x-authorization,last-event-id",
        "authorization, last-event-id",
        "Authorization,Last-Event-Id",
        "authorization,last-event-id,",
    ];
    for headers in headers {
        assert!(!template.accepts("AllowedHeaders", headers), "{headers:?}");
    }
}

#[test]
fn cors_follows_the_parameters() {
    let template = Template::read();
    let cors = template.at("Resources/StreamFunction/Properties/FunctionUrlConfig/Cors");
    let default = json!({
        "AllowCredentials": "false",
        "AllowHeaders": ["authorization", "last-event-id"],
        "AllowMethods": ["GET"],
        "AllowOrigins": ["*"],
        "MaxAge": 86400,
    });
    assert_eq!(template.value(cors, &template.with_defaults(&[])), default);
    let given = [
        ("AllowCredentials", "true"),
        ("AllowedHeaders", "authorization,last-event-id,baggage"),
        ("AllowedOrigins", "https://a.example,https://b.example"),
    ];
    let cors = template.value(cors, &template.with_defaults(&given));
    assert_eq!(cors["AllowCredentials"], json!("true"));
    assert_eq!(
        cors["AllowHeaders"],
        json!(["authorization", "last-event-id", "baggage"])
    );
    assert_eq!(
        cors["AllowOrigins"],
        json!(["https://a.example", "https://b.example"])
    );
}

#[test]
fn the_outputs_name_the_url_that_the_function_serves() {
    let template = Template::read();
    let paths = [
        ("", "/"),
        ("/", "/"),
        ("/api", "/api/"),
        ("/api/", "/api/"),
        ("/shop/api", "/shop/api/"),
    ];
    for (base_path, expected) in paths {
        let given = [("BasePath", base_path), ("Access", "open")];
        let mut values = template.with_defaults(&given);
        let url = "https://id.lambda-url.eu-west-1.on.aws/";
        values.insert("StreamFunctionUrl.FunctionUrl".to_owned(), url.to_owned());
        let stream = format!("https://id.lambda-url.eu-west-1.on.aws{expected}");
        let output =
            |name: &str| template.value(template.at(&format!("Outputs/{name}/Value")), &values);
        assert_eq!(output("StreamUrl"), json!(stream), "{base_path:?}");
        let watch = output("Watch");
        let watched = watch.as_str().unwrap().rsplit(' ').next().unwrap();
        assert_eq!(
            watched,
            format!("{stream}orders/A-1001/events"),
            "{base_path:?}"
        );
        // The function computes the same path from the setting.
        let set = template.environment("StreamFunction", &values);
        let settings = StreamSettings::read(|name| set.get(name).cloned()).unwrap();
        assert_eq!(
            format!("{}/", settings.base_path),
            expected,
            "{base_path:?}"
        );
    }
}

/// CloudFormation uses Java's regular expressions. There, a dot and `\d` match other characters than here.
#[test]
fn patterns_mean_the_same_in_java_and_have_a_description() {
    let template = Template::read();
    for name in template.names("Parameters") {
        let parameter = template.at(&format!("Parameters/{name}"));
        let Some(pattern) = parameter.get("AllowedPattern") else {
            continue;
        };
        let pattern = pattern.as_str().unwrap();
        assert!(
            parameter.get("ConstraintDescription").is_some(),
            "{name} has no ConstraintDescription"
        );
        assert!(
            pattern.starts_with('^') && pattern.ends_with('$'),
            "{name} {pattern}"
        );
        assert!(
            !pattern.contains("\\d") && !pattern.contains("\\w"),
            "{name} {pattern}"
        );
        let (mut in_class, mut escaped) = (false, false);
        for char in pattern.chars() {
            assert!(
                char != '.' || in_class || escaped,
                "{name}: a dot matches no line break: {pattern}"
            );
            match char {
                '[' if !escaped => in_class = true,
                ']' if !escaped => in_class = false,
                _ => {}
            }
            escaped = char == '\\' && !escaped;
        }
    }
}

#[test]
fn each_parameter_is_in_a_group() {
    let template = Template::read();
    let groups = template.at("Metadata/AWS::CloudFormation::Interface/ParameterGroups");
    let groups = groups.as_array().unwrap().iter();
    let mut listed: Vec<_> = groups
        .flat_map(|group| group["Parameters"].as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    listed.sort_unstable();
    let mut parameters = template.names("Parameters");
    parameters.sort_unstable();
    assert_eq!(listed, parameters);
}
