//! A client that follows C1 to C7 of `docs/protocol.md`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::Method;
use http_body_util::BodyExt;
use order_status_stream::endpoint::Body;
use order_status_stream::feed::{LogId, PAGE_ENTRIES};
use order_status_stream::request::Request;
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::chance::Chance;
use crate::customer::{CustomerScreen, place_of};
use crate::feed::Storage;
use crate::item::PRIVATE;
use crate::plan::Plan;
use crate::platform::{Platform, StreamProcess};
use crate::reads;
use crate::rests::Rests;
use crate::run::order_id;
use crate::screen::Screen;
use crate::sse::{Event, Parser};
use crate::wake::NOTICED;
use crate::world::{Kind, World};

/// Timers count milliseconds, and a call to the feed takes a few.
const TOLERANCE: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub struct Client {
    world: Arc<World>,
    platform: Arc<Platform>,
    storage: Arc<Storage>,
    plan: Arc<Plan>,
    random: Rng,
    /// When it opens and closes its page.
    visits: Vec<(Duration, Duration)>,
    orders: Vec<String>,
    /// What it shows if it watches a customer. Then it watches no orders.
    customer: Option<CustomerScreen>,
    /// What it shows.
    pub screen: Screen,
    cursor: String,
    retry: Duration,
    token: Option<(String, Duration)>,
    /// Whether it requests a snapshot each time the page is opened.
    snapshot: bool,
    rests: Rests,
    /// It got `end`.
    pub ended: bool,
    /// It got 204, so it does not come back.
    pub gone: bool,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// After `rest` or `end`.
    Ended,
    /// After `expired`.
    Expired,
    /// Without a last event.
    Broken,
    /// There was no response to read.
    Refused,
    /// 204.
    Gone,
    /// The page was closed.
    Closed,
}

/// The faults of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct ConnectionFaults {
    cut_after: Option<usize>,
    reset_at: Option<Instant>,
    /// The longest pause before a chunk is read, in seconds.
    slowest: Option<f64>,
    stalls_at: Option<Instant>,
}

/// A response that is being read.
struct Connection {
    body: Body,
    process: Arc<StreamProcess>,
    parser: Parser,
    asked: Instant,
    deadline: Instant,
    faults: ConnectionFaults,
    received: usize,
    last_chunk: Instant,
    ready: Option<Instant>,
    last: String,
}

impl Client {
    /// A client that watches orders during its visits.
    pub fn new(
        name: String,
        orders: Vec<String>,
        visits: Vec<(Duration, Duration)>,
        (world, platform, storage, plan): (&Arc<World>, &Arc<Platform>, &Arc<Storage>, &Arc<Plan>),
        mut random: Rng,
    ) -> Self {
        let mut screen = Screen::new(
            name,
            &orders,
            Arc::clone(world),
            Arc::clone(storage),
            plan.skew * 2,
        );
        screen.has_bad_cursor = random.chance(0.03);
        Self {
            world: Arc::clone(world),
            platform: Arc::clone(platform),
            storage: Arc::clone(storage),
            plan: Arc::clone(plan),
            visits,
            orders,
            customer: None,
            cursor: if screen.has_bad_cursor {
                "x".to_owned()
            } else {
                String::new()
            },
            snapshot: !screen.has_bad_cursor && random.chance(0.1),
            screen,
            random,
            retry: Duration::from_secs(1),
            token: None,
            rests: Rests::default(),
            ended: false,
            gone: false,
        }
    }

    /// Watches a customer.
    pub fn of_customer(mut self, customer: &'static str) -> Self {
        let (name, skew) = (self.screen.name.clone(), self.screen.skew);
        let shared = (Arc::clone(&self.world), Arc::clone(&self.storage));
        let mut screen = CustomerScreen::new(name, customer, shared, skew);
        screen.has_bad_cursor = self.screen.has_bad_cursor;
        self.customer = Some(screen);
        self
    }

    fn is_current(&self) -> bool {
        let customer = self.customer.as_ref();
        customer.map_or_else(|| self.screen.is_current(), CustomerScreen::is_current)
    }

    /// Makes all visits.
    pub async fn run(mut self) -> Self {
        for (from, until) in std::mem::take(&mut self.visits) {
            sleep_until(self.world.start() + from).await;
            self.visit(self.world.start() + until, false).await;
        }
        self
    }

    /// Comes back once more, without faults, until it shows every change. It has ten minutes for that.
    pub async fn settle(mut self) -> Self {
        let until = Instant::now() + Duration::from_secs(600);
        self.gone = false;
        self.visit(until, true).await;
        if !self.is_current() {
            self.screen.finding(Kind::Lost, "does not get every change");
        }
        self
    }

    async fn visit(&mut self, until: Instant, settling: bool) {
        reads::counted(self.watch(until, settling)).await;
    }

    /// Opens the page and keeps it open until this time.
    async fn watch(&mut self, until: Instant, settling: bool) {
        let name = self.screen.name.clone();
        self.world.note(|| format!("{name}: opens its page"));
        if self.snapshot {
            self.take_snapshot().await;
        }
        // The cursor is in the URL if the page is opened again, and in a header if the client reconnects.
        let mut reconnects = false;
        let mut rested = false;
        while Instant::now() < until {
            let outcome = self.connect(until, reconnects, rested, settling).await;
            self.world.note(|| {
                format!(
                    "{name}: {outcome:?}, cursor {}, retry {:?}",
                    self.cursor, self.retry
                )
            });
            let wait = match outcome {
                Outcome::Gone | Outcome::Closed => return,
                Outcome::Expired => {
                    self.token = None;
                    Duration::ZERO
                }
                Outcome::Refused => self.random.between(1.0, 5.0),
                // Some clients close at `end`. The others come back and get 204.
                Outcome::Ended if self.ended && self.random.bool() => return,
                Outcome::Ended | Outcome::Broken => self.retry,
            };
            // After `end`, nobody said when to come back.
            rested = outcome == Outcome::Ended && !self.ended;
            reconnects = matches!(outcome, Outcome::Ended | Outcome::Broken);
            let _ = timeout_at(until, sleep(wait)).await;
        }
    }

    /// Renews the token if it is about to expire, unless the client comes back from a rest: the server must allow for that.
    fn renew_token(&mut self, rested: bool) {
        let Some(lifetime) = self.plan.token_lifetime else {
            return;
        };
        let now = self.world.epoch();
        let good = |expires: Duration| rested || now + Duration::from_secs(5) < expires;
        if self
            .token
            .as_ref()
            .is_none_or(|(_, expires)| !good(*expires))
        {
            let expires = now + lifetime;
            let customer = self.customer.as_ref().map(|screen| screen.customer);
            match self.platform.issuer.token(expires, customer) {
                Ok(token) => self.token = Some((token, expires)),
                Err(error) => self.screen.finding(Kind::Other, error),
            }
        }
    }

    fn request(&self, in_header: bool, accept: &'static str) -> Request {
        let path = match &self.orders[..] {
            [] => "/customers/me/events?".to_owned(),
            [order] => format!("/orders/{order}/events?"),
            several => format!("/orders/events?order={}&", several.join("&order=")),
        };
        // These ids and cursors need no escapes.
        let query = match in_header {
            true => String::new(),
            false => format!("lastEventId={}", self.cursor),
        };
        let mut request = Request::new(Method::GET, &format!("{path}{query}"));
        request = request.with_header("accept", accept);
        if in_header {
            request = request.with_header("last-event-id", &self.cursor);
        }
        if let Some((token, _)) = &self.token {
            request = request.with_header("authorization", &format!("Bearer {token}"));
        }
        request
    }

    async fn connect(
        &mut self,
        until: Instant,
        in_header: bool,
        rested: bool,
        settling: bool,
    ) -> Outcome {
        let net = self.plan.net;
        let faults_stopped = self.world.faults_have_stopped();
        let latency = self.random.between(0.005, 0.2);
        sleep(latency).await;
        self.world.count(|tally| tally.connections += 1);
        if !faults_stopped && self.random.chance(net.refused) {
            self.world.fault("requests refused", &self.screen.name);
            return Outcome::Refused;
        }
        self.renew_token(rested);
        let cold = !faults_stopped && self.random.chance(net.cold);
        if cold {
            self.world.fault("cold starts", &self.screen.name);
        }
        let Ok(process) = self.platform.stream_process(cold) else {
            return Outcome::Refused;
        };
        let faults = self.draw_faults();
        let name = &self.screen.name;
        self.world
            .note(|| format!("{name}: asks {} from {:?}", process.name, self.cursor));
        let request = self.request(in_header, "text/event-stream");
        let asked = Instant::now();
        // With a wake, reads of several responses are joined, and those of others are not counted.
        let counted = match self.plan.wake {
            None => self.orders.len().max(1),
            Some(_) => 0,
        };
        reads::asked(counted);
        let response = self
            .platform
            .respond(&process, request, self.random.fork())
            .await;
        reads::responded();
        if asked.elapsed() > Duration::from_secs(3) + TOLERANCE {
            self.screen.finding(
                Kind::Other,
                format!("a response began after {:?}", asked.elapsed()),
            );
        }
        match response.status().as_u16() {
            200 => {}
            204 => {
                self.check_end("204", asked);
                (self.ended, self.gone) = (true, true);
                return Outcome::Gone;
            }
            status => {
                self.screen
                    .finding(Kind::Other, format!("got the status {status}"));
                self.token = None;
                return Outcome::Refused;
            }
        }
        let all_seen = self.is_current() && self.screen.is_terminal(asked);
        if settling && faults_stopped && self.ended && all_seen {
            self.screen
                .finding(Kind::Other, "came back after `end` and did not get 204");
        }
        let connection = Connection {
            body: response.into_body(),
            process,
            parser: Parser::new(self.cursor.clone()),
            asked,
            deadline: asked + self.plan.timeout,
            faults,
            received: 0,
            last_chunk: Instant::now(),
            ready: None,
            last: String::new(),
        };
        self.ended = false;
        self.read(connection, until, settling).await
    }

    fn draw_faults(&mut self) -> ConnectionFaults {
        if self.world.faults_have_stopped() {
            return ConnectionFaults::default();
        }
        let (net, random, name) = (self.plan.net, &mut self.random, &self.screen.name);
        let mut draw = |probability, kind| {
            let hit = random.chance(probability);
            if hit {
                self.world.fault(kind, name);
            }
            hit
        };
        let (cut, reset) = (
            draw(net.cut, "connections cut"),
            draw(net.reset, "connections reset"),
        );
        let (slow, stalls) = (
            draw(net.slow, "slow readers"),
            draw(net.stalled, "connections stalled"),
        );
        let now = Instant::now();
        ConnectionFaults {
            cut_after: cut.then(|| random.usize(..900)),
            reset_at: reset.then(|| now + random.magnitude(0.01, 60.0)),
            slowest: slow.then(|| random.one(&[1.0, 20.0, 120.0])),
            stalls_at: stalls.then(|| now + random.magnitude(0.01, 30.0)),
        }
    }

    /// Reads a response until it ends or is cut.
    async fn read(
        &mut self,
        mut connection: Connection,
        until: Instant,
        settling: bool,
    ) -> Outcome {
        let silence = connection.process.settings.heartbeat.mul_f64(2.5);
        loop {
            if self.pause(&mut connection).await {
                return self.cut(connection);
            }
            let faults = connection.faults;
            let watchdog = connection.last_chunk + silence;
            if faults.stalls_at.is_some_and(|at| at <= Instant::now()) {
                sleep_until(watchdog).await;
                return self.cut(connection);
            }
            let stop = [
                Some(until),
                Some(connection.deadline),
                Some(watchdog),
                faults.reset_at,
                faults.stalls_at,
            ];
            let stop = stop.into_iter().flatten().min().unwrap_or(until);
            match timeout_at(stop, connection.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let chunk = frame.into_data().unwrap_or_default();
                    if self.take(&mut connection, &chunk) {
                        return self.cut(connection);
                    }
                    if settling
                        && connection.ready.is_some()
                        && self.is_current()
                        && !self.must_end()
                    {
                        return self.close(connection);
                    }
                }
                Ok(_) => return self.ended_by_server(&connection),
                Err(_) if stop == until => return self.close(connection),
                Err(_) => {
                    if stop == connection.deadline && faults.slowest.is_none() {
                        self.screen
                            .finding(Kind::Other, "a response reached its deadline");
                    } else if stop == watchdog {
                        self.screen.finding(
                            Kind::Other,
                            "a response sent nothing for two and a half heartbeats",
                        );
                    }
                    if Some(stop) != faults.stalls_at {
                        return self.cut(connection);
                    }
                }
            }
        }
    }

    /// A slow reader pauses before each chunk. Returns whether the function's deadline has cut the response by then.
    async fn pause(&mut self, connection: &mut Connection) -> bool {
        let over = ["rest", "end", "expired"].contains(&connection.last.as_str());
        let Some(slowest) = connection.faults.slowest.filter(|_| !over) else {
            return false;
        };
        let window = connection.asked + connection.process.settings.window;
        let was_over = Instant::now() > window;
        let pause = self.random.magnitude(0.01, slowest);
        sleep(pause).await;
        connection.last_chunk = Instant::now();
        if !was_over && Instant::now() > window {
            let kind = "readers slower than a response";
            self.world.fault(kind, &self.screen.name);
        }
        Instant::now() >= connection.deadline
    }

    /// Whether all orders are finished, so that `end` must come.
    fn must_end(&self) -> bool {
        if self.customer.is_some() {
            return false;
        }
        let orders = self.screen.orders.iter();
        let now = Instant::now();
        orders
            .into_iter()
            .all(|(order, shown)| self.storage.journal.was_terminal(order, shown.seq, now))
    }

    fn check_end(&self, what: &str, asked: Instant) {
        match &self.customer {
            Some(_) => self
                .screen
                .finding(Kind::Other, format!("{what}, of a customer")),
            None => self.screen.check_end(what, asked),
        }
    }

    fn cut(&mut self, connection: Connection) -> Outcome {
        self.leave(connection);
        Outcome::Broken
    }

    fn close(&mut self, connection: Connection) -> Outcome {
        self.leave(connection);
        Outcome::Closed
    }

    /// Drops the response, or reads it to its end unseen: a function may not notice that its client is gone.
    fn leave(&mut self, connection: Connection) {
        self.keep(&connection.parser);
        if self.random.bool() {
            let (mut body, deadline) = (connection.body, connection.deadline);
            tokio::spawn(async move {
                let _ = timeout_at(deadline, async {
                    while let Some(Ok(_)) = body.frame().await {}
                })
                .await;
            });
        }
    }

    fn keep(&mut self, parser: &Parser) {
        self.cursor.clone_from(&parser.last_event_id);
        if let Some(retry) = parser.retry {
            self.retry = Duration::from_millis(retry);
        }
    }

    fn ended_by_server(&mut self, connection: &Connection) -> Outcome {
        self.keep(&connection.parser);
        if !connection.parser.is_between_events() {
            self.screen
                .finding(Kind::Other, "a response ended within a frame");
        }
        match connection.last.as_str() {
            "rest" | "end" => Outcome::Ended,
            "expired" => Outcome::Expired,
            last => {
                self.screen
                    .finding(Kind::Other, format!("a response ended after {last:?}"));
                Outcome::Ended
            }
        }
    }

    /// Reads a chunk. Returns whether the connection is cut within it.
    fn take(&mut self, connection: &mut Connection, chunk: &Bytes) -> bool {
        self.check_chunk(connection, chunk);
        let left = connection
            .faults
            .cut_after
            .map_or(usize::MAX, |after| after - connection.received);
        let (bytes, cut) = (&chunk[..chunk.len().min(left)], chunk.len() >= left);
        connection.received += bytes.len();
        for byte in bytes {
            if let Some(event) = connection.parser.byte(*byte) {
                self.event(connection, &event);
            }
        }
        cut
    }

    fn check_chunk(&mut self, connection: &mut Connection, chunk: &Bytes) {
        let now = Instant::now();
        let silent = now - connection.last_chunk;
        connection.last_chunk = now;
        if silent > connection.process.settings.heartbeat + TOLERANCE {
            self.screen
                .finding(Kind::Other, format!("nothing arrived for {silent:?}"));
        }
        if chunk
            .windows(PRIVATE.len())
            .any(|bytes| bytes == PRIVATE.as_bytes())
        {
            self.screen.finding(Kind::Other, "got a private attribute");
        }
        // One page of each order, and another if a read is repeated. A full page may have a tombstone besides.
        let held = reads::sent();
        // A customer's first visit may skip pages of superseded entries, which are not sent.
        let customer = self.customer.as_ref();
        let skips = customer.is_some_and(|customer| !customer.complete);
        if !skips && held > (PAGE_ENTRIES + 1) * (2 * self.orders.len().max(1) + 1) {
            self.screen.finding(
                Kind::Other,
                format!("{held} entries were read before a chunk was sent"),
            );
        }
        let faults = self.plan.feed;
        if let Some(ready) = connection.ready
            && faults.hangs + faults.panics == 0.0
            && connection.faults.slowest.is_none()
        {
            let calls = Duration::from_secs(if faults.slow > 0.0 { 15 } else { 1 });
            let late = self.until_polled(connection) + self.storage.lag() + calls;
            match &self.customer {
                Some(customer) => customer.check_freshness(now - late, ready),
                None => self.screen.check_freshness(now - late, ready),
            }
        }
    }

    /// The longest time until a held response polls the feed, or is woken.
    fn until_polled(&self, connection: &Connection) -> Duration {
        let settings = &connection.process.settings;
        let (feed, poll_interval) = (self.plan.feed, settings.poll_interval);
        let Some(wake) = self.plan.wake else {
            return poll_interval;
        };
        // Nothing is published if the projector does not learn that its entry was written.
        let unpublished = feed.killed + feed.answer_lost;
        match wake.lost + wake.late + wake.wrong + unpublished == 0.0 {
            true if wake.disconnects > 0.0 => poll_interval + NOTICED,
            true => poll_interval,
            false => settings.wake_poll_interval.max(poll_interval),
        }
    }

    /// A change is sent as soon as it is read: it does not wait for other reads.
    fn check_sent_at_once(&self, connection: &Connection, change: &Value) {
        let order = change["orderId"].as_str().unwrap_or_default();
        let seq = change["seq"].as_u64().unwrap_or_default();
        let (log, number) = match &self.customer {
            Some(customer) => (
                customer.log_id(),
                place_of(&connection.parser.last_event_id),
            ),
            None => (order_id(order).map(LogId::from), seq),
        };
        let Some(log) = log else {
            return;
        };
        let waited = reads::waited(&log, number).unwrap_or_default();
        if connection.faults.slowest.is_none() && waited > TOLERANCE {
            self.screen.finding(
                Kind::Other,
                format!("{order} {seq} was sent {waited:?} after it was read"),
            );
        }
    }

    fn event(&mut self, connection: &mut Connection, event: &Event) {
        let name = &self.screen.name;
        self.world.note(|| {
            format!(
                "{name}: {} {} id {}",
                event.kind, event.data, connection.parser.last_event_id
            )
        });
        connection.last.clone_from(&event.kind);
        if event.kind == "hello" {
            return;
        }
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else {
            return self
                .screen
                .finding(Kind::Other, format!("{:?} is not JSON", event.data));
        };
        if let Some(customer) = &mut self.customer {
            let id = &connection.parser.last_event_id;
            customer.event(event, &data, id, &self.screen, &connection.process);
            if ["gone", "reset", ""].contains(&event.kind.as_str()) {
                if event.kind == "reset" {
                    connection.ready = None;
                }
                if event.kind.is_empty() {
                    self.check_sent_at_once(connection, &data);
                }
                return;
            }
        }
        match event.kind.as_str() {
            "" => {
                self.check_sent_at_once(connection, &data);
                self.screen
                    .change(&data, &connection.process, connection.asked, false);
            }
            "reset" => {
                let orders = data["orders"].as_array().into_iter().flatten();
                let orders: Vec<_> = orders
                    .filter_map(|order| order.as_str().map(str::to_owned))
                    .collect();
                connection.ready = None;
                self.screen
                    .reset(&orders, data["reason"].as_str().unwrap_or_default());
            }
            "ready" => connection.ready = Some(Instant::now()),
            "end" => {
                self.check_end("end", connection.asked);
                self.ended = true;
            }
            "rest" => {
                // A token that is about to expire shortens rests.
                let unknown = self.screen.orders.values().all(|shown| shown.seq == 0);
                let unknown = unknown && self.token.is_none();
                let settings = &connection.process.settings;
                let (held, retry) = (connection.asked.elapsed(), connection.parser.retry);
                let broken = self.rests.rest(held, &data, retry, unknown, settings);
                if let Some(broken) = broken {
                    self.screen.finding(Kind::Other, broken);
                }
            }
            "expired" => {}
            other => self
                .screen
                .finding(Kind::Other, format!("got an unknown event {other:?}")),
        }
    }

    /// Requests a snapshot, as a page does that is rendered on a server.
    async fn take_snapshot(&mut self) {
        self.renew_token(false);
        let Ok(process) = self.platform.stream_process(false) else {
            return;
        };
        let asked = Instant::now();
        let request = self.request(false, "application/json");
        let response = self
            .platform
            .respond(&process, request, self.random.fork())
            .await;
        let status = response.status().as_u16();
        let Ok(body) = response.into_body().collect().await;
        let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        self.world
            .note(|| format!("{}: a snapshot: {status} {body}", self.screen.name));
        if status == 503 {
            return;
        }
        // The new cursor does not say that the orders have ended, or how many check-ins found no change.
        self.ended = false;
        self.rests.begin_again();
        self.screen.render_again();
        let orders = body["orders"].as_array().into_iter().flatten();
        match &mut self.customer {
            Some(customer) => {
                customer.snapshot(orders, body["cursor"].as_str().unwrap_or_default())
            }
            None => orders.for_each(|change| self.screen.change(change, &process, asked, true)),
        }
        body["cursor"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut self.cursor);
    }
}
