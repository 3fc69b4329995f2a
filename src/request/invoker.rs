//! Which service invoked the function. What it can do with a response depends on that.

use serde_json::value::RawValue;

/// The service that invoked the function.
///
/// An event does not say whether the function was invoked with `Invoke` or `InvokeWithResponseStream`. But each service
/// always uses the same one, except a REST API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invoker {
    /// A Function URL.
    FunctionUrl,
    /// A REST API of API Gateway. Its integration must have the response transfer mode `STREAM`. The event does not say so:
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html>.
    RestApi,
    /// An HTTP API of API Gateway.
    HttpApi,
    /// An Application Load Balancer.
    LoadBalancer {
        /// The target group's attribute `lambda.multi_value_headers.enabled`. It applies to the response too.
        multi_value_headers: bool,
    },
}

impl Invoker {
    /// The bytes of a body that a service takes which does not stream. A load balancer takes 1 MB of JSON, in which a byte of the
    /// body takes two at most.
    pub const LONGEST_BODY: usize = 500_000;

    /// Whether it sends a response to the client while the function writes it. If not, it needs the whole response as JSON.
    pub const fn streams(self) -> bool {
        matches!(self, Self::FunctionUrl | Self::RestApi)
    }

    /// Whether it answers preflights and adds CORS headers itself. Browsers refuse such a header if it comes twice.
    ///
    /// An HTTP API with CORS replaces the function's headers, so both may send them:
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html>.
    pub const fn answers_cors(self) -> bool {
        matches!(self, Self::FunctionUrl)
    }
}

/// The members of an event that tell the services apart.
pub(super) struct Marks<'a> {
    pub(super) version: Option<&'a RawValue>,
    pub(super) http: Option<&'a RawValue>,
    pub(super) elb: Option<&'a RawValue>,
    pub(super) api_id: Option<&'a RawValue>,
    pub(super) domain_name: Option<&'a RawValue>,
    pub(super) multi_value_headers: Option<&'a RawValue>,
}

impl Marks<'_> {
    /// An event that looks like none of them counts as one of a service that streams.
    pub(super) fn invoker(&self) -> Invoker {
        if self.elb.is_some() {
            let multi_value_headers = self.multi_value_headers.is_some();
            return Invoker::LoadBalancer {
                multi_value_headers,
            };
        }
        match self.http {
            Some(_) if self.is_http_api() => Invoker::HttpApi,
            Some(_) => Invoker::FunctionUrl,
            // Payload format 1.0. The events of a REST API have no version.
            None if self.version.map(RawValue::get) == Some(r#""1.0""#) => Invoker::HttpApi,
            None => Invoker::RestApi,
        }
    }

    /// Payload format 2.0. A Function URL's domain is `{apiId}.lambda-url.{region}.on.aws`, an HTTP API's is
    /// `{apiId}.execute-api.{region}.amazonaws.com` or a custom one. The texts are compared as they are, with their quotes.
    fn is_http_api(&self) -> bool {
        let (Some(id), Some(domain)) = (self.api_id, self.domain_name) else {
            return false;
        };
        let (id, domain) = (id.get().trim_end_matches('"'), domain.get());
        domain.contains(".execute-api.") || !domain.starts_with(id)
    }
}
