use proptest::prelude::*;

use super::*;

/// Records given as `priority weight port target`.
fn records(text: &str) -> Vec<ServiceRecord> {
    let record = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let number = |index: usize| fields[index].parse().unwrap();
        ServiceRecord { priority: number(0), weight: number(1), port: number(2), target: fields[3].to_owned() }
    };
    text.split(',').map(str::trim).filter(|line| !line.is_empty()).map(record).collect()
}

/// The target `a.` has the addresses 10.0.0.1 and fd00::1, the others 10.0.0.2 and so on.
fn targets() -> HashMap<String, AddressSet> {
    let target = |(name, addresses): (&str, &[&str])| {
        (name.to_owned(), AddressSet::of(addresses.iter().map(|address| address.parse().unwrap())))
    };
    let all: [(&str, &[&str]); 4] =
        [("a.", &["10.0.0.1", "fd00::1"]), ("b.", &["10.0.0.2"]), ("c.", &["10.0.0.3"]), ("none.", &[])];
    all.into_iter().map(target).collect()
}

/// The endpoints as `address weight tier`.
fn found(text: &str) -> Result<Vec<String>, &'static str> {
    let endpoints = endpoints(&usable(records(text))?, &targets());
    let format =
        |(address, options): (&SocketAddr, &EndpointOptions)| format!("{address} {} {}", options.weight, options.tier);
    Ok(endpoints.iter().map(format).collect())
}

#[test]
fn each_address_of_a_target_is_an_endpoint_with_the_port_and_the_weight_of_its_record() {
    assert_eq!(
        found("0 3 8001 a., 0 1 8002 b.").unwrap(),
        ["10.0.0.1:8001 3 1", "10.0.0.2:8002 1 1", "[fd00::1]:8001 3 1"]
    );
    assert_eq!(found("0 1 80 b., 0 1 81 b.").unwrap(), ["10.0.0.2:80 1 1", "10.0.0.2:81 1 1"]);
    assert_eq!(found("0 1 80 none., 0 1 80 unknown.").unwrap(), Vec::<String>::new());
}

#[test]
fn priorities_are_tiers_in_their_order() {
    assert_eq!(found("20 1 80 c., 10 1 80 b.").unwrap(), ["10.0.0.2:80 1 1", "10.0.0.3:80 1 2"]);
    let many: Vec<_> = (0..12).map(|priority| format!("{priority} 1 {} b.", 100 + priority)).collect();
    let tiers: Vec<_> = found(&many.join(",")).unwrap().iter().map(|one| one[one.len() - 1..].to_owned()).collect();
    assert_eq!(tiers.concat(), "123456789999");
}

#[test]
fn an_address_of_several_records_has_the_options_of_the_one_with_the_least_priority() {
    assert_eq!(found("20 9 80 b., 10 1 80 b.").unwrap(), ["10.0.0.2:80 1 1"]);
}

#[test]
fn weights_keep_their_ratio_and_none_is_zero() {
    assert_eq!(found("0 0 80 b., 0 0 80 c.").unwrap(), ["10.0.0.2:80 1 1", "10.0.0.3:80 1 1"]);
    assert_eq!(found("0 0 80 b., 0 256 80 c.").unwrap(), ["10.0.0.2:80 1 1", "10.0.0.3:80 256 1"]);
    assert_eq!(found("0 1000 80 b., 0 500 80 c.").unwrap(), ["10.0.0.2:80 256 1", "10.0.0.3:80 128 1"]);
    assert_eq!(found("0 65535 80 b., 0 1 80 c.").unwrap(), ["10.0.0.2:80 256 1", "10.0.0.3:80 1 1"]);
}

#[test]
fn weights_are_relative_to_those_of_the_same_priority() {
    assert_eq!(
        found("10 1 80 b., 10 3 80 c., 20 65535 80 a.").unwrap(),
        ["10.0.0.1:80 256 2", "10.0.0.2:80 1 1", "10.0.0.3:80 3 1", "[fd00::1]:80 256 2"]
    );
}

#[test]
fn answer_without_a_usable_record_is_an_error() {
    assert_eq!(found("").unwrap_err(), "no SRV records");
    assert_eq!(found("0 0 0 .").unwrap_err(), "the name has no such service: the target is \".\"");
    assert_eq!(found("0 1 80 b., 0 0 0 .").unwrap(), ["10.0.0.2:80 1 1"]);
}

#[test]
fn targets_are_capped() {
    let many: Vec<_> = (0..1000).map(|number| format!("{} 1 80 t{number:03}.", 1000 - number)).collect();
    let usable = usable(records(&many.join(","))).unwrap();
    assert_eq!((usable.len(), usable[0].target.as_str()), (MAX_TARGETS, "t999."), "those with the least priority");
}

#[test]
fn endpoints_are_capped_at_those_with_the_least_priority() {
    let record = |port| ServiceRecord { priority: 100 - port, weight: 1, port, target: "many.".to_owned() };
    let addresses = (0..1000_u32).map(|number| std::net::IpAddr::from((0x0a00_0000 + number).to_be_bytes()));
    let targets = HashMap::from([("many.".to_owned(), AddressSet::of(addresses))]);
    let endpoints = endpoints(&usable((1..=50).map(record).collect()).unwrap(), &targets);
    assert_eq!(endpoints.len(), MAX_ENDPOINTS);
    assert_eq!(endpoints.keys().filter(|address| address.port() == 50).count(), 1000);
    assert!(endpoints.keys().all(|address| address.port() >= 46));
}

proptest! {
    #[test]
    fn order_of_an_answer_does_not_matter(
        mut records in prop::collection::vec(
            (0_u16..4, any::<u16>(), 0_u16..4, "[abc.]\\.?").prop_map(|(priority, weight, port, target)| ServiceRecord {
                priority, weight, port, target,
            }),
            0..20,
        ),
    ) {
        let of = |records: Vec<ServiceRecord>| usable(records).map(|records| {
            endpoints(&records, &targets()).into_iter().map(|(at, options)| (at, options.tier)).collect::<Vec<_>>()
        });
        let one = of(records.clone());
        for (_, tier) in one.iter().flatten() {
            prop_assert!((1..=MAX_TIER).contains(tier));
        }
        records.reverse();
        prop_assert_eq!(one, of(records));
    }
}
