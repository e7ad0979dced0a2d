//! Reads the answer of a name server.
//!
//! Pure: a message goes in, an [`Answer`] comes out.

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, RecordType},
};

use super::facts::{Alias, Answer, QueryOutcome, Record};

/// The longest chain of aliases. Resolvers follow about as many; a longer one is a loop.
const MAX_ALIASES: usize = 16;

/// Adds what a message says about `name` to an answer. Returns the target of an alias about which the message says
/// nothing: it must be queried.
pub(super) fn read(message: &Message, name: Name, record_type: RecordType, answer: &mut Answer) -> Option<Name> {
    let mut name = name;
    let before = answer.aliases.len();
    // A server may send the aliases in any order.
    while let Some((ttl, target)) = alias(message, &name) {
        if answer.aliases.len() == MAX_ALIASES {
            answer.outcome = QueryOutcome::AliasLoop;
            return None;
        }
        answer.aliases.push(Alias { name: text(&name), target: text(target), ttl });
        name = target.clone();
    }
    let of_name = message.answers.iter().filter(|record| record.name.eq_ignore_root(&name));
    let of_type = of_name.filter(|record| record.data.record_type() == record_type);
    let record = |record: &hickory_resolver::proto::rr::Record| {
        record.data.ip_addr().map(|address| Record { address, ttl: record.ttl })
    };
    answer.records = of_type.filter_map(record).collect();
    // Name servers rotate their records.
    answer.records.sort_by_key(|record| (record.address, record.ttl));
    answer.outcome = match message.metadata.response_code {
        ResponseCode::NoError if !answer.records.is_empty() => QueryOutcome::Records,
        ResponseCode::NoError => match (referral(message), answer.aliases.len() > before) {
            (Some(zone), false) => QueryOutcome::Referral(zone),
            (None, true) if authority(message, RecordType::SOA).is_none() => return Some(name),
            (Some(_), true) => return Some(name),
            (None, _) => QueryOutcome::NoRecords,
        },
        // After aliases, it is about the last name (RFC 6604).
        ResponseCode::NXDomain => QueryOutcome::NoSuchName,
        ResponseCode::ServFail => QueryOutcome::ServerFailure,
        ResponseCode::Refused => QueryOutcome::Refused,
        other => QueryOutcome::Code(other.to_string()),
    };
    None
}

/// Returns the TTL and the target of the alias of this name.
fn alias<'a>(message: &'a Message, name: &Name) -> Option<(u32, &'a Name)> {
    message.answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name.eq_ignore_root(name) => Some((record.ttl, &target.0)),
        _ => None,
    })
}

/// Returns the zone to whose name servers a message refers (RFC 1034 section 4.3.1).
fn referral(message: &Message) -> Option<String> {
    let refers = !message.metadata.authoritative && authority(message, RecordType::SOA).is_none();
    authority(message, RecordType::NS).filter(|_| refers).map(text)
}

/// Returns the name of the first record of this type in the authority section.
fn authority(message: &Message, record_type: RecordType) -> Option<&Name> {
    message.authorities.iter().find(|record| record.data.record_type() == record_type).map(|record| &record.name)
}

fn text(name: &Name) -> String {
    let text = name.to_utf8();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(shown) => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::{
        op::{MessageType, OpCode},
        rr::{self, rdata},
    };

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(format!("{text}.")).unwrap()
    }

    fn cname(from: &str, to: &str) -> rr::Record {
        rr::Record::from_rdata(name(from), 30, RData::CNAME(rdata::CNAME(name(to))))
    }

    fn a(of: &str) -> rr::Record {
        rr::Record::from_rdata(name(of), 60, RData::A(rdata::A::new(203, 0, 113, 7)))
    }

    fn message(code: ResponseCode, answers: Vec<rr::Record>) -> Message {
        let mut message = Message::new(1, MessageType::Response, OpCode::Query);
        message.metadata.response_code = code;
        message.add_answers(answers);
        message
    }

    fn answer(message: &Message) -> (Answer, Option<Name>) {
        let mut answer = Answer::empty(QueryOutcome::NoRecords);
        let next = read(message, name("www.example.com"), RecordType::A, &mut answer);
        (answer, next)
    }

    #[test]
    fn aliases_are_kept_if_their_target_does_not_exist() {
        let dangling = message(ResponseCode::NXDomain, vec![cname("www.example.com", "gone.example.net")]);
        let (answer, next) = answer(&dangling);
        assert_eq!((answer.outcome, answer.aliases.len(), next), (QueryOutcome::NoSuchName, 1, None));
        assert_eq!(answer.aliases[0].target, "gone.example.net");
    }

    #[test]
    fn chain_of_aliases_is_followed_in_any_order() {
        let chain = vec![a("c.example"), cname("b.example", "c.example"), cname("WWW.example.com", "b.example")];
        let (answer, next) = answer(&message(ResponseCode::NoError, chain));
        assert_eq!((answer.outcome, answer.aliases.len(), next), (QueryOutcome::Records, 2, None));
        assert_eq!((answer.records.len(), answer.records[0].ttl), (1, 60));
    }

    #[test]
    fn target_that_the_answer_does_not_resolve_is_queried() {
        let open = message(ResponseCode::NoError, vec![cname("www.example.com", "edges.example.net")]);
        assert_eq!(answer(&open).1, Some(name("edges.example.net")));
    }

    #[test]
    fn loop_of_aliases_ends() {
        let around = vec![cname("www.example.com", "b.example"), cname("b.example", "www.example.com")];
        let (answer, next) = answer(&message(ResponseCode::NoError, around));
        assert_eq!((answer.outcome, next), (QueryOutcome::AliasLoop, None));
        assert_eq!(answer.aliases.len(), MAX_ALIASES);
    }

    #[test]
    fn referral_is_not_an_empty_answer() {
        let ns = |zone: &str| rr::Record::from_rdata(name(zone), 60, RData::NS(rdata::NS(name("ns.example.com"))));
        let mut referral = message(ResponseCode::NoError, Vec::new());
        referral.add_authority(ns("example.com"));
        assert_eq!(answer(&referral).0.outcome, QueryOutcome::Referral("example.com".to_owned()));
        referral.metadata.authoritative = true;
        assert_eq!(answer(&referral).0.outcome, QueryOutcome::NoRecords);
        assert_eq!(answer(&message(ResponseCode::NoError, Vec::new())).0.outcome, QueryOutcome::NoRecords);
    }
}
