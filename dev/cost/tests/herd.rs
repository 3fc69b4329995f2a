//! A herd comes back slowly, and never dies by an answer of the endpoint.
#![allow(clippy::unwrap_used, reason = "tests")]

use cost::herd::{Client, Event, Herd, Report};
use cost::meter::Outage;

/// Two thousand watchers, with the same share of the limit as fifty thousand.
fn run(event: Event, client: Client) -> Report {
    let herd = Herd {
        watchers: 2000,
        executions: 40,
        client,
        event,
        seed: 1,
    };
    Report::new(&herd, herd.run().unwrap())
}

#[test]
fn after_an_outage_everybody_is_back_within_a_minute() {
    for client in Client::ALL {
        let report = run(Event::Outage(Outage::Refuses), client);
        assert!(report.recovered.unwrap() <= 60.0, "{report:?}");
        // With 220 requests a second, the largest of four minutes is a fifth above the mean by chance.
        assert!(report.ratio <= 1.5, "{report:?}");
        assert_eq!(report.missed, 0, "{report:?}");
        assert_eq!((report.dead_by_us, report.dead_by_lambda), (0, 0));
        // Rests grow: twenty seconds into the outage, there are fewer than half of the requests.
        let rates = &report.rates[80..360];
        let mean = rates.iter().sum::<f64>() / 280.0;
        assert!(mean < report.steady[0] / 2.0, "{mean}");
    }
}

#[test]
fn only_lambdas_own_answer_ends_an_event_source() {
    let bare = run(Event::Throttle, Client::EventSource);
    assert!(bare.dead_by_lambda > 500, "{bare:?}");
    assert_eq!(bare.dead_by_us, 0);
    let ours = run(Event::Throttle, Client::Ours);
    assert!(ours.throttled > 500, "{ours:?}");
    assert_eq!(
        (ours.dead_by_us, ours.dead_by_lambda, ours.missed),
        (0, 0, 0)
    );
    assert!(ours.recovered.unwrap() <= 60.0, "{ours:?}");
}

#[test]
fn a_sale_is_shown_to_everybody() {
    let report = run(Event::Sale, Client::EventSource);
    assert_eq!(
        (report.missed, report.dead_by_lambda, report.dead_by_us),
        (0, 0, 0)
    );
    assert!(report.recovered.unwrap() <= 60.0, "{report:?}");
}
