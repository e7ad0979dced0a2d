use proptest::prelude::*;

use super::*;

/// The endpoints as `address weight tier zone`.
fn found(contents: &str) -> Result<Vec<String>, String> {
    let format = |(address, options): (&SocketAddr, &EndpointOptions)| {
        let EndpointOptions { weight, tier, zone } = options;
        format!("{address} {weight} {tier} {}", zone.as_deref().unwrap_or("-"))
    };
    parse(contents.as_bytes()).map(|listing| listing.endpoints.iter().map(format).collect())
}

#[test]
fn each_line_is_an_endpoint_with_its_options() {
    let contents = "\u{feff}# the first rack\n\n10.0.0.1:80\r\n  10.0.0.2:80\tweight=3 zone=zurich-1 tier=2 # slow\n\
                    [fd00::1]:80 backup\n[::ffff:10.0.0.4]:80";
    let expected = ["10.0.0.1:80 1 1 -", "10.0.0.2:80 3 2 zurich-1", "10.0.0.4:80 1 1 -", "[fd00::1]:80 1 255 -"];
    assert_eq!(found(contents).unwrap(), expected);
}

#[test]
fn a_wrong_line_is_refused_with_its_number_and_the_reason() {
    let long = "1".repeat(100);
    let wrong = [
        "",
        "# nothing\n\n",
        "10.0.0.1",
        "10.0.0.1:80\nweb:80",
        "10.0.0.1:80\n\nsrv://_http._tcp.web.example",
        "0.0.0.0:80",
        "10.0.0.1:0",
        &long,
        "10.0.0.1:80 weight=0",
        "10.0.0.1:80 weight=257",
        "10.0.0.1:80 tier=10",
        "10.0.0.1:80 zone=",
        "10.0.0.1:80 weight",
        "10.0.0.1:80 backup=true",
        "10.0.0.1:80, weight=2",
        "10.0.0.1:80 weight=1 weight=2",
        "10.0.0.1:80 backup tier=2",
        "10.0.0.1:80\n10.0.0.1:80 weight=2",
        "10.0.0.1:80\n[::ffff:10.0.0.1]:80",
    ];
    let errors = wrong.map(|contents| found(contents).unwrap_err());
    insta::assert_snapshot!(errors.join("\n"), @r#"
    no endpoint is listed
    no endpoint is listed
    line 1: "10.0.0.1" has no port: add one after a colon, such as "10.0.0.1:8000"
    line 2: "web:80" is not an address: write those of the endpoints, and anything else in `endpoints`
    line 3: "srv://_http._tcp.web.example" is not an address: write those of the endpoints, and anything else in `endpoints`
    line 1: "0.0.0.0:80" cannot be connected to: write the address of an endpoint
    line 1: "10.0.0.1:0" has no usable port: write one from 1 to 65535
    line 1: "1111111111111111111111111111111111111111111111111111111111111111" is not an address
    line 1: weight: 0 is not allowed here: write a whole number from 1 to 256
    line 1: weight: 257 is not allowed here: write a whole number from 1 to 256
    line 1: tier: 10 is not allowed here: write a whole number from 1 to 9
    line 1: zone: "" is not a valid name for a zone: write 1 to 64 of the characters a-z, A-Z, 0-9, - and _
    line 1: "weight" is not an option: write weight=NUMBER, tier=NUMBER, zone=NAME or backup
    line 1: "backup=true" is not an option: write weight=NUMBER, tier=NUMBER, zone=NAME or backup
    line 1: "10.0.0.1:80," has no usable port: write one from 1 to 65535
    line 1: weight is given twice: remove one of them
    line 1: tier contradicts backup, which is a tier of its own: remove one of the two
    line 2: 10.0.0.1:80 is listed twice: remove one of them
    line 2: 10.0.0.1:80 is listed twice: remove one of them
    "#);
    assert_eq!(parse(b"10.0.0.1:80\n\xff\n"), Err("line 2: not UTF-8".to_owned()));
}

#[test]
fn endpoints_are_capped() {
    let lines = |count: usize| -> String {
        (0..count).map(|number| format!("10.0.{}.{}:80\n", number / 250, number % 250)).collect()
    };
    assert_eq!(found(&lines(MAX_ENDPOINTS)).unwrap().len(), MAX_ENDPOINTS);
    assert_eq!(found(&lines(MAX_ENDPOINTS + 1)).unwrap_err(), "line 4097: there are more than 4096 endpoints");
}

proptest! {
    #[test]
    fn no_contents_panic(bytes: Vec<u8>, text in "([0-9.:#= \n\\[\\]]|weight=|tier=|zone=|backup|10.0.0.1:80){0,20}") {
        let results = [parse(&bytes).is_ok(), parse(text.as_bytes()).is_ok()];
        prop_assert_eq!(results.len(), 2);
    }
}
